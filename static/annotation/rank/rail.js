// The rail: letters in the tray, in tiers, and the gaps between. Drawn anew from the state; texts on the page never move.

import { STRENGTHS, unranked } from "./order.js";
import { inserted, tied, withOrder, withStrength, without } from "./state.js";

/** Draws `state` into `root`. `change(state)` is called with what a hand did; `hold(letter)` when a letter is picked up. */
export function drawRail(root, state, { change, hold }) {
  const focused = document.activeElement?.closest("#rail [data-letter]")?.dataset.letter;
  const { tiers, strengths } = state.order;
  const parts = [tray(state), word("Best")];
  parts.push(slot(0));
  tiers.forEach((tier, i) => {
    parts.push(tierBox(tier, i, state));
    parts.push(i < strengths.length ? gap(i, strengths[i], (strength) => change(withStrength(state, i, strength))) : slot(tiers.length));
  });
  parts.push(word("Worst"));
  root.replaceChildren(...parts);
  root.querySelectorAll("[data-letter]").forEach((button) => {
    button.addEventListener("click", () => hold(button.dataset.letter));
    button.addEventListener("pointerdown", (event) => drag(event, button, root, (target) => change(dropped(state, button.dataset.letter, target))));
  });
  if (focused) root.querySelector(`[data-letter="${focused}"]`)?.focus();
}

function make(tag, className, text = "") {
  return Object.assign(document.createElement(tag), { className, textContent: text });
}

function word(text) {
  return make("span", "end tiny", text);
}

function letterButton(letter, state) {
  const button = make("button", "letter", letter.toUpperCase());
  button.type = "button";
  button.dataset.letter = letter;
  button.setAttribute("aria-pressed", String(state.held === letter));
  button.setAttribute("aria-label", `Text ${letter.toUpperCase()}`);
  return button;
}

function tray(state) {
  const box = make("span", "tray");
  box.dataset.drop = "tray";
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "Not ranked yet");
  const rest = unranked(state.order, state.letters);
  box.append(...rest.map((letter) => letterButton(letter, state)));
  if (!rest.length) box.append(make("span", "tiny", "all ranked"));
  return box;
}

function tierBox(tier, index, state) {
  const box = make("span", "tier");
  box.dataset.drop = `tier ${index}`;
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", `Place ${index + 1}`);
  box.append(...tier.map((letter) => letterButton(letter, state)));
  return box;
}

function slot(index) {
  const box = make("span", "slot");
  box.dataset.drop = `slot ${index}`;
  return box;
}

/** The gap after tier `index`: four notches for how much better, and a place to drop a letter into a tier of its own. */
function gap(index, strength, choose) {
  const box = make("span", "gap");
  box.dataset.drop = `slot ${index + 1}`;
  const button = make("button", "notches");
  button.type = "button";
  button.setAttribute("aria-label", `${STRENGTHS[strength - 1]}; press for stronger`);
  for (let i = 0; i < STRENGTHS.length; i += 1) button.append(make("i", i < strength ? "on" : ""));
  button.addEventListener("click", () => choose((strength % STRENGTHS.length) + 1));
  box.append(button, make("span", "tiny", STRENGTHS[strength - 1]));
  return box;
}

/** Where a letter was let go: "tray", "tier 1", "slot 2". */
function dropped(state, letter, target) {
  const [kind, number] = target.split(" ");
  if (kind === "tray") return withOrder(state, without(state.order, letter));
  if (kind === "slot") return withOrder(state, inserted(state.order, letter, Number(number)));
  const anchor = state.order.tiers[Number(number)].find((other) => other !== letter);
  return anchor ? withOrder(state, tied(state.order, letter, anchor)) : state;
}

const FAR_ENOUGH = 5; // px: less is a click with an unsteady hand

function drag(event, button, root, drop) {
  if (event.button !== 0) return;
  const from = { x: event.clientX, y: event.clientY };
  let isDragged = false;
  let over = null;
  const move = (at) => {
    const dx = at.clientX - from.x;
    const dy = at.clientY - from.y;
    if (!isDragged && Math.hypot(dx, dy) < FAR_ENOUGH) return;
    isDragged = true;
    button.classList.add("dragged");
    button.style.setProperty("--dx", `${dx}px`);
    button.style.setProperty("--dy", `${dy}px`);
    over?.classList.remove("over");
    over = document.elementsFromPoint(at.clientX, at.clientY).find((x) => x !== button && x.dataset?.drop && root.contains(x)) ?? null;
    over?.classList.add("over");
  };
  const end = (at) => {
    removeEventListener("pointermove", move);
    removeEventListener("pointerup", end);
    removeEventListener("pointercancel", end);
    button.classList.remove("dragged");
    over?.classList.remove("over");
    if (!isDragged) return;
    button.addEventListener("click", (click) => click.stopImmediatePropagation(), { once: true, capture: true });
    if (over && at.type === "pointerup") drop(over.dataset.drop);
  };
  addEventListener("pointermove", move);
  addEventListener("pointerup", end);
  addEventListener("pointercancel", end);
}
