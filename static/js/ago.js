// "3 min ago": every <time data-ago datetime="..."> says its age in words and keeps it right while the page is open.

const UNITS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];
const WORDS = new Intl.RelativeTimeFormat("en", { numeric: "always", style: "short" });
const FULL = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const DATE = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium" });

export function ago(then, now = new Date()) {
  const seconds = (then - now) / 1000;
  if (Math.abs(seconds) < 45) return seconds > 0 ? "in a moment" : "just now";
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
