// The task after this one: fetched while she works, under a lease of its own, so that it is on the screen at once.

import { clock } from "./lease.js";

const AGAIN_MS = { failed: 5_000, none: 30_000 };

export class Ahead {
  /** `isTaken(assignment)` says of a task that it is on the page, or was submitted here already. */
  constructor(isTaken) {
    this.isTaken = isTaken;
    this.parts = null;
    this.until = 0;
    this.nextAt = 0;
    this.isFetching = false;
    this.tabs = new Tabs();
  }

  /** Its assignment, while it is leased; null where there is none. */
  get id() {
    if (this.parts && (Date.now() >= this.until || this.isTaken(this.parts.id))) this.drop();
    return this.parts?.id ?? null;
  }

  /** Fetches it for the task of `form`, where it is not here and it is time to ask. */
  async want(form) {
    if (this.id || this.isFetching || Date.now() < this.nextAt || document.hidden) return;
    this.isFetching = true;
    this.nextAt = Date.now() + AGAIN_MS.failed;
    try {
      const answer = await fetch(form.dataset.aheadUrl, {
        method: "POST", body: new FormData(form), headers: { Accept: "text/html" },
      });
      if (answer.status === 204) this.nextAt = Date.now() + AGAIN_MS.none;
      if (answer.status === 200) this.keep(partsOf(await answer.text()));
    } catch {
      // no network: asked again when it is time
    } finally {
      this.isFetching = false;
      if (!form.isConnected) this.nextAt = 0; // the page has gone on meanwhile, maybe to this very task
    }
  }

  keep(parts) {
    if (!parts || this.isTaken(parts.id)) return;
    this.parts = parts;
    this.until = Date.now() + Number(parts.bar.querySelector("form").dataset.leaseSeconds) * 1_000;
  }

  /** Hands it over, with what is left of its lease; null where there is none. */
  take() {
    if (!this.id) return null;
    const { parts } = this;
    parts.bar.querySelector("form").dataset.leaseSeconds = Math.round((this.until - Date.now()) / 1_000);
    this.drop();
    this.nextAt = 0;
    return parts;
  }

  renewed(id, seconds) {
    if (this.parts?.id !== id) return;
    if (seconds) this.until = Date.now() + seconds * 1_000;
    else this.drop(); // it ran out, or was given back by another tab: another one is fetched
  }

  drop() {
    this.parts = null;
  }

  words() {
    if (!this.id) return "";
    const left = clock(Math.max(0, Math.round((this.until - Date.now()) / 1_000)));
    return interpolate(gettext("next task ready, kept %(left)s"), { left }, true);
  }

  /** She leaves: nobody should wait for a task that she never saw. Another tab of hers may be about to show it. */
  giveBack(form) {
    if (!this.id || this.tabs.areOthers) return;
    const body = new FormData();
    body.set("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
    body.set("assignment", this.id);
    navigator.sendBeacon(form.dataset.giveBackUrl, body);
    this.drop();
  }
}

/** @returns {{id: string, task: Element, bar: Element} | null} of the server's markup, out of any page */
function partsOf(markup) {
  const made = new DOMParser().parseFromString(markup, "text/html");
  const [task, bar] = ["#task", "#rank-bar"].map((selector) => made.querySelector(selector));
  const id = bar?.querySelector("[name=assignment]")?.value;
  if (!task || !id) return null;
  for (const part of bar.querySelectorAll("noscript")) part.remove(); // parsed without scripts, it has live forms in it
  return { id, task: document.adoptNode(task), bar: document.adoptNode(bar) };
}

/** Whether other tabs of this browser have a ranking page open. One that crashed counts until this one is closed. */
class Tabs {
  constructor() {
    this.me = Math.random().toString(36).slice(2);
    this.others = new Set();
    this.channel = "BroadcastChannel" in globalThis ? new BroadcastChannel("steadyhand.rank") : null;
    this.channel?.addEventListener("message", ({ data }) => this.hear(data));
    this.say("hello");
    addEventListener("pagehide", () => this.say("bye"));
  }

  get areOthers() {
    return this.others.size > 0;
  }

  hear({ kind, from }) {
    if (kind === "bye") this.others.delete(from);
    else this.others.add(from);
    if (kind === "hello") this.say("here");
  }

  say(kind) {
    this.channel?.postMessage({ kind, from: this.me });
  }
}
