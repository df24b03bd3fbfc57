// The ranking page: which task is on it, what is submitted, what comes next. Without it the form works by itself.

import { outbox } from "../outbox/outbox.js";
import { Ahead } from "./ahead.js";
import { keys, keysAreOff, wireHelp, writeHints } from "./help.js";
import { actionOf, pressed } from "./keys.js";
import { clonesOf, partsOnPage, swapIn, takenBack } from "./parts.js";
import { Task, say } from "./task.js";
import { sentWords, uuid } from "./words.js";

const LOOK_AGAIN_MS = 10_000;
const UNSTEADY_MS = 500; // a second press of Submit so soon after the swap was meant for the task before

const $ = (selector) => document.querySelector(selector);

const ahead = new Ahead((assignment) => [shown?.id, aside?.parts.id].includes(assignment) || outbox.of(assignment) !== null);

let task = null; // the Task on the page
let shown = null; // its parts, as they came from the server
let previous = null; // what was submitted last, to take back: {parts, draft, ids}
let aside = null; // the task that waits while the previous one is corrected: {parts, draft, workedMs}
let isStored = false; // the server confirmed what was submitted last
let latest = null; // what the server told of the last submission that it took
let looking = null; // the timer that looks whether a task is there

/** Takes up what stands on the page now: a task, or none. `isFresh` where the server has just made it. */
function open({ draft = null, isFresh = true } = {}) {
  const form = $("form#judgement");
  if (task && task.form === form) return;
  task?.close({ isOver: true });
  task = null;
  clearInterval(looking);
  shown = clonesOf(partsOnPage());
  writeHints(document);
  if (!form) return look();
  const waits = aside ? null : waitingFor(form);
  if (waits && !waits.refused && waits.kind !== "correction") return between(); // submitted, and the server does not know yet
  const kept = aside?.parts.bar.querySelector("form") ?? null; // its lease goes on while another one is corrected
  task = new Task(form, { draft: draft ?? waits?.draft ?? null, obey, ahead, renewsSoon: !isFresh, kept });
  if (waits?.refused) task.complain(waits.refused);
  else if (waits) form.dataset.isSent = waits.id;
  tellSent();
  wireBar();
}

/** What was submitted from this form before the page was loaded anew, and is not taken yet. */
function waitingFor(form) {
  return form.dataset.kind === "correction" ? outbox.to(form.getAttribute("action")) : outbox.of(shown.id);
}

function wireBar() {
  $("#go-on")?.addEventListener("click", lookAgain);
  $("#leave-it")?.addEventListener("click", (event) => {
    if (!aside) return; // a page of its own, with a way back
    event.preventDefault();
    backToDesk();
  });
}

/** Puts other parts on the page, and takes them up. */
function show(parts, { draft = null } = {}) {
  swapIn(parts);
  task = null;
  open({ draft, isFresh: false });
  scrollTo({ top: 0, behavior: "instant" });
  $("#task").focus({ preventScroll: true });
}

// Submitting

function submitting(event) {
  const form = event.target;
  if (form !== task?.form && !form.matches(".skip-task")) return;
  if (form.dataset.kind === "preview") { // nothing of it is kept, here or there: the server checks it and shows the next
    if (!task.isWhole()) event.preventDefault();
    return;
  }
  event.preventDefault();
  event.stopImmediatePropagation();
  if (form.matches(".skip-task")) return skipped(form);
  const isUnsteady = performance.now() - task.openedAt < UNSTEADY_MS && !task.isBegun;
  if (isUnsteady || form.dataset.isSent || !task.isWhole()) return;
  submit(form);
}

function submit(form) {
  const { kind } = form.dataset;
  const entry = entryOf(form, { kind, id: form.elements.client_uuid.value, draft: task.asDraft() });
  const ids = [...(aside ? previous.ids : []), entry.id];
  const before = outbox.of(entry.assignment);
  for (const id of aside ? previous.ids : before?.refused ? [before.id] : []) outbox.remove(id);
  if (kind === "ranking") previous = { parts: aside ? previous.parts : shown, draft: entry.draft, ids };
  isStored = false;
  outbox.put(entry);
  tellSent();
  if (kind === "correction") return (form.dataset.isSent = entry.id); // its page stays until the server has it
  task.close({ isOver: true });
  if (aside) return backToDesk();
  next();
}

function skipped(form) {
  $("#skip")?.close();
  isStored = false;
  outbox.put(entryOf(form, { kind: "skip", id: uuid(), draft: {} }));
  task.close({ isOver: true });
  next();
}

function entryOf(form, { kind, id, draft }) {
  const fields = [...new FormData(form)].filter(([name]) => name !== "csrfmiddlewaretoken");
  const { campaign, asked } = form.dataset;
  const { rankUrl } = task.form.dataset;
  return { id, kind, url: form.getAttribute("action"), fields, assignment: form.elements.assignment.value, campaign, asked, rankUrl, draft };
}

/** The next task: at once where it is here already, else as soon as the server has what was submitted. */
function next() {
  const parts = ahead.take();
  if (!parts) return between();
  show(parts);
  say(gettext("The next task is here."));
}

