// "3 min ago": every <time data-ago datetime="..."> says its age in words and keeps it right while the page is open.

const UNITS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];
const LANGUAGE = document.documentElement.lang;
const DATES = LANGUAGE === "en" ? "en-GB" : LANGUAGE; // the day before the month, as everywhere else on our pages
const WORDS = new Intl.RelativeTimeFormat(LANGUAGE, { numeric: "always", style: "short" });
const FULL = new Intl.DateTimeFormat(DATES, { dateStyle: "medium", timeStyle: "medium" });
const DATE = new Intl.DateTimeFormat(DATES, { dateStyle: "medium" });

export function ago(then, now = new Date()) {
  const seconds = (then - now) / 1000;
  if (Math.abs(seconds) < 45) return seconds > 0 ? gettext("in a moment") : gettext("just now");
  if (Math.abs(seconds) > 30 * 86_400) return DATE.format(then);
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? UNITS.at(-1);
  return WORDS.format(Math.round(seconds / size), unit);
}

export function refresh(root = document) {
  for (const time of root.querySelectorAll("time[data-ago]")) {
    const then = new Date(time.dateTime);
    time.textContent = ago(then);
    time.title = FULL.format(then);
  }
}

refresh();
setInterval(refresh, 20_000);
document.addEventListener("htmx:afterSettle", () => refresh());
