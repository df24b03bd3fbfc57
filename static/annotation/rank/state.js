// One task's judgement as it grows: the order, the letter in hand, flags, reason. Every change is a pure function. No DOM.

import { EMPTY, FEWEST, STRENGTHS, parseOrder, tierOf, unranked } from "./order.js";

/**
 * `held` is the letter in hand; `pending` is an operator typed after it ("=", ">" ... ">>>>"), which the next letter obeys.
 */
export function freshState(letters) {
  return { letters, order: EMPTY, held: null, pending: "", allBad: false, flags: {}, reason: "" };
}

export function withOrder(state, order) {
  return { ...state, order, pending: "" };
}

/** Takes a letter out of the order; a tier left empty goes, and the wider of the two gaps beside it stays. */
export function without({ tiers, strengths, leftOut: out }, letter) {
  const at = tierOf({ tiers }, letter);
  const leftOut = out.filter((x) => x !== letter);
  if (at < 0) return { tiers, strengths, leftOut };
  if (tiers[at].length > 1) {
    return { tiers: tiers.map((tier, i) => (i === at ? tier.filter((x) => x !== letter) : tier)), strengths, leftOut };
  }
  const gaps = [...strengths];
  if (at === 0) gaps.shift();
  else if (at === tiers.length - 1) gaps.pop();
  else gaps.splice(at - 1, 2, Math.max(gaps[at - 1], gaps[at]));
  return { tiers: tiers.filter((_, i) => i !== at), strengths: gaps, leftOut };
}

/** Ties a letter with the tier that holds `anchor`. */
export function tied(order, letter, anchor) {
  if (letter === anchor) return order;
  const { tiers, strengths, leftOut } = without(order, letter);
  const at = tierOf({ tiers }, anchor);
  return { tiers: tiers.map((tier, i) => (i === at ? [...tier, letter] : tier)), strengths, leftOut };
}

/** Puts a letter into a tier of its own after `index` tiers (0: before all), counted as the tiers stand now. */
export function inserted(order, letter, index, strength = 1) {
  const at = tierOf(order, letter);
  const isAlone = at >= 0 && order.tiers[at].length === 1;
  if (isAlone && (index === at || index === at + 1)) return order; // it already stands there
  const target = isAlone && index > at ? index - 1 : index;
  const { tiers, strengths, leftOut } = without(order, letter);
  const gaps = [...strengths];
  if (tiers.length) gaps.splice(Math.max(target - 1, 0), 0, strength);
  return { tiers: [...tiers.slice(0, target), [letter], ...tiers.slice(target)], strengths: gaps, leftOut };
}

/** Says of letters that they are not ranked on purpose. */
export function leaveOut(order, ...letters) {
  const rest = letters.reduce(without, order);
  return { ...rest, leftOut: [...rest.leftOut, ...letters].sort() };
}

/** Sets how much better tier `gap` is than the next, within 1..4. */
export function withStrength(state, gap, strength) {
  const bounded = Math.min(STRENGTHS.length, Math.max(1, strength));
  return withOrder(state, { ...state.order, strengths: state.order.strengths.map((s, i) => (i === gap ? bounded : s)) });
}

/** A letter key: takes the letter into the hand, and places it where an operator waits for it. */
export function pickUp(state, letter) {
  const { order, held, pending } = state;
  if (!pending || held === null || held === letter || tierOf(order, held) < 0) return { ...state, held: letter, pending: "" };
  const next = pending === "="
    ? tied(order, letter, held)
    : inserted(order, letter, tierOf(order, held) + 1, pending.length);
  return { ...state, order: next, held: letter, pending: "" };
}

export function letGo(state) {
  return { ...state, held: null, pending: "" };
}

/** `=` or `>` after a letter: places it if it is still in the tray, then waits for the next letter. `>` again: stronger. */
export function operate(state, operator) {
  const { order, held, pending } = state;
  if (held === null) return state;
  const placed = tierOf(order, held) < 0 ? inserted(order, held, order.tiers.length) : order;
  const grown = operator === ">" && pending.startsWith(">") && pending.length < STRENGTHS.length ? `${pending}>` : operator;
  const isFull = operator === ">" && pending.length === STRENGTHS.length;
  return { ...state, order: placed, pending: isFull ? pending : grown };
}

/** A digit: puts the letter in hand into that tier as shown; one past the last makes a new one. */
export function toTier(state, number) {
  const { order, held } = state;
  if (held === null || number < 1) return state;
  const tier = order.tiers[number - 1];
  if (!tier) return withOrder(state, inserted(order, held, order.tiers.length));
  const anchor = tier.find((letter) => letter !== held);
  return anchor ? withOrder(state, tied(order, held, anchor)) : { ...state, pending: "" };
}

/** An arrow: one step worse (+1) or better (-1). Steps alternate between a tier of its own and a tie with its neighbour. */
export function step(state, direction) {
  const { order, held } = state;
  if (held === null) return state;
  const at = tierOf(order, held);
  if (at < 0) return withOrder(state, inserted(order, held, direction > 0 ? order.tiers.length : 0));
  if (order.tiers[at].length > 1) return withOrder(state, inserted(order, held, direction > 0 ? at + 1 : at));
  const neighbour = order.tiers[at + direction];
  return neighbour ? withOrder(state, tied(order, held, neighbour[0])) : { ...state, pending: "" };
}

