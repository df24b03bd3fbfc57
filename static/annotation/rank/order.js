// The typed line `b > a=d >> c` and back: parsing, checking and writing weak orders. Pure: no DOM.

/**
 * @typedef {{tiers: string[][], strengths: number[]}} Order  tiers best first; strengths[i], 1..4, lies between tier i and i+1
 */

export const STRENGTHS = ["a little better", "better", "much better", "far better"];
export const EMPTY = Object.freeze({ tiers: [], strengths: [] });

/**
 * Reads a line. Letters that it does not name are simply not ranked yet, and an operator may still hang at its end.
 * @returns {{order: Order | null, error: string}} `order` is null where `error` says what to mend
 */
export function parseOrder(line, letters) {
  const tokens = line.toLowerCase().match(/[a-z]|>+|=+|[^\sa-z>=]/g) ?? [];
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
  return { order: { tiers, strengths }, error: "" };
}

function refused(error) {
  return { order: null, error };
}

function operatorError(token, previous, tiers) {
  if (!tiers.length) return `Start with a letter, not with ${token}.`;
  if (previous) return `Put a letter between ${previous} and ${token}.`;
  if (token.startsWith("=") && token.length > 1) return "One = ties two letters.";
  if (token.length > STRENGTHS.length) return "Four > are the most.";
  return "";
}

function letterError(token, { letters, seen, operator, tiers }) {
  if (!/[a-z]/.test(token)) return `“${token}” means nothing here: use letters, > and =.`;
  if (!letters.includes(token)) return `There is no text ${token.toUpperCase()}.`;
  if (seen.has(token)) return `${token.toUpperCase()} stands twice.`;
  if (tiers.length && !operator) return `Put > or = before ${token.toUpperCase()}.`;
  return "";
}

/** The line of an order, as a person would type it. */
export function formatOrder({ tiers, strengths }) {
  return tiers
    .map((tier, i) => (i ? ` ${">".repeat(strengths[i - 1])} ` : "") + tier.join("="))
    .join("");
}

/** Letters that stand in no tier, in their own order. */
export function unranked({ tiers }, letters) {
  const placed = new Set(tiers.flat());
  return letters.filter((letter) => !placed.has(letter));
}

/** Where a letter stands: the index of its tier, or -1 in the tray. */
export function tierOf({ tiers }, letter) {
  return tiers.findIndex((tier) => tier.includes(letter));
}
