// On every page of a rater: how many submissions wait here, why, what was refused; and a word before she logs out.

import { outbox } from "./outbox.js";
import { howMany } from "./words.js";

const FLASH_MS = 1_000; // what is sent within this time is not worth a word

const WHY = {
  offline: gettext("You are offline."),
  unreachable: gettext("The server can't be reached."),
  stale: gettext("This page is too old for the server: reload it, and they are sent."),
  logged_out: gettext("You are logged out: log in again, and they are sent."),
  other_person: gettext("Somebody else is logged in in this browser: they are sent when you log in again."),
};

const place = document.querySelector("#outbox");
let shownSince = null;

function draw() {
  const waiting = outbox.waiting();
  const refused = outbox.refused();
  if (!waiting.length) shownSince = null;
  else if (shownSince === null) {
    shownSince = Date.now();
    setTimeout(draw, FLASH_MS);
  }
  const isSlow = shownSince !== null && Date.now() - shownSince >= FLASH_MS;
  const isShown = refused.length > 0 || (waiting.length > 0 && (outbox.why !== "" || isSlow));
  place.hidden = !isShown;
  place.replaceChildren(...(isShown ? [...sentences(waiting), ...refused.map(refusal)] : []));
  for (const form of document.querySelectorAll("form[action$='/logout/']")) guard(form, waiting.length + refused.length);
}

function sentences(waiting) {
  if (!waiting.length) return [];
  const words = make("p", `${howMany(waiting.length)} ${WHY[outbox.why] ?? ""}`.trim());
  const kept = outbox.isKept
    ? gettext("Kept in this browser, also when you leave this page.")
    : gettext("This browser keeps nothing: leave this page open until they are sent.");
  const button = make("button", outbox.flying ? gettext("Sending") : gettext("Send now"), "btn small");
  button.type = "button";
  button.disabled = outbox.flying !== null;
  button.addEventListener("click", () => outbox.hurry());
  const line = make("div", "", "waits");
  line.append(words, make("p", kept, "tiny"), button);
  return [line];
}

/** One that was not taken: her sentence to read, and her choice what becomes of it. */
function refusal(entry) {
  const box = make("div", "", "refused");
  box.append(
    make("p", notTaken(entry)),
    make("p", `${entry.campaign}: ${entry.asked}`, "tiny"),
  );
  const deeds = make("div", "", "row");
  const isOver = ["already_ranked", "superseded", "skipped", "lease_lost"].includes(entry.code);
  const way = make("a", isOver ? gettext("See my work") : gettext("Open it again"), "btn small");
  way.href = isOver ? place.dataset.workUrl : entry.kind === "correction" ? entry.url : `${entry.rankUrl}?task=${entry.assignment}`;
  const again = make("button", gettext("Send again"), "btn small");
  again.addEventListener("click", () => outbox.again(entry.id));
  const away = make("button", gettext("Throw it away"), "btn small danger");
  away.addEventListener("click", () => outbox.remove(entry.id));
  for (const button of [again, away]) button.type = "button";
  deeds.append(way, again, away);
  box.append(deeds);
  return box;
}

function notTaken({ kind, draft, refused }) {
  const told = { line: draft?.line, why: refused };
  const WORDS = {
    ranking: [gettext("Your ranking was not taken: %(why)s"), gettext("Your ranking %(line)s was not taken: %(why)s")],
    correction: [gettext("Your correction was not taken: %(why)s"), gettext("Your correction %(line)s was not taken: %(why)s")],
    skip: [gettext("Your skip was not taken: %(why)s")],
  };
  const [plain, withLine] = WORDS[kind];
  return interpolate((told.line && withLine) || plain, told, true);
}

function guard(form, number) {
  if (!number) delete form.dataset.confirm;
  else form.dataset.confirm = `${howMany(number)} ${gettext("Log out all the same? They stay in this browser, and are sent when you log in here again.")}`;
}

function make(tag, text = "", className = "") {
  return Object.assign(document.createElement(tag), { textContent: text, className });
}

outbox.addEventListener("change", draw);
outbox.addEventListener("sent", () => {
  // a list of what is stored was made before this was
  if (document.querySelector("[data-renew-when-sent]") && !outbox.waiting().length) location.reload();
});
draw();
outbox.hurry();
