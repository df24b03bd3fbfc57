// Every action of the ranking page has a key. A letter that names a text always means the text; its command is then Shift.

import { leaveOut, letGo, operate, pickUp, step, strengthen, takeBack, toTier, withOrder } from "./state.js";

export const HELP = [
  ["a … i", "take that text in hand (and scroll to it)"],
  ["1 … 9", "put it in that place"],
  ["0", "leave it out of the order"],
  ["=", "tie it with the next letter"],
  [">", "the next letter is worse; again for stronger"],
  ["← →", "move it one step better or worse"],
  ["+ −", "make the difference larger or smaller"],
  ["Backspace", "take it back off the rail"],
  ["Esc", "let it go"],
  ["v", "show two texts side by side: the one in hand, then the letter of the other"],
  ["o", "unfold the long text in hand, or all of them; again to fold"],
  ["x", "all are bad"],
  ["n", "say that it cannot be ranked"],
  ["e", "write a better version of the text in hand (Shift+E where there is a text E)"],
  ["/", "write a reason"],
  ["f", "flag the text in hand (Shift+F where there is a text F)"],
  ["s", "skip this task"],
  ["u", "correct the ranking that you submitted last"],
  ["Ctrl Enter", "submit"],
  ["?", "show these keys"],
];

const STEPS = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 };

/** What a key does to the state; null where it does nothing to it. */
export function afterKey(state, key) {
  const letter = key.toLowerCase();
  if (key === letter && state.letters.includes(letter)) return pickUp(state, letter);
  if (/^[1-9]$/.test(key)) return state.held && toTier(state, Number(key));
  if (key === "0") return state.held && withOrder(state, leaveOut(state.order, state.held));
  if (key === "=" || key === ">") return state.held && operate(state, key);
  if (key in STEPS) return state.held && step(state, STEPS[key]);
  if (key === "+" || key === "-") return strengthen(state, key === "+" ? 1 : -1);
  if (key === "Backspace") return state.held && takeBack(state);
  if (key === "Escape") return state.held && letGo(state);
  return null;
}

/** The command of a key, for what is no change of the order: "all_bad", "cannot_rank", "better", "reason", "flag", "skip", "undo", "help", "compare", "unfold". */
export function commandOf(state, key) {
  const commands = {
    x: "all_bad", n: "cannot_rank", e: "better", "/": "reason", f: "flag", s: "skip", u: "undo", "?": "help", v: "compare", o: "unfold",
  };
  if (state.letters.includes(key)) return null;
  return commands[key.toLowerCase()] ?? commands[key] ?? null;
}