/** Backspace: undoes a waiting operator, else puts the letter in hand back into the tray. */
export function takeBack(state) {
  if (state.pending) return { ...state, pending: state.pending.slice(0, -1) };
  return state.held === null ? state : withOrder(state, without(state.order, state.held));
}

/** `+` and `-`: the gap before the letter in hand (after it, where it leads). */
export function strengthen(state, by) {
  const at = state.held === null ? -1 : tierOf(state.order, state.held);
  if (at < 0 || !state.order.strengths.length) return state;
  const gap = Math.max(at - 1, 0);
  return withStrength(state, gap, state.order.strengths[gap] + by);
}

/** The typed line replaces the order where it can be read. */
export function typed(state, line) {
  const { order, error } = parseOrder(line, state.letters);
  return { state: order ? withOrder(state, order) : state, error };
}

export function toggleFlag(state, letter, flag, isOn) {
  const others = (state.flags[letter] ?? []).filter((name) => name !== flag);
  const mine = isOn ? [...others, flag].sort() : others;
  const flags = Object.fromEntries(Object.entries({ ...state.flags, [letter]: mine }).filter(([, names]) => names.length));
  return { ...state, flags };
}

/** The order to submit: where all are bad and none was ranked, all are tied. Null while something is left to say. */
export function finalOrder(state) {
  const { tiers, leftOut } = state.order;
  if (state.allBad && !tiers.length && !leftOut.length) return { ...EMPTY, tiers: [[...state.letters]] };
  return unranked(state.order, state.letters).length || tiers.flat().length < FEWEST ? null : state.order;
}

/** The letters that may be left out if the rater means it: those of which nothing is said, where enough are ranked. */
export function doubtful(state) {
  return state.order.tiers.flat().length < FEWEST ? [] : unranked(state.order, state.letters);
}

/** The state that a kept draft describes; its typed line is read by `typed`. */
export function fromDraft(letters, draft) {
  const state = freshState(letters);
  return { ...state, allBad: Boolean(draft.all_bad), flags: draft.flags ?? {}, reason: draft.reason ?? "" };
}

/** Where a letter stands, in words for a screen reader: "B placed 1st of 3, tied with D." */
export function placeInWords(state, letter) {
  const { tiers } = state.order;
  const at = tierOf(state.order, letter);
  const others = tiers[at]?.filter((x) => x !== letter).map((x) => x.toUpperCase()) ?? [];
  const told = { letter: letter.toUpperCase(), place: ordinals()[at], num: tiers.length, others: joined(others) };
  if (at < 0) return interpolate(state.order.leftOut.includes(letter) ? gettext("%(letter)s is left out.") : gettext("%(letter)s is not ranked."), told, true);
  if (others.length) return interpolate(gettext("%(letter)s placed %(place)s of %(num)s, tied with %(others)s."), told, true);
  return interpolate(gettext("%(letter)s placed %(place)s of %(num)s."), told, true);
}

/** Of nine places at most. */
function ordinals() {
  return [
    gettext("1st"), gettext("2nd"), gettext("3rd"), gettext("4th"), gettext("5th"), gettext("6th"), gettext("7th"), gettext("8th"), gettext("9th"),
  ];
}

/** "B", "B and C", "B and C and D". */
function joined(names) {
  return names.slice(1).reduce((first, second) => interpolate(gettext("%(first)s and %(second)s"), { first, second }, true), names[0] ?? "");
}

/** What a change says beyond where the letter in hand stands: the operator that waits, a gap that grew; else "". */
export function changeInWords(before, after) {
  if (after.held === null && before.held !== null) return interpolate(gettext("%(letter)s let go."), { letter: before.held.toUpperCase() }, true);
  if (after.held && after.pending && after.pending !== before.pending) {
    const told = { letter: after.held.toUpperCase(), strength: STRENGTHS[after.pending.length - 1] };
    const words = after.pending === "=" ? gettext("Tied with %(letter)s: which letter?") : gettext("%(letter)s is %(strength)s than: which letter?");
    return interpolate(words, told, true);
  }
  const isMoved = JSON.stringify(before.order.tiers) !== JSON.stringify(after.order.tiers);
  const gap = isMoved ? -1 : after.order.strengths.findIndex((strength, i) => strength !== before.order.strengths[i]);
  if (gap < 0) return "";
  const places = { better: gap + 1, strength: STRENGTHS[after.order.strengths[gap] - 1], worse: gap + 2 };
  return interpolate(gettext("Place %(better)s is %(strength)s than place %(worse)s."), places, true);
}

/** What is left to do, in words. */
export function restInWords(state) {
  const rest = unranked(state.order, state.letters);
  if (rest.length === state.letters.length) return gettext("None is ranked.");
  if (rest.length) return interpolate(gettext("Not ranked: %(letters)s."), { letters: listed(rest) }, true);
  if (state.order.tiers.flat().length < FEWEST) return gettext("Rank two texts at least, or say why this cannot be ranked.");
  if (!state.order.leftOut.length) return gettext("All are ranked.");
  return interpolate(gettext("Left out: %(letters)s."), { letters: listed(state.order.leftOut) }, true);
}

export function listed(letters) {
  return letters.map((letter) => letter.toUpperCase()).join(gettext(", "));
}
