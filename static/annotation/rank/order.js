// The typed line `b > a=d >> c, not e` and back: parsing, checking and writing weak orders. Pure: no DOM.

/**
 * @typedef {{tiers: string[][], strengths: number[], leftOut: string[]}} Order  tiers best first; strengths[i], 1..4, lies
 * between tier i and i+1; `leftOut` are not ranked on purpose
 */

export const STRENGTHS = [gettext("a little better"), gettext("better"), gettext("much better"), gettext("far better")];
export const FEWEST = 2; // ranked texts: of one alone nothing follows
export const EMPTY = Object.freeze({ tiers: [], strengths: [], leftOut: [] });

/**
 * Reads a line. Letters that it does not name are simply not ranked yet, and an operator may still hang at its end.
 * @returns {{order: Order | null, error: string}} `order` is null where `error` says what to mend
 */
export function parseOrder(line, letters) {
  const [ranked, ...rest] = line.toLowerCase().split(/[,;]?\s*\bnot\b/);
  const tokens = ranked.match(/[a-z]|>+|=+|[^\sa-z>=]/g) ?? [];
  const tiers = [];
  const strengths = [];
  const seen = new Set();
  let operator = null;
  for (const token of tokens) {
    if (/^[>=]/.test(token)) {
      const error = operatorError(token, operator, tiers);
      if (error) return refused(error);
      operator = token;
      continue;
    }
    const error = letterError(token, { letters, seen, operator, tiers });
    if (error) return refused(error);
    seen.add(token);
    if (operator?.startsWith("=")) {
      tiers.at(-1).push(token);
    } else {
      if (tiers.length) strengths.push(operator.length);
      tiers.push([token]);
    }
    operator = null;
  }
  const { leftOut, error } = parseLeftOut(rest, { letters, seen });
  return error ? refused(error) : { order: { tiers, strengths, leftOut }, error: "" };
}

/** What follows "not", of which there is one at most. */
function parseLeftOut(parts, { letters, seen }) {
  if (parts.length > 1) return { error: gettext("Write “not” once, at the end: not c d.") };
  const leftOut = (parts[0] ?? "").match(/[^\s,]/g) ?? [];
  for (const letter of leftOut) {
    if (!/[a-z]/.test(letter)) return { error: interpolate(gettext("“%(letter)s” means nothing after “not”: name letters alone."), { letter }, true) };
    if (!letters.includes(letter)) return { error: noText(letter) };
    if (seen.has(letter)) return { error: standsTwice(letter) };
    seen.add(letter);
  }
  return { leftOut: leftOut.sort(), error: "" };
}

function refused(error) {
  return { order: null, error };
}

function operatorError(token, previous, tiers) {
  if (!tiers.length) return interpolate(gettext("Start with a letter, not with %(token)s."), { token }, true);
  if (previous) return interpolate(gettext("Put a letter between %(previous)s and %(token)s."), { previous, token }, true);
  if (token.startsWith("=") && token.length > 1) return gettext("One = ties two letters.");
  if (token.length > STRENGTHS.length) return gettext("Four > are the most.");
  return "";
}

function letterError(token, { letters, seen, operator, tiers }) {
  if (!/[a-z]/.test(token)) return interpolate(gettext("“%(token)s” means nothing here: use letters, > and =."), { token }, true);
  if (!letters.includes(token)) return noText(token);
  if (seen.has(token)) return standsTwice(token);
  if (tiers.length && !operator) return interpolate(gettext("Put > or = before %(letter)s."), { letter: token.toUpperCase() }, true);
  return "";
}

const noText = (letter) => interpolate(gettext("There is no text %(letter)s."), { letter: letter.toUpperCase() }, true);
const standsTwice = (letter) => interpolate(gettext("%(letter)s stands twice."), { letter: letter.toUpperCase() }, true);

/** The line of an order, as a person would type it. */
export function formatOrder({ tiers, strengths, leftOut }) {
  const ranked = tiers.map((tier, i) => (i ? ` ${">".repeat(strengths[i - 1])} ` : "") + tier.join("=")).join("");
  return leftOut.length ? `${ranked}${ranked ? ", " : ""}not ${leftOut.join(" ")}` : ranked;
}

/** Letters of which nothing is said yet, in their own order. */
export function unranked({ tiers, leftOut }, letters) {
  const placed = new Set([...tiers.flat(), ...leftOut]);
  return letters.filter((letter) => !placed.has(letter));
}

/** Where a letter stands: the index of its tier, or -1 in the tray. */
export function tierOf({ tiers }, letter) {
  return tiers.findIndex((tier) => tier.includes(letter));
}
