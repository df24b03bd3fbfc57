// One task on the ranking page: the form, the typed line, the texts and the rail in one state. Without it the form works.

import { compare, firstPair, keyInPanel } from "./compare.js";
import { Draft } from "./draft.js";
import { keys, keysAreOff } from "./help.js";
import { afterKey, commandOf, pressed } from "./keys.js";
import { Lease } from "./lease.js";
import { EMPTY, formatOrder, tierOf } from "./order.js";
import { drawRail, dropped } from "./rail.js";
import { Say } from "./say.js";
import {
  changeInWords, doubtful, finalOrder, fromDraft, leaveOut, listed, placeInWords, restInWords, toggleFlag, typed, withOrder,
} from "./state.js";
import { markFlags, markHeld, openTexts, unfold } from "./texts.js";

const TICK_MS = 1_000;

const $ = (selector) => document.querySelector(selector);

/** Says it to those who hear the page. */
export const say = (words) => ($("#said").textContent = words);

const write = (selector) => (words) => {
  const place = $(selector);
  if (place && place.textContent !== words) place.textContent = words;
};

/** A field that takes keys for itself. One of a dialog that was just closed has the focus for a moment yet: its keys are the page's. */
function isWrittenIn(element) {
  return element.matches("input:not([type=checkbox], [type=radio]), textarea, select") && !element.closest("dialog:not([open])");
}

/** One task on the page, from the moment that it is shown until it is submitted or left. */
export class Task {
  /**
   * `draft` is what stood in the form when it was left, in place of what the server has. `obey(command)` does what is not
   * of this task alone; `ahead` is the task after it; `kept` is the form of one whose lease is kept while this is corrected.
   */
  constructor(form, { draft = null, obey, ahead, renewsSoon = false, kept: keptForm = null }) {
    this.form = form;
    this.line = form.elements.order;
    this.letters = form.dataset.letters.split("");
    this.draft = new Draft(form, write("#saving"));
    this.lease = new Lease(keptForm ?? form, { isOfNext: keptForm !== null, tell: write("#lease"), gone: (loss) => this.gone(loss), ahead, renewsSoon });
    this.ahead = ahead;
    this.obeyElsewhere = obey;
    this.openedAt = performance.now();
    const kept = draft ?? this.draft.unsent();
    const stood = kept ?? JSON.parse(form.dataset.draft);
    this.isBegun = Object.keys(stood).length > 0;
    this.say = new Say(form, kept, () => this.said());
    this.asked = ""; // the letters that she was asked about, whether she means to leave them out
    const { state, error } = typed(fromDraft(this.letters, stood), stood.line ?? "");
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
    const changed = changeInWords(before, state);
    if (changed) say(changed);
    else if (state.held && (isTaken || state.order !== before.order)) say(placeInWords(state, state.held));
    this.draw({ scroll: scroll && isTaken }); // a hand that drags has its eyes on the rail
    const { order, allBad, flags, reason } = before;
    const isSame = state.order === order && state.allBad === allBad && state.flags === flags && state.reason === reason;
    if (!isSame || keepsLine) this.keep();
  }

  keep() {
    this.isBegun = true;
    this.draft.changed(this.asDraft());
  }

  hold(letter) {
    const held = this.state.held === letter ? null : letter;
    this.state = { ...this.state, held, pending: "" };
    const inHand = interpolate(gettext("%(letter)s in hand."), { letter: letter.toUpperCase() }, true);
    if (held) say(`${inHand} ${placeInWords(this.state, letter)}`);
    this.writeLine();
    this.draw({ scroll: held !== null });
  }

  said() {
    if (this.line.validity.valid) this.complain("");
    this.draw();
    this.keep();
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

  /** Whether it is whole; if so the form says it all, else the page says what is missing. */
  isWhole() {
    const rest = doubtful(this.state);
    if (rest.length && this.asked === rest.join("")) this.change(withOrder(this.state, leaveOut(this.state.order, ...rest)));
    const order = this.say.cannotRank && !this.state.order.tiers.length ? EMPTY : finalOrder(this.state);
    const complaint = order ? this.say.missing(order) : rest.length ? this.ask(rest) : restInWords(this.state);
    if (complaint) {
      this.complain(complaint);
      return false;
    }
    this.line.value = formatOrder(order);
    this.form.elements.seconds.value = (this.lease.workedMs / 1000).toFixed(1);
    return true;
  }

  /** Once for the same letters: the next Submit leaves them out. */
  ask(rest) {
    this.asked = rest.join("");
    const words = ngettext(
      "Not ranked: %(letters)s. Submit once more to leave it out of the order.",
      "Not ranked: %(letters)s. Submit once more to leave them out of the order.",
      rest.length,
    );
    return interpolate(words, { letters: listed(rest) }, true);
  }

  key(event) {
    const pair = keysAreOff() ? null : keyInPanel(event, pressed(event), this.letters);
    if (pair) this.compare(pair);
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      if (!event.repeat) this.form.requestSubmit(); // a key that is held down submits one task, and not the next ones too
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.type === "radio" && event.key.startsWith("Arrow")) return; // the scale's own
    if (isWrittenIn(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (keysAreOff()) return;
    const key = pressed(event);
    if (this.beside !== null && this.choose(key)) return;
    const next = afterKey(this.state, key, keys);
    const command = next ? null : commandOf(this.state, key, keys);
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
    if (command === "undo") this.obeyElsewhere("undo");
    if (command === "help") $("#keys").showModal();
    if (command === "cannot_rank") this.form.elements.cannot_rank.focus();
    if (["flag", "better"].includes(command) && !this.state.held) this.complain(gettext("Take a text in hand first: press its letter."));
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
    const words = first
      ? interpolate(gettext("%(letter)s beside which text? Press its letter."), { letter: first.toUpperCase() }, true)
      : gettext("Which two texts? Press their letters.");
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
    this.tellAhead();
  }

  tellAhead() {
    write("#ahead")(this.ahead?.words() ?? "");
  }

  /** The lease is lost: she is told once, aloud too; where nothing is left to do here, the way on is offered. */
  gone({ words, isOver }) {
    say(words);
    $("#lease").classList.add("gone");
    $("#go-on").hidden = !isOver;
  }

  /** The page turns to another task. `isOver`: this one was submitted or given back, so no draft of it is kept. */
  close({ isOver }) {
    clearInterval(this.clock);
    if (!isOver) this.draft.leave();
    this.draft.end({ isKept: !isOver });
  }
}
