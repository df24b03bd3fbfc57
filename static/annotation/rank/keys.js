// Every action of the ranking page has a key. A letter that names a text always means the text; its action is then Shift.

import { leaveOut, letGo, operate, pickUp, step, strengthen, takeBack, toTier, withOrder } from "./state.js";

const FIXED_STEPS = { ArrowUp: -1, ArrowDown: 1 };

const OTHER_SIDE = { ArrowLeft: "ArrowRight", ArrowRight: "ArrowLeft", "←": "→", "→": "←" };
const isRtl = () => document.documentElement.dir === "rtl";

/**
 * The key of an event as this page means it. Left and right are named as where lines run from left to right: where they run
 * the other way, a letter goes where the arrow points. On a keyboard that writes no Latin letters, the place of a key counts.
 */
export function pressed({ key, code = "", shiftKey }) {
  if (isRtl() && key in OTHER_SIDE) return OTHER_SIDE[key];
  if (/^[ -~]+$/.test(key)) return key;
  if (/\p{Nd}/u.test(key)) return code.match(/^(?:Digit|Numpad)(\d)$/)?.[1] ?? key;
  const letter = code.match(/^Key([A-Z])$/)?.[1] ?? key;
  return shiftKey ? letter : letter.toLowerCase();
}

/** Arrows in what is shown of keys, as they are pressed on this page. */
export function inReadingOrder(words) {
  return isRtl() ? words.replaceAll(/[←→]/g, (arrow) => OTHER_SIDE[arrow]) : words;
}

/** What the keys of actions do to the state; null where there is nothing to do it to. */
const DOES = {
  tie: (state) => state.held && operate(state, "="),
  worse: (state) => state.held && operate(state, ">"),
  step_better: (state) => state.held && step(state, -1),
  step_worse: (state) => state.held && step(state, 1),
  stronger: (state) => strengthen(state, 1),
  weaker: (state) => strengthen(state, -1),
  take_back: (state) => state.held && takeBack(state),
};

/** The action that `key` is chosen for in `keys` (action -> key); null where it is none, or names a text of this task. */
export function actionOf(keys, letters, key) {
  if (letters.includes(key)) return null;
  const has = (wanted) => Object.keys(keys).find((action) => keys[action] === wanted) ?? null;
  return has(key) ?? has(key.toLowerCase());
}

/** What a key does to the state; null where it does nothing to it. */
export function afterKey(state, key, keys) {
  if (state.letters.includes(key)) return pickUp(state, key);
  if (/^[1-9]$/.test(key)) return state.held && toTier(state, Number(key));
  if (key === "0") return state.held && withOrder(state, leaveOut(state.order, state.held));
  if (key in FIXED_STEPS) return state.held && step(state, FIXED_STEPS[key]);
  if (key === "Escape") return state.held && letGo(state);
  return DOES[actionOf(keys, state.letters, key)]?.(state) ?? null;
}

/** The action of a key, for what is no change of the order: "all_bad", "reason", "skip", "undo", ... */
export function commandOf(state, key, keys) {
  const action = actionOf(keys, state.letters, key);
  return action in DOES ? null : action;
}
