// What a rater submitted and the server has not confirmed: kept in this browser under her own name, one entry a submission.

const PREFIX = "steadyhand.waiting.";

/**
 * @typedef {{
 *   id: string, kind: "ranking" | "correction" | "skip", url: string, fields: [string, string][], assignment: string,
 *   campaign: string, asked: string, rankUrl: string, draft: object, at: number, refused: string, code: string
 * }} Waiting  `id` is the client uuid; `refused` is the server's sentence, empty where it was not refused
 */

/** One key an entry: two tabs that add at the same time lose nothing of each other's. */
export class Store {
  constructor(rater) {
    this.prefix = `${PREFIX}${rater}.`;
    this.unkept = new Map(); // where the browser keeps nothing: gone with the page, which the page then says
  }

  /** @returns {Waiting[]} in the order in which they were submitted */
  all() {
    const entries = [...this.unkept.values()];
    for (const key of this.keys()) {
      const entry = read(key);
      if (entry) entries.push(entry);
    }
    return entries.sort((one, other) => one.at - other.at || one.id.localeCompare(other.id));
  }

  keys() {
    try {
      return Object.keys(localStorage).filter((key) => key.startsWith(this.prefix));
    } catch {
      return []; // storage is off in this browser
    }
  }

  put(entry) {
    try {
      localStorage.setItem(this.prefix + entry.id, JSON.stringify(entry));
      this.unkept.delete(entry.id);
    } catch {
      this.remove(entry.id); // of two versions of one, the newer one counts
      this.unkept.set(entry.id, entry); // off, or full
    }
  }

  remove(id) {
    this.unkept.delete(id);
    try {
      localStorage.removeItem(this.prefix + id);
    } catch {
      // off: it was never there
    }
  }

  has(id) {
    return this.all().some((entry) => entry.id === id);
  }

  isOurs(key) {
    return key === null || key.startsWith(this.prefix);
  }
}

function read(key) {
  try {
    const entry = JSON.parse(localStorage.getItem(key));
    return entry?.id && entry.url && Array.isArray(entry.fields) ? entry : null;
  } catch {
    return null; // half an entry of another version: left where it is
  }
}
