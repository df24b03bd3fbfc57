// Numbers as a person reads them, and the table behind a chart.

const MOST_ROWS = 200;
const LANGUAGE = document.documentElement.lang;
export const DATES = LANGUAGE === "en" ? "en-GB" : `${LANGUAGE}-u-nu-latn`; // the day before the month, in digits as on the axes
const NUMBERS = new Intl.NumberFormat(`${LANGUAGE}-u-nu-latn`, { maximumFractionDigits: 10 });
const POINT = NUMBERS.formatToParts(0.5).find(({ type }) => type === "decimal").value;

// Three or four digits that matter; very small and very large ones as powers of ten.
export function shown(value) {
  if (value === null || value === undefined) return "";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(2).replace("e+", "e").replace(/\.?0+e/, "e").replace(".", POINT);
  if (Number.isInteger(value)) return NUMBERS.format(value);
  return NUMBERS.format(size >= 1000 ? Math.round(value) : Number(value.toPrecision(4)));
}

export const dayOf = (seconds) => new Date(seconds * 1000).toLocaleDateString(DATES, { day: "numeric", month: "short" });

// A value of the x axis in words.
export function placeOn({ scale }, value) {
  if (scale === "time") return new Date(value * 1000).toLocaleString(DATES);
  return scale === "day" ? `${dayOf(value)} ${new Date(value * 1000).getFullYear()}` : shown(value);
}

function row(kind, words) {
  const made = document.createElement("tr");
  words.forEach((word, index) => {
    const cell = document.createElement(index === 0 || kind === "th" ? "th" : "td");
    cell.scope = kind === "th" ? "col" : "row";
    if (kind === "td" && index > 0) cell.removeAttribute("scope");
    if (index > 0) cell.className = "num";
    cell.textContent = word;
    made.append(cell);
  });
  return made;
}

// Every nth row where there are too many, the last always.
export function tableOf({ x, series }) {
  const table = document.createElement("table");
  table.className = "data";
  const head = table.createTHead();
  head.append(row("th", [x.label, ...series.map((one) => one.label)]));
  const body = table.createTBody();
  const every = Math.ceil(x.values.length / MOST_ROWS);
  x.values.forEach((value, at) => {
    if (at % every !== 0 && at !== x.values.length - 1) return;
    body.append(row("td", [placeOn(x, value), ...series.map((one) => withInterval(one, at))]));
  });
  if (every > 1) table.createCaption().textContent = interpolate(gettext("One of every %(every)s of %(num)s values."), { every, num: shown(x.values.length) }, true);
  return table;
}

export function withInterval(one, at) {
  const value = shown(one.values[at]);
  if (!value || one.low?.[at] === undefined || one.low[at] === null) return value;
  return interpolate(gettext("%(value)s (%(low)s to %(high)s)"), { value, low: shown(one.low[at]), high: shown(one.high[at]) }, true);
}
