// What a person has unfolded stays so, and scrolled as it was, where a page fetches its news and puts them in the place of the old.

const held = new WeakMap(); // element that is filled anew -> Map of summary -> {open, top}

// Two that say the same are told apart by their order.
function byName(element) {
  const found = new Map();
  for (const details of element.querySelectorAll("details")) {
    const name = details.querySelector("summary").textContent;
    let nth = 0;
    while (found.has(`${name} ${nth}`)) nth += 1;
    found.set(`${name} ${nth}`, details);
  }
  return found;
}

document.addEventListener("htmx:beforeSwap", ({ detail: { target } }) => {
  const told = [...byName(target)].map(([name, one]) => [
    name,
    { open: one.open, top: one.querySelector(".log")?.scrollTop ?? 0 },
  ]);
  held.set(target, new Map(told));
});

document.addEventListener("htmx:afterSwap", ({ detail: { target } }) => {
  const before = held.get(target);
  if (!before) return;
  for (const [name, details] of byName(target)) {
    const was = before.get(name);
    if (!was) continue;
    details.open = was.open;
    const log = details.querySelector(".log");
    if (log) log.scrollTop = was.top;
  }
});
