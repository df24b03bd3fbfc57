// Two texts side by side in a panel: opened by `v` and two letters, or by a press; letters change it; Escape closes it.

const panel = () => document.querySelector("#compare");

/** Which two are shown: `shown` [left, right] after the letter `next` was pressed. Pure. */
export function paired([left, right], next) {
  if (next === right) return [left, right];
  return next === left ? [right, left] : [left, next];
}

/** The letters to begin with: the one in hand and the one after it, in the order of the page. */
export function firstPair(letters, held) {
  const at = held === null ? 0 : letters.indexOf(held);
  return at + 1 < letters.length ? [letters[at], letters[at + 1]] : [letters[at], letters[at - 1]];
}

/** Opens the panel on `pair`; the server says what differs. `url` is the task's own. */
export function compare(url, pair) {
  show(url, pair);
  if (!panel().open) panel().showModal();
}

function show(url, [left, right]) {
  const query = new URLSearchParams({ left, right });
  window.htmx.ajax("GET", `${url}?${query}`, { target: "#compare-panel", swap: "innerHTML" }).then(() => {
    panel().querySelector(".sides")?.focus(); // so that arrows scroll it
  });
}

/** `key` is a letter pressed while the panel is open: the pair it shows next; null where it is none of ours. */
export function keyInPanel(event, key, letters) {
  if (!panel()?.open || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select")) return null;
  const chosen = ["left", "right"].map((side) => panel().querySelector(`[name=${side}]`)?.value);
  return letters.includes(key) && chosen.every(Boolean) ? paired(chosen, key) : null;
}
