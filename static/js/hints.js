// Follows "something changed" over a websocket; every element with `data-hint-topic` then fetches itself anew over HTTP.
//
//   <section data-hint-topic="run:4f…" hx-get="/runs/4f…/summary/" hx-trigger="hint" hx-swap="outerHTML">
//
// A hint may be lost, so each element also looks by itself every 30 s. An element without hx-get gets the DOM event "hint".

const EVERY_MS = 30_000;
const THROTTLE_MS = 1_000;
const RETRY_MS = [500, 1_000, 2_000, 5_000, 10_000, 30_000];

let socket = null;
let followed = "";
let failures = 0;
let retry = null;
const waiting = new WeakMap(); // element -> timer of its next look
const looked = new WeakMap(); // element -> when it last looked

const followers = () => [...document.querySelectorAll("[data-hint-topic]")];
const topicsOf = (element) => element.dataset.hintTopic.split(",").map((topic) => topic.trim()).filter(Boolean);

function topics() {
  return [...new Set(followers().flatMap(topicsOf))].sort().join(",");
}

// A field that somebody is typing into must not be replaced below her fingers.
function isBeingEdited(element) {
  const active = document.activeElement;
  return element.contains(active) && active.matches("input, textarea, select, [contenteditable]");
}

function look(element) {
  if (!element.isConnected || isBeingEdited(element)) return;
  looked.set(element, Date.now());
  element.dispatchEvent(new CustomEvent("hint", { bubbles: false }));
  const declared = element.getAttribute("hx-trigger") ?? "";
  if (element.hasAttribute("hx-get") && !/\bhint\b/.test(declared))
    window.htmx.ajax("GET", element.getAttribute("hx-get"), { source: element });
}

export function lookSoon(element) {
  if (waiting.has(element)) return;
  const since = Date.now() - (looked.get(element) ?? 0);
  const timer = setTimeout(() => {
    waiting.delete(element);
    look(element);
  }, Math.max(0, THROTTLE_MS - since));
  waiting.set(element, timer);
}

function hear(message) {
  const { v, topic } = JSON.parse(message.data);
  if (v !== 1) return;
  for (const element of followers()) if (topicsOf(element).includes(topic)) lookSoon(element);
}

function connect() {
  clearTimeout(retry);
  followed = topics();
  if (!followed) return;
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const opened = new WebSocket(`${scheme}://${location.host}/ws/hints/?topics=${encodeURIComponent(followed)}`);
  socket = opened;
  opened.addEventListener("open", () => {
    const cameBack = failures > 0;
    failures = 0;
    if (cameBack) followers().forEach(lookSoon); // whatever was hinted meanwhile is made up for
  });
  opened.addEventListener("message", hear);
  opened.addEventListener("close", (event) => {
    if (socket !== opened) return; // replaced by ourselves
    socket = null;
    if (event.code === 4403) return; // refused: the pages' own clock goes on
    const wait = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)];
    failures += 1;
    retry = setTimeout(connect, wait * (0.75 + Math.random() / 2));
  });
}

function follow() {
  if (topics() === followed) return;
  const old = socket;
  socket = null;
  old?.close();
  connect();
}

connect();
document.addEventListener("htmx:afterSettle", follow);
setInterval(() => document.hidden || followers().forEach(lookSoon), EVERY_MS);
document.addEventListener("visibilitychange", () => document.hidden || followers().forEach(lookSoon));
