// The ranking page: the form, the typed line, the texts and the rail in one state. Without it the form works by itself.

import { compare, firstPair, keyInPanel } from "./compare.js";
import { Draft } from "./draft.js";
import { keysAreOff, openHelp } from "./help.js";
import { afterKey, commandOf } from "./keys.js";
import { Lease } from "./lease.js";
import { EMPTY, formatOrder, tierOf } from "./order.js";
import { drawRail, dropped } from "./rail.js";
import { Say } from "./say.js";
import { doubtful, finalOrder, fromDraft, leaveOut, listed, placeInWords, restInWords, toggleFlag, typed, withOrder } from "./state.js";
import { markFlags, markHeld, openTexts, unfold } from "./texts.js";

const TICK_MS = 1_000;
const LOOK_AGAIN_MS = 10_000;

const $ = (selector) => document.querySelector(selector);
const say = (words) => ($("#said").textContent = words);
const write = (selector) => (words) => {
  if ($(selector).textContent !== words) $(selector).textContent = words;
};

class Page {
  constructor(form) {
    this.form = form;
    this.line = form.elements.order;
    this.letters = form.dataset.letters.split("");
    this.draft = new Draft(form, write("#saving"));
    this.lease = new Lease(form, write("#lease"));
    const kept = this.draft.unsent();
    const draft = kept ?? JSON.parse(form.dataset.draft);
    this.say = new Say(form, kept, () => this.said());
    this.asked = ""; // the letters that she was asked about, whether she means to leave them out
    const { state, error } = typed(fromDraft(this.letters, draft), draft.line ?? "");
    this.state = state;
    this.beside = null; // letters chosen to be compared, while more are awaited
    openTexts($("#rail"), {
      hold: (letter) => this.hold(letter),
      drop: (letter, where) => this.change(dropped(this.state, letter, where)),
      compare: (letter) => this.compare(firstPair(this.letters, letter)),
      assignment: form.elements.assignment.value,
    });
    this.wire();
    if (!error) this.writeLine(); // a line that can't be read stays as it was typed
    this.draw();
    if (kept) this.draft.changed(kept);
    this.clock = setInterval(() => this.tick(), TICK_MS);
    this.tick();
  }

  wire() {
    const { all_bad: allBad, reason } = this.form.elements;
    this.line.addEventListener("input", () => {
      const { state, error } = typed(this.state, this.line.value);
      this.complain(error, { isOfLine: true });
      this.change(state, { keepsLine: true });
    });
    this.line.addEventListener("change", () => this.line.validity.valid && this.writeLine());
    allBad.addEventListener("change", () => this.change({ ...this.state, allBad: allBad.checked }));
    reason.addEventListener("input", () => this.change({ ...this.state, reason: reason.value }));
    reason.value = this.state.reason;
    for (const box of document.querySelectorAll("input[name=flag]")) {
      const [letter, flag] = box.value.split(":");
      box.checked = this.state.flags[letter]?.includes(flag) ?? false;
      box.addEventListener("change", () => this.change(toggleFlag(this.state, letter, flag, box.checked)));
    }
  }

  change(state, { keepsLine = false, scroll = false } = {}) {
    const before = this.state;
    this.state = state;
    if (!keepsLine) {
      this.writeLine();
      this.complain("");
    }
    const isTaken = state.held !== null && state.held !== before.held;
    if (state.held && (isTaken || state.order !== before.order)) say(placeInWords(state, state.held));
    this.draw({ scroll: scroll && isTaken }); // a hand that drags has its eyes on the rail
    const { order, allBad, flags, reason } = before;
    const isSame = state.order === order && state.allBad === allBad && state.flags === flags && state.reason === reason;
    if (!isSame || keepsLine) this.draft.changed(this.asDraft());
  }

  hold(letter) {
    const held = this.state.held === letter ? null : letter;
    this.state = { ...this.state, held, pending: "" };
    if (held) say(`${letter.toUpperCase()} in hand. ${placeInWords(this.state, letter)}`);
    this.writeLine();
    this.draw({ scroll: held !== null });
  }

  said() {
    if (this.line.validity.valid) this.complain("");
    this.draw();
    this.draft.changed(this.asDraft());
  }

  asDraft() {
    const { allBad, flags, reason } = this.state;
    return { line: this.line.value, all_bad: allBad, flags, reason, ...this.say.asDraft() };
  }

  /** The line of the order, with the operator that waits for its letter where that stands at the end. */
  writeLine() {
    const { order, held, pending } = this.state;
    const isLast = held !== null && tierOf(order, held) === order.tiers.length - 1;
    this.line.value = formatOrder(order) + (pending && isLast ? ` ${pending}` : "");
  }

  draw({ scroll = false } = {}) {
    drawRail($("#rail"), this.state, { change: (state) => this.change(state), hold: (letter) => this.hold(letter) });
    markHeld(this.state.held, { scroll });
    markFlags();
    this.form.elements.all_bad.checked = this.state.allBad;
    write("#rest")(restInWords(this.state));
    const mayTry = this.say.cannotRank || doubtful(this.state).length || finalOrder(this.state);
    $("#submit").setAttribute("aria-disabled", String(!mayTry));
  }

  complain(words, { isOfLine = false } = {}) {
    this.line.setCustomValidity(isOfLine ? words : "");
    this.line.setAttribute("aria-invalid", String(isOfLine && words !== ""));
    write("#order-error")(words);
  }

