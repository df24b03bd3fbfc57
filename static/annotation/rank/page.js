// The ranking page: keeps the form, the typed line and the rail in one state, saves drafts, holds the lease.

import { formatOrder } from "./order.js";
import { HELP, afterKey, commandOf } from "./keys.js";
import { drawRail } from "./rail.js";
import { finalOrder, fromDraft, placeInWords, restInWords, toggleFlag, typed } from "./state.js";

const DRAFT_AFTER_MS = 800;
const RENEW_EVERY_MS = 60_000;
const IDLE_AFTER_MS = 90_000; // a rater who touched nothing for so long is not working on this task

let page = null;

class Page {
  constructor(form) {
    this.form = form;
    this.letters = form.dataset.letters.split("");
    this.rail = document.querySelector("#rail");
    this.line = form.elements.order;
    const draft = JSON.parse(document.querySelector("#draft").textContent);
    this.state = typed(fromDraft(this.letters, draft), draft.line ?? "").state;
    this.active = Date.now();
    this.worked = 0;
    this.saveTimer = null;
    this.wire();
    this.line.value = formatOrder(this.state.order);
    this.draw();
    this.clock = setInterval(() => this.tick(), 1_000);
  }

  wire() {
    const { form } = this;
    this.line.addEventListener("input", () => {
      const { state, error } = typed(this.state, this.line.value);
      this.line.setCustomValidity(error);
      document.querySelector("#order-error").textContent = error;
      if (!error) this.change(state, { keepLine: true });
    });
    form.elements.all_bad.addEventListener("change", () => this.change({ ...this.state, allBad: form.elements.all_bad.checked }));
    form.elements.reason.addEventListener("input", () => this.change({ ...this.state, reason: form.elements.reason.value }));
    for (const box of this.flags()) {
      const [letter, flag] = box.value.split(":");
      box.checked = this.state.flags[letter]?.includes(flag) ?? false;
      box.addEventListener("change", () => this.change(toggleFlag(this.state, letter, flag, box.checked)));
    }
    form.addEventListener("htmx:configRequest", () => {
      form.elements.seconds.value = (this.worked / 1000).toFixed(1);
    });
  }

  flags() {
    return document.querySelectorAll("input[name=flag]");
  }

  change(state, { keepLine = false } = {}) {
    const moved = state.order !== this.state.order;
    const heldNow = state.held !== this.state.held ? state.held : null;
    this.state = state;
    if (moved && !keepLine) this.line.value = formatOrder(state.order) + (state.pending ? ` ${state.pending}` : "");
    if (!keepLine) {
      this.line.setCustomValidity("");
      document.querySelector("#order-error").textContent = "";
    }
    if (heldNow) document.querySelector(`#text-${heldNow}`)?.scrollIntoView({ block: "nearest", behavior: "smooth" });
    if (moved && state.held) this.say(placeInWords(state, state.held));
    this.draw();
    this.saveSoon();
  }

  draw() {
    drawRail(this.rail, this.state, {
      change: (state) => this.change(state),
      hold: (letter) => this.change({ ...this.state, held: this.state.held === letter ? null : letter }),
    });
    for (const text of document.querySelectorAll(".text")) text.classList.toggle("held", text.id === `text-${this.state.held}`);
    const { all_bad: allBad } = this.form.elements;
    allBad.checked = this.state.allBad;
    document.querySelector("#rest").textContent = restInWords(this.state);
    this.form.querySelector("[name=submit]").disabled = finalOrder(this.state) === null;
  }

  say(words) {
    document.querySelector("#said").textContent = words;
  }

  key(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      if (finalOrder(this.state)) this.form.requestSubmit(this.form.querySelector("[name=submit]"));
      else this.say(restInWords(this.state));
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target.matches("input:not([type=checkbox]), textarea, select")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const next = afterKey(this.state, event.key);
    if (next) {
      event.preventDefault();
      this.change(next);
      return;
    }
    const command = commandOf(this.state, event.key);
    if (command) {
      event.preventDefault();
      this.obey(command);
    }
  }

  obey(command) {
    if (command === "all_bad") this.change({ ...this.state, allBad: !this.state.allBad });
    if (command === "reason") this.form.elements.reason.focus();
    if (command === "skip") document.querySelector("#skip").showModal();
    if (command === "help") document.querySelector("#keys").showModal();
    if (command === "flag") {
      const flags = document.querySelector(`#text-${this.state.held ?? this.letters[0]} details.flags`);
      flags.open = !flags.open;
      flags.querySelector("input")?.focus();
    }
  }

  saveSoon() {
    clearTimeout(this.saveTimer);
    this.tell("not saved yet");
    this.saveTimer = setTimeout(() => this.save(), DRAFT_AFTER_MS);
  }

  async save() {
    const sent = new FormData(this.form);
    try {
      const answer = await post(this.form.dataset.draftUrl, sent);
      this.tell(answer.ok ? "saved" : await told(answer));
    } catch {
      this.tell("offline: kept on this page");
      this.saveTimer = setTimeout(() => this.save(), 5_000);
    }
  }

  tell(words) {
    document.querySelector("#saving").textContent = words;
  }

  tick() {
    const now = Date.now();
    if (!document.hidden && now - this.active < IDLE_AFTER_MS) this.worked += 1_000;
    const left = Math.max(0, Math.round((new Date(this.form.dataset.leaseUntil) - now) / 1000));
    const lease = document.querySelector("#lease");
    lease.textContent = left
      ? `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")} left, renews while you work`
      : "The lease is over: the task may go to somebody else. What you submit is still kept.";
    if (now - (this.renewed ?? this.active) > RENEW_EVERY_MS && now - this.active < RENEW_EVERY_MS) this.renew();
  }

  async renew() {
    this.renewed = Date.now();
    const answer = await post(this.form.dataset.renewUrl, new FormData(this.form)).catch(() => null);
    if (answer?.ok) this.form.dataset.leaseUntil = (await answer.json()).lease_until;
  }

  close() {
    clearInterval(this.clock);
    clearTimeout(this.saveTimer);
  }
}

function post(url, body) {
  return fetch(url, { method: "POST", body, headers: { Accept: "application/json" } });
}

async function told(answer) {
  const { error } = await answer.json().catch(() => ({ error: null }));
  return error?.message ?? `not saved (${answer.status})`;
}

function open() {
  const form = document.querySelector("form#judgement");
  if (page?.form === form) return;
  page?.close();
  page = form ? new Page(form) : null;
}

function fillHelp() {
  const list = document.querySelector("#keys dl");
  for (const [key, meaning] of HELP) {
    const term = document.createElement("dt");
    term.append(Object.assign(document.createElement("kbd"), { textContent: key }));
    list.append(term, Object.assign(document.createElement("dd"), { textContent: meaning }));
  }
}

addEventListener("keydown", (event) => page?.key(event));
for (const kind of ["pointerdown", "keydown", "scroll"]) addEventListener(kind, () => page && (page.active = Date.now()), { passive: true, capture: true });
document.addEventListener("htmx:afterSettle", open);
fillHelp();
open();
