// The texts on the page: long ones fold, letters can be taken from them, flags show what is set. They never change places.

import { draggable } from "./drag.js";
import { hint } from "./help.js";

const FOLDED_PX = 520;
const UNFOLDED = "unfolded";
const WORTH_IT = 1.3; // folding away a few lines helps nobody

/**
 * Makes the texts ready. `hold(letter)` on a press of a letter, `drop(letter, where)` when it is dragged to the rail,
 * `compare(letter)` on a press of that button. What was unfolded in `assignment` stays so in this tab.
 */
export function openTexts(rail, { hold, drop, compare, assignment }) {
  const open = new Opened(assignment);
  for (const text of document.querySelectorAll("#task .text")) {
    fold(text, open);
    reachFormulas(text);
    text.querySelector("button.compare").addEventListener("click", () => compare(text.dataset.letter));
    const { letter } = text.dataset;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "letter";
    button.textContent = letter.toUpperCase();
    button.setAttribute("aria-label", interpolate(gettext("Take text %(letter)s in hand"), { letter: letter.toUpperCase() }, true));
    button.addEventListener("click", () => hold(letter));
    draggable(button, rail, (where) => drop(letter, where));
    const heading = text.querySelector("h3.letter");
    heading.classList.add("visually-hidden");
    heading.textContent = interpolate(gettext("Text %(letter)s"), { letter: letter.toUpperCase() }, true);
    heading.after(button);
  }
}

/** Letters of the texts that were unfolded: of one task, in this tab, so that a reload folds nothing that somebody reads. */
class Opened {
  constructor(assignment) {
    this.assignment = assignment;
    const kept = read();
    this.letters = new Set(kept?.assignment === assignment ? kept.letters : []);
  }

  set(letter, isOpen) {
    if (isOpen) this.letters.add(letter);
    else this.letters.delete(letter);
    try {
      sessionStorage.setItem(UNFOLDED, JSON.stringify({ assignment: this.assignment, letters: [...this.letters] }));
    } catch {
      // storage is off in this browser: a reload folds them again
    }
  }
}

function read() {
  try {
    return JSON.parse(sessionStorage.getItem(UNFOLDED));
  } catch {
    return null;
  }
}

/** A formula that is wider than its text scrolls: with arrows too, so it can be reached. */
function reachFormulas(text) {
  for (const formula of text.querySelectorAll(".formula")) {
    if (formula.scrollWidth <= formula.clientWidth) continue;
    formula.tabIndex = 0;
    formula.setAttribute("role", "group");
    formula.setAttribute("aria-label", gettext("A wide formula"));
  }
}

function fold(text, open) {
  const words = text.querySelector(":scope > .words");
  if (!words || words.scrollHeight < FOLDED_PX * WORTH_IT) return;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "btn quiet small fold";
  const { letter } = text.dataset;
  const show = (isFolded) => {
    words.classList.toggle("folded", isFolded);
    button.replaceChildren(`${isFolded ? gettext("Show all") : gettext("Show less")} `, hint("unfold"));
    button.setAttribute("aria-expanded", String(!isFolded));
  };
  button.addEventListener("click", () => {
    show(!words.classList.contains("folded"));
    open.set(letter, !words.classList.contains("folded"));
    if (words.classList.contains("folded")) text.scrollIntoView({ block: "nearest" });
  });
  show(!open.letters.has(letter));
  text.append(button);
}

/** Unfolds the text `letter`, or folds it again; without a letter all of them, to one side. */
export function unfold(letter) {
  const here = letter === null ? "#task .text" : `#text-${letter}`;
  const folds = [...document.querySelectorAll(`${here} > button.fold`)];
  const isAnyFolded = folds.some((button) => button.getAttribute("aria-expanded") === "false");
  for (const button of folds) if ((button.getAttribute("aria-expanded") === "false") === isAnyFolded) button.click();
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

/** Labels within a sentence; German nouns keep their capitals. */
function inSentence(labels) {
  return document.documentElement.lang === "de" ? labels : labels.toLocaleLowerCase();
}

/** Says on each text what is flagged there. */
export function markFlags() {
  for (const text of document.querySelectorAll("#task .text")) {
    const labels = [...text.querySelectorAll("input[name=flag]:checked")].map((box) => box.labels[0].textContent);
    const words = text.querySelector(".flag-words");
    words.textContent = labels.length
      ? interpolate(gettext("Flagged: %(flags)s"), { flags: inSentence(labels.join(gettext(", "))) }, true)
      : gettext("Flag");
    text.querySelector(".flags").classList.toggle("set", labels.length > 0);
  }
}