  /** Before the form is sent, by whichever way: it is whole, or it says what is missing. */
  submitting(event) {
    const rest = doubtful(this.state);
    if (rest.length && this.asked === rest.join("")) this.change(withOrder(this.state, leaveOut(this.state.order, ...rest)));
    const order = this.say.cannotRank && !this.state.order.tiers.length ? EMPTY : finalOrder(this.state);
    const complaint = order ? this.say.missing(order) : rest.length ? this.ask(rest) : restInWords(this.state);
    if (complaint) {
      event.preventDefault();
      event.stopImmediatePropagation();
      this.complain(complaint);
      return;
    }
    this.line.value = formatOrder(order);
    this.form.elements.seconds.value = (this.lease.workedMs / 1000).toFixed(1);
  }

  /** Once for the same letters: the next Submit leaves them out. */
  ask(rest) {
    this.asked = rest.join("");
    return `Not ranked: ${listed(rest)}. Submit once more to leave ${rest.length === 1 ? "it" : "them"} out of the order.`;
  }

  key(event) {
    const pair = keysAreOff() ? null : keyInPanel(event, this.letters);
    if (pair) this.compare(pair);
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      this.form.requestSubmit();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.type === "radio" && event.key.startsWith("Arrow")) return; // the scale's own
    if (event.target.matches("input:not([type=checkbox], [type=radio]), textarea, select")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (keysAreOff()) return;
    if (this.beside !== null && this.choose(event.key)) return;
    const next = afterKey(this.state, event.key);
    const command = next ? null : commandOf(this.state, event.key);
    if (!next && !command) return;
    event.preventDefault();
    if (next) this.change(next, { scroll: true });
    else this.obey(command);
  }

  obey(command) {
    if (command === "all_bad") this.change({ ...this.state, allBad: !this.state.allBad });
    if (command === "compare") this.askBeside();
    if (command === "unfold") unfold(this.state.held);
    if (command === "reason") this.form.elements.reason.focus();
    if (command === "skip") $("#skip")?.showModal();
    if (command === "undo") $("#undo")?.click();
    if (command === "help") $("#keys").showModal();
    if (command === "cannot_rank") this.form.elements.cannot_rank.focus();
    if (["flag", "better"].includes(command) && !this.state.held) this.complain("Take a text in hand first: press its letter.");
    if (command === "better" && this.state.held) this.say.better(this.state.held);
    if (command === "flag" && this.state.held) {
      const flags = $(`#text-${this.state.held} details.flags`);
      flags.open = !flags.open;
      flags.querySelector(flags.open ? "input" : "summary").focus();
    }
  }

  compare(pair) {
    this.beside = null;
    compare(this.form.dataset.compareUrl, pair);
  }

  /** `v`: of two texts both are meant; else the next letter, or the next two where none is in hand, say which. */
  askBeside() {
    if (this.letters.length === 2) return this.compare(this.letters);
    this.beside = this.state.held ? [this.state.held] : [];
    this.tellBeside();
  }

  tellBeside() {
    const [first] = this.beside;
    const words = first ? `${first.toUpperCase()} beside which text? Press its letter.` : "Which two texts? Press their letters.";
    write("#order-error")(words);
    say(words);
  }

  /** A key while letters are awaited: whether it was taken. Any other key ends the waiting. */
  choose(key) {
    const chosen = this.letters.includes(key) && !this.beside.includes(key) ? [...this.beside, key] : null;
    this.beside = chosen;
    if (chosen?.length === 1) this.tellBeside();
    else write("#order-error")("");
    if (chosen?.length === 2) this.compare(chosen);
    return chosen !== null || key === "Escape";
  }

  tick() {
    this.lease.tick(TICK_MS);
    this.draft.tick();
  }

  close() {
    clearInterval(this.clock);
    this.draft.end();
  }
}

let page = null;
let waiting = null;

/** Takes up what stands on the page now: a task, another task after a swap, or none. */
function open() {
  const form = $("form#judgement");
  if (page?.form === form) return;
  page?.close();
  clearInterval(waiting);
  page = form ? new Page(form) : null;
  const none = $("#task[data-look-again]");
  if (!none) return;
  none.addEventListener("hint", lookAgain);
  waiting = setInterval(lookAgain, LOOK_AGAIN_MS);
}

// A task is leased to whoever looks: a tab that nobody sees does not.
function lookAgain() {
  const url = $("#task[data-look-again]")?.dataset.lookAgain;
  if (url && !document.hidden) window.htmx.ajax("GET", url, { target: "#task", swap: "outerHTML" });
}

addEventListener("keydown", (event) => page?.key(event));
addEventListener("submit", (event) => event.target === page?.form && page.submitting(event), { capture: true });
addEventListener("pagehide", () => page?.draft.leave());
for (const kind of ["pointerdown", "pointermove", "keydown", "wheel", "touchmove"])
  addEventListener(kind, () => page?.lease.touched(), { passive: true, capture: true });
let told = null; // the form whose coming was said
document.addEventListener("htmx:afterSettle", (event) => {
  open();
  const form = page?.form ?? null;
  if (event.target.id !== "task" || form === told) return;
  told = form;
  $("#task").focus({ preventScroll: true });
  say(page ? "The next task is here." : "No task waits for you.");
});
openHelp($("#keys"));
open();
told = page?.form ?? null;
