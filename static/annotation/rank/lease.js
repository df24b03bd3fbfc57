// The lease of a task: counted down, renewed while somebody works, and the seconds that she did.

import { post, told } from "./draft.js";

const IDLE_AFTER_MS = 90_000; // a rater who touched nothing for so long is not working on this task
const RENEWALS = 4; // in the time of a lease ...
const RENEW_MS = { least: 10_000, most: 60_000 }; // ... within these bounds

export class Lease {
  constructor(form, tell) {
    this.form = form;
    this.tell = tell;
    this.url = form.dataset.renewUrl;
    const length = Number(form.dataset.leaseSeconds) * 1_000;
    this.until = Date.now() + length; // by this clock, from what is left by the server's
    this.every = Math.min(RENEW_MS.most, Math.max(RENEW_MS.least, length / RENEWALS));
    this.renewedAt = Date.now();
    this.activeAt = Date.now();
    this.workedMs = 0;
    this.said = "";
  }

  touched() {
    this.activeAt = Date.now();
  }

  tick(elapsedMs) {
    const now = Date.now();
    if (!document.hidden && now - this.activeAt < IDLE_AFTER_MS) this.workedMs += elapsedMs;
    if (!this.url) return;
    if (now - this.renewedAt > this.every && this.activeAt > this.renewedAt) this.renew();
    this.tell(this.said || this.words(Math.max(0, Math.round((this.until - now) / 1_000))));
  }

  words(left) {
    if (!left) return "The time is over: the task may go to somebody else. What you submit is still kept.";
    return `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")} left, renews while you work`;
  }

  async renew() {
    this.renewedAt = Date.now();
    const answer = await post(this.url, new FormData(this.form)).catch(() => null);
    if (answer?.ok) this.until = Date.now() + (await answer.json()).lease_seconds * 1_000;
    else if (answer?.status === 409) this.said = await told(answer);
  }
}
