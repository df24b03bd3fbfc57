// The texts on the page: long ones fold, letters can be taken from them, flags show what is set. They never change places.

import { draggable } from "./drag.js";

const FOLDED_PX = 520;
const WORTH_IT = 1.3; // folding away a few lines helps nobody

/** Makes the texts ready. `hold(letter)` on a press of a letter, `drop(letter, where)` when it is dragged to the rail. */
export function openTexts(rail, { hold, drop }) {
  for (const text of document.querySelectorAll("#task .text")) {
    fold(text);
    const { letter } = text.dataset;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "letter";
    button.textContent = letter.toUpperCase();
    button.setAttribute("aria-label", `Take text ${letter.toUpperCase()} in hand`);
    button.addEventListener("click", () => hold(letter));
    draggable(button, rail, (where) => drop(letter, where));
    const heading = text.querySelector("h3.letter");
    heading.classList.add("visually-hidden");
    heading.textContent = `Text ${letter.toUpperCase()}`;
    heading.after(button);
  }
}

function fold(text) {
  const words = text.querySelector(":scope > .words");
  if (!words || words.scrollHeight < FOLDED_PX * WORTH_IT) return;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "btn quiet small";
  const show = (isFolded) => {
    words.classList.toggle("folded", isFolded);
    button.textContent = isFolded ? "Show all" : "Show less";
    button.setAttribute("aria-expanded", String(!isFolded));
  };
  button.addEventListener("click", () => {
    show(!words.classList.contains("folded"));
    if (words.classList.contains("folded")) text.scrollIntoView({ block: "nearest" });
  });
  show(true);
  text.append(button);
}

/** Marks the text in hand, and scrolls to it where it was just taken. */
export function markHeld(letter, { scroll = false } = {}) {
  for (const text of document.querySelectorAll("#task .text")) {
    const isHeld = text.dataset.letter === letter;
    text.classList.toggle("held", isHeld);
    text.querySelector("button.letter").setAttribute("aria-pressed", String(isHeld));
    if (isHeld && scroll) text.scrollIntoView({ block: "nearest", inline: "center", behavior: calm() ? "instant" : "smooth" });
  }
}

function calm() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** Says on each text what is flagged there. */
export function markFlags() {
  for (const text of document.querySelectorAll("#task .text")) {
    const labels = [...text.querySelectorAll("input[name=flag]:checked")].map((box) => box.labels[0].textContent);
    const words = text.querySelector(".flag-words");
    words.textContent = labels.length ? `Flagged: ${labels.join(", ").toLowerCase()}` : "Flag";
    text.querySelector(".flags").classList.toggle("set", labels.length > 0);
  }
}
