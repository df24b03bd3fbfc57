// The rail: letters in the tray, in tiers, and the gaps between. Drawn anew from the state; texts on the page never move.

import { draggable } from "./drag.js";
import { STRENGTHS, tierOf, unranked } from "./order.js";
import { inserted, leaveOut, tied, withOrder, withStrength, without } from "./state.js";

/** Draws `state` into `root`. `change(state)` is called with what a hand did; `hold(letter)` when a letter is picked up. */
export function drawRail(root, state, { change, hold }) {
  const focused = document.activeElement?.closest("#rail [data-key]")?.dataset.key;
  const { tiers, strengths } = state.order;
  const order = [place("slot 0", "slot")];
  tiers.forEach((tier, i) => {
    order.push(tierBox(tier, i, state));
    if (i < strengths.length) order.push(gap(i, strengths[i], (strength) => change(withStrength(state, i, strength))));
    else order.push(place(`slot ${tiers.length}`, "slot"));
  });
  const [best, worst] = [gettext("Best"), gettext("Worst")];
  const ends = tiers.length ? [word(best), ...order, word(worst)] : [word(best), firstPlace(), word(worst)];
  root.replaceChildren(tray(state), ...ends, ...outside(state));
  for (const button of root.querySelectorAll("button.letter")) {
    const { letter } = button.dataset;
    button.addEventListener("click", (event) => {
      event.stopPropagation();
      const where = placeToTie(state, letter);
      if (where) change(dropped(state, state.held, where));
      else hold(letter);
    });
    draggable(button, root, (where) => change(dropped(state, letter, where)));
  }
  for (const target of root.querySelectorAll("[data-drop]"))
    target.addEventListener("click", () => state.held && change(dropped(state, state.held, target.dataset.drop)));
  if (focused) root.querySelector(`[data-key="${focused}"]`)?.focus();
}

/** A letter from the tray is in hand, and one on the rail is pressed: its place is meant, which on a phone it fills. */
function placeToTie({ order, held }, letter) {
  const isFromTray = held !== null && tierOf(order, held) < 0;
  return isFromTray && tierOf(order, letter) >= 0 ? `tier ${tierOf(order, letter)}` : null;
}

function make(tag, className, text = "") {
  return Object.assign(document.createElement(tag), { className, textContent: text });
}

function word(text) {
  return make("span", "end tiny", text);
}

function place(where, className) {
  const box = make("span", className);
  box.dataset.drop = where;
  return box;
}

function group(where, className, label) {
  const box = place(where, className);
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", label);
  return box;
}

function firstPlace() {
  const box = place("slot 0", "slot first tiny");
  box.append(gettext("drag a letter here, or press one and click here"));
  return box;
}

function letterButton(letter, state) {
  const button = make("button", "letter", letter.toUpperCase());
  button.type = "button";
  button.dataset.letter = letter;
  button.dataset.key = letter;
  button.setAttribute("aria-pressed", String(state.held === letter));
  button.setAttribute("aria-label", interpolate(gettext("Text %(letter)s"), { letter: letter.toUpperCase() }, true));
  return button;
}

function tray(state) {
  const box = group("tray", "tray", gettext("Not ranked yet"));
  const rest = unranked(state.order, state.letters);
  box.append(...rest.map((letter) => letterButton(letter, state)));
  if (!rest.length) box.append(make("span", "tiny", gettext("all placed")));
  return box;
}

/** Where letters lie that are left out on purpose; there once something is ranked. */
function outside(state) {
  const { tiers, leftOut } = state.order;
  if (!tiers.length && !leftOut.length) return [];
  const box = group("out", "tray out", gettext("Left out of the order"));
  box.append(make("span", "tiny", gettext("left out")), ...leftOut.map((letter) => letterButton(letter, state)));
  return [box];
}

function tierBox(tier, index, state) {
  const box = group(`tier ${index}`, "tier", interpolate(gettext("Place %(number)s"), { number: index + 1 }, true));
  box.append(...tier.map((letter) => letterButton(letter, state)));
  return box;
}

/** The gap after tier `index`: four notches for how much better, and a place to drop a letter into a tier of its own. */
function gap(index, strength, choose) {
  const box = place(`slot ${index + 1}`, "gap");
  const button = make("button", "notches");
  button.type = "button";
  button.dataset.key = `gap ${index}`;
  button.title = gettext("How much better? Press to change");
  const places = { better: index + 1, strength: STRENGTHS[strength - 1], worse: index + 2 };
  const words = gettext("Place %(better)s is %(strength)s than place %(worse)s: press to change");
  button.setAttribute("aria-label", interpolate(words, places, true));
  for (let i = 0; i < STRENGTHS.length; i += 1) button.append(make("i", i < strength ? "on" : ""));
  button.addEventListener("click", (event) => {
    event.stopPropagation();
    choose((strength % STRENGTHS.length) + 1);
  });
  box.append(button, make("span", "tiny", STRENGTHS[strength - 1]));
  return box;
}

/** The state after a letter was put somewhere: "tray", "out", "tier 1", "slot 2". */
export function dropped(state, letter, where) {
  const [kind, number] = where.split(" ");
  const held = { ...state, held: letter };
  if (kind === "tray") return withOrder(held, without(state.order, letter));
  if (kind === "out") return withOrder(held, leaveOut(state.order, letter));
  if (kind === "slot") return withOrder(held, inserted(state.order, letter, Number(number)));
  const anchor = state.order.tiers[Number(number)].find((other) => other !== letter);
  return anchor ? withOrder(held, tied(state.order, letter, anchor)) : held;
}
