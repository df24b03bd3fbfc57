// The lease of a task: counted down, renewed while somebody works, and the seconds that she did.

import { post } from "./draft.js";

const IDLE_AFTER_MS = 90_000; // a rater who touched nothing for so long is not working on this task
const RENEWALS = 4; // in the time of a lease ...
const RENEW_MS = { least: 10_000, most: 60_000 }; // ... within these bounds

const SOON_MS = 2_000;

export class Lease {
  /**
   * `tell(words)` shows what is left; `gone({words, isOver})` is called when it is lost. `ahead` is renewed along with it.
   * `isOfNext`: it is of the task that waits while another is corrected.
   */
  constructor(form, { tell, gone, ahead, renewsSoon, isOfNext }) {
    this.isOfNext = isOfNext;
    this.form = form;
    this.tell = tell;
    this.gone = gone;
    this.ahead = ahead;
    this.url = form.dataset.renewUrl;
    const length = Number(form.dataset.leaseSeconds) * 1_000;
    const now = Date.now(); // one moment for all three: a millisecond between them would count as a touch
    this.until = now + length; // by this clock, from what is left by the server's
    this.every = Math.min(RENEW_MS.most, Math.max(RENEW_MS.least, length / RENEWALS));
    this.renewedAt = now - (renewsSoon ? this.every - SOON_MS : 0); // one that was fetched ahead is begun now
    this.activeAt = now;
    this.workedMs = 0;
    this.said = "";
    this.wasOver = false;
  }

  touched() {
    this.activeAt = Date.now();
  }

  tick(elapsedMs) {
    const now = Date.now();
    if (!document.hidden && now - this.activeAt < IDLE_AFTER_MS) this.workedMs += elapsedMs;
    if (!this.url) return;
    if (!this.said && now - this.renewedAt > this.every && this.activeAt > this.renewedAt) this.renew();
    const left = Math.max(0, Math.round((this.until - now) / 1_000));
    if (!left && !this.wasOver && !this.said && !this.isOfNext) this.gone({ words: this.words(0), isOver: false });
    this.wasOver = !left;
    this.tell(this.said || this.words(left));
  }

  words(left) {
    if (this.isOfNext && !left) return gettext("The task that waits may go to somebody else.");
    if (this.isOfNext) return interpolate(gettext("the task that waits is kept %(left)s"), { left: clock(left) }, true);
    if (!left) return gettext("The time is over: the task may go to somebody else. What you submit is still kept.");
    return interpolate(gettext("%(left)s left, renews while you work"), { left: clock(left) }, true);
  }

  async renew() {
    this.renewedAt = Date.now();
    const body = new FormData(this.form);
    const id = this.ahead?.id;
    if (id) body.set("ahead", id);
    const answer = await post(this.url, body).catch(() => null);
    const told = await answer?.json().catch(() => null);
    if (answer?.ok && told) {
      this.until = Date.now() + told.lease_seconds * 1_000;
      if (id) this.ahead.renewed(id, told.ahead_seconds ?? 0);
    } else if (answer?.status === 409 && told) {
      if (this.isOfNext) return (this.until = 0);
      this.said = told.error.message;
      this.gone({ words: this.said, isOver: told.error.data?.is_over ?? false });
    }
  }
}

/** Seconds as minutes and seconds. */
export function clock(seconds) {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}
