// What a person has unfolded on the page of a run stays so, and scrolled as it was, when the page fetches its news.

const live = document.querySelector("#live");
let before = new Map(); // summary -> {open, top}

const nameOf = (details) => details.querySelector("summary").textContent;

live.addEventListener("htmx:beforeSwap", () => {
  const held = [...live.querySelectorAll("details")];
  before = new Map(held.map((one) => [nameOf(one), { open: one.open, top: one.querySelector(".log")?.scrollTop ?? 0 }]));
});

live.addEventListener("htmx:afterSwap", () => {
  for (const details of live.querySelectorAll("details")) {
    const was = before.get(nameOf(details));
    if (!was) continue;
    details.open = was.open;
    const log = details.querySelector(".log");
    if (log) log.scrollTop = was.top;
  }
});
