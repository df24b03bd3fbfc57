// Sends what waits, in the order of submission, until the server confirms or refuses it. It alone says what is saved.

import { Store } from "./store.js";

const WAIT_MS = { least: 500, most: 30_000 };
const PATIENCE_MS = 20_000; // for one answer
const LATER = [408, 425, 429]; // besides 5xx: the server could not take it now
const ONE_AT_A_TIME = "steadyhand.outbox"; // the lock between tabs

/**
 * Tells "change", "sent" (detail: entry, answer; no answer where another tab sent it) and "refused" (detail: entry).
 * `why`: "" while all goes well, else "offline", "unreachable", "logged_out", "other_person", "stale".
 */
export class Outbox extends EventTarget {
  constructor(rater) {
    super();
    this.store = new Store(rater);
    this.why = navigator.onLine === false ? "offline" : "";
    this.flying = null; // the id of what is on its way
    this.run = null;
    this.failures = 0;
    this.told = 0; // ms that the server asked us to wait
    this.timer = null;
    this.known = new Set(this.waiting().map((entry) => entry.id));
    addEventListener("online", () => this.hurry());
    addEventListener("offline", () => this.waiting().length && this.tell("offline"));
    addEventListener("storage", (event) => this.store.isOurs(event.key) && this.heard());
    document.addEventListener("visibilitychange", () => document.hidden || this.hurry());
  }

  waiting() {
    return this.store.all().filter((entry) => !entry.refused);
  }

  refused() {
    return this.store.all().filter((entry) => entry.refused);
  }

  get isKept() {
    return this.store.unkept.size === 0;
  }

  /** What was submitted last for that assignment and is not taken yet; null where there is nothing such. */
  of(assignment) {
    return this.store.all().filter((entry) => entry.assignment === assignment && entry.kind !== "correction").at(-1) ?? null;
  }

  /** A correction that was sent to that address. */
  to(url) {
    return this.store.all().find((entry) => entry.kind === "correction" && entry.url === url) ?? null;
  }

  put(entry) {
    const newest = this.store.all().at(-1)?.at ?? 0;
    this.store.put({ ...entry, at: Math.max(Date.now(), newest + 1), refused: "", code: "" });
    this.known.add(entry.id);
    this.changed();
    this.hurry();
  }

  /** Takes an entry out, unless it may be on its way: the server then decides by `instead_of`. */
  remove(id) {
    if (id === this.flying) return;
    this.store.remove(id);
    this.known.delete(id);
    this.changed();
  }

  again(id) {
    const entry = this.store.all().find((one) => one.id === id);
    if (entry) this.store.put({ ...entry, refused: "", code: "" });
    this.changed();
    this.hurry();
  }

  hurry() {
    clearTimeout(this.timer);
    this.run ??= this.flush().finally(() => {
      this.run = null;
      this.changed();
      if (this.waiting().length) this.soon();
      else this.failures = 0;
    });
  }

  /** At once where nothing stands in the way (it came while the last one was on its way), else later and later, by lot. */
  soon() {
    clearTimeout(this.timer);
    const most = Math.min(WAIT_MS.most, WAIT_MS.least * 2 ** this.failures);
    const wait = this.failures ? Math.max(this.told, WAIT_MS.least + Math.random() * (most - WAIT_MS.least)) : 0;
    this.timer = setTimeout(() => this.hurry(), wait);
  }

  /** One tab at a time, for the order's sake; the server takes each but once, whatever tabs do. */
  async flush() {
    let isMine = false;
    const send = () => {
      isMine = true;
      return this.sendAll();
    };
    if (!navigator.locks) return send();
    try {
      await navigator.locks.request(ONE_AT_A_TIME, { signal: AbortSignal.timeout(PATIENCE_MS) }, send);
    } catch (error) {
      if (isMine) throw error;
      await send(); // another tab holds on to it and does nothing
    }
  }

  /** Until nothing waits, or something stands in the way. */
  async sendAll() {
    this.heard();
    while (this.waiting().length && (await this.deliver(this.waiting()[0])));
  }

  /** @returns {Promise<boolean>} whether the next one may go */
  async deliver(entry) {
    this.flying = entry.id;
    this.changed();
    const { kind, answer, error, wait } = await post(entry);
    this.flying = null;
    if (kind === "later") {
      this.failures += 1;
      this.told = wait ?? 0;
      this.tell(error);
      return false;
    }
    this.failures = 0;
    this.why = "";
    if (kind === "sent") this.over(entry, answer);
    else this.say("refused", entry, error);
    return true;
  }

  over(entry, answer) {
    this.store.remove(entry.id);
    this.known.delete(entry.id);
    this.changed();
    this.dispatchEvent(new CustomEvent("sent", { detail: { entry, answer } }));
  }

  say(kind, entry, { message, code }) {
    const refused = { ...entry, refused: message, code };
    if (this.store.has(entry.id)) this.store.put(refused);
    this.changed();
    this.dispatchEvent(new CustomEvent(kind, { detail: { entry: refused } }));
  }

  /** What another tab sent is gone from the store. */
  heard() {
    const entries = this.store.all();
    const there = new Set(entries.map((entry) => entry.id));
    for (const id of [...this.known]) {
      if (there.has(id)) continue;
      this.known.delete(id);
      if (id !== this.flying) this.dispatchEvent(new CustomEvent("sent", { detail: { entry: { id }, answer: null } }));
    }
    for (const entry of entries) this.known.add(entry.id);
    this.changed();
  }

  tell(why) {
    this.why = why;
    this.changed();
  }

  changed() {
    this.dispatchEvent(new CustomEvent("change"));
  }
}

/** @returns {Promise<{kind: "sent" | "refused" | "later", answer?: object, error?: string | {message: string, code: string}, wait?: number}>} */
async function post(entry) {
  const body = new URLSearchParams(entry.fields);
  body.set("csrfmiddlewaretoken", token());
  let answer;
  let told;
  try {
    const options = { method: "POST", body, headers: { Accept: "application/json" }, signal: AbortSignal.timeout(PATIENCE_MS) };
    answer = await fetch(entry.url, options);
    told = await answer.json();
  } catch {
    const isUnread = answer !== undefined && !answer.ok; // an error page of something between us and the server
    if (isUnread && answer.status < 500 && !LATER.includes(answer.status)) return refusal(answer);
    return { kind: "later", error: navigator.onLine === false ? "offline" : "unreachable" };
  }
  if (answer.ok) return { kind: "sent", answer: told };
  const code = told.error?.code ?? "";
  if (answer.status === 401) return { kind: "later", error: "logged_out" };
  if (code === "other_person") return { kind: "later", error: "other_person" };
  if (answer.status >= 500 || LATER.includes(answer.status)) return later(answer);
  if (code === "csrf") return { kind: "later", error: "stale" };
  return { kind: "refused", error: { message: told.error?.message ?? refusedWords(answer), code } };
}

function refusedWords({ status }) {
  return interpolate(gettext("The server refused it (%(status)s)."), { status }, true);
}

function later(answer) {
  return { kind: "later", error: "unreachable", wait: 1_000 * (Number(answer.headers.get("Retry-After")) || 0) };
}

function refusal(answer) {
  return { kind: "refused", error: { message: refusedWords(answer), code: "" } };
}

/** The newest one: another tab may have logged in anew since this page was made. */
function token() {
  return document.cookie.match(/(?:^|; )csrftoken=([^;]*)/)?.[1] ?? "";
}

const element = document.querySelector("#outbox");

/** The outbox of whoever is logged in. Who only looks at the page, in a preview, has one that stays empty. */
export const outbox = new Outbox(element?.dataset.rater ?? "nobody");