function between() {
  const bar = document.createElement("div");
  bar.id = "rank-bar";
  shown = clonesOf({ id: null, task: $("#between").content.firstElementChild, bar });
  task = null;
  swapIn(shown);
  tellSent();
  $("#task").focus({ preventScroll: true });
  look();
}

// Taking back

function obey(command) {
  if (command !== "undo" || aside) return;
  if (!previous) return $("#undo-part")?.hidden === false && $("#undo").click();
  const draft = task?.isBegun ? task.asDraft() : null;
  task?.close({ isOver: false });
  aside = { parts: shown, draft, workedMs: task?.lease.workedMs ?? 0 };
  if (task) keepLease(task.lease);
  show(takenBack(previous.parts, { ids: previous.ids, id: uuid() }), { draft: previous.draft });
  say(gettext("What you submitted last is here again. Submit it anew, or leave it as it is."));
}

/** From a correction to the task that waited meanwhile. */
function backToDesk() {
  const { parts, draft, workedMs } = aside;
  const form = parts.bar.querySelector("form");
  if (form) keepLease(task.lease);
  aside = null;
  task.close({ isOver: true });
  show(parts, { draft });
  if (task) task.lease.workedMs = workedMs;
  say(form ? gettext("Back at the next task.") : gettext("No task waits for you."));
}

/** Writes what is left of a lease into the form that waits, for when it is shown again. */
function keepLease({ until }) {
  const form = aside.parts.bar.querySelector("form");
  form.dataset.leaseSeconds = Math.max(0, Math.round((until - Date.now()) / 1_000));
}

// What the server says

outbox.addEventListener("sent", ({ detail: { entry, answer } }) => {
  isStored = answer !== null; // what another tab took out, it knows of
  if (answer?.ranking) latest = answer;
  if (task && task.form.dataset.isSent === entry.id) return location.assign(task.form.dataset.back);
  tellSent();
  goOn();
});

outbox.addEventListener("refused", ({ detail: { entry } }) => {
  isStored = false;
  if (task && task.form.dataset.isSent === entry.id) {
    delete task.form.dataset.isSent; // what she wrote still stands in the form: nothing more to keep
    outbox.remove(entry.id);
    task.complain(entry.refused);
  }
  goOn();
  say(interpolate(gettext("Not taken: %(why)s"), { why: entry.refused }, true));
});

outbox.addEventListener("change", tellSent);

function goOn() {
  if (isBetween()) lookAgain();
  else tick();
}

/** No task on the page, only because the server had to answer first; and now it has. */
function isBetween() {
  return $("#task[data-next]") !== null && !outbox.waiting().length;
}

/** In words, what became of what was submitted; and what the server counts, which is all that counts. */
function tellSent() {
  const words = sentWords(outbox, { isStored });
  for (const place of [$("#sent"), $("#task .between-words")]) if (place && place.textContent !== words) place.textContent = words;
  if (!latest || !$("#num-mine")) return;
  $("#num-mine").textContent = latest.num_mine;
  $("#undo").href = `${latest.correct_url}?from_desk`;
  $("#undo-part").hidden = false;
}

// Looking for a task where there is none

function look() {
  if (isBetween()) lookAgain();
  $("#task").addEventListener("hint", lookAgain);
  looking = setInterval(() => ($("#task[data-look-again]") || isBetween()) && lookAgain(), LOOK_AGAIN_MS);
}

// A task is leased to whoever looks: a tab that nobody sees does not.
function lookAgain() {
  const { rankUrl } = $("form#judgement")?.dataset ?? {};
  const { lookAgain: again, next: following } = $("#task").dataset;
  const url = rankUrl ?? again ?? following;
  if (url && !document.hidden) window.htmx.ajax("GET", url, { target: "#task", swap: "outerHTML" });
}

document.addEventListener("htmx:afterSettle", (event) => {
  if (event.target.id !== "task" && event.target.id !== "rank-bar") return;
  const before = shown;
  open();
  if (event.target.id !== "task" || (shown.id === null && !before.task.matches("[data-next]"))) return;
  $("#task").focus({ preventScroll: true });
  say(task ? gettext("The next task is here.") : gettext("No task waits for you."));
});

// The page

async function tick() {
  const form = task?.form;
  if (!form?.dataset.aheadUrl || aside || outbox.waiting().length) return; // what is on its way is in her hands still
  await ahead.want(form);
  task?.tellAhead();
}

addEventListener("keydown", (event) => {
  if (task) return task.key(event);
  if (!document.querySelector("dialog[open]") && !keysAreOff() && actionOf(keys, "", pressed(event)) === "undo") obey("undo");
});
document.addEventListener("click", (event) => {
  if (!event.target.closest("#undo") || !previous || aside) return;
  event.preventDefault();
  obey("undo");
});
addEventListener("submit", submitting, { capture: true });
addEventListener("pagehide", () => {
  task?.draft.leave();
  if (task && !aside) ahead.giveBack(task.form);
});
addEventListener("pageshow", (event) => event.persisted && location.reload()); // what was given back is not hers any more
for (const kind of ["pointerdown", "pointermove", "keydown", "wheel", "touchmove"])
  addEventListener(kind, () => task?.lease.touched(), { passive: true, capture: true });

wireHelp();
open();
setInterval(tick, 250);
