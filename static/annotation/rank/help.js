// The list of keys: hers to change, kept on the server; and the switch that turns single keys off, which this browser keeps.

import { post, told } from "./draft.js";
import { inReadingOrder, pressed } from "./keys.js";

const NO_KEYS = "rank.no-single-keys";
const dialog = document.querySelector("#keys");

// action -> the key as it is shown
let shown = Object.fromEntries([...dialog.querySelectorAll("kbd[data-key]")].map((kbd) => [kbd.dataset.key, inReadingOrder(kbd.textContent)]));

/** Her keys: action -> key, as browsers name it. */
export const keys = JSON.parse(dialog.dataset.keys);

export function keysAreOff() {
  try {
    return localStorage.getItem(NO_KEYS) !== null;
  } catch {
    return false; // storage is off in this browser: keys are on
  }
}

/** A hint: the key of an action, which follows when she changes it. */
export function hint(action) {
  const kbd = document.createElement("kbd");
  kbd.dataset.key = action;
  kbd.textContent = shown[action];
  return kbd;
}

/** Writes her keys into all hints within `root`: also where it was made before she changed them. */
export function writeHints(root) {
  for (const kbd of root.querySelectorAll("kbd[data-key]")) kbd.textContent = shown[kbd.dataset.key] ?? kbd.textContent;
}

export function wireHelp() {
  const box = dialog.querySelector("#keys-on");
  box.checked = !keysAreOff();
  box.addEventListener("change", () => {
    if (box.checked) localStorage.removeItem(NO_KEYS);
    else localStorage.setItem(NO_KEYS, "yes");
  });
  for (const button of dialog.querySelectorAll("button[data-action]")) button.addEventListener("click", () => ask(button));
  dialog.querySelector("#keys-reset").addEventListener("click", () => send({ reset: "yes" }));
  dialog.addEventListener("keydown", heard, { capture: true });
  dialog.addEventListener("close", () => ask(null));
}

let asking = null; // the button of the action whose new key is awaited

function ask(button) {
  if (asking) label(asking, gettext("Change"), false);
  asking = asking === button ? null : button;
  if (asking) label(asking, gettext("Press a key"), true);
  say("");
}

function label(button, words, isPressed) {
  button.textContent = words;
  button.setAttribute("aria-pressed", String(isPressed));
}

/** The next key is the new one. Tab, Enter, Space and Escape keep their meaning here: one must get around, and out. */
function heard(event) {
  if (!asking || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = pressed(event);
  if (["Shift", "Tab", "Enter", " ", "AltGraph", "CapsLock", "Dead"].includes(key)) return;
  event.preventDefault();
  event.stopPropagation();
  const { action } = asking.dataset;
  ask(null);
  if (key !== "Escape") send({ action, key });
}

async function send(fields) {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) body.set(name, value);
  body.set("csrfmiddlewaretoken", document.querySelector("[name=csrfmiddlewaretoken]").value);
  const answer = await post(dialog.dataset.url, body).catch(() => null);
  if (!answer?.ok) return say(answer ? inReadingOrder(await told(answer)) : gettext("The server can't be reached: your keys are as they were."));
  const { keys: now } = await answer.json();
  for (const [action, { key, shown: name }] of Object.entries(now)) {
    keys[action] = key;
    shown = { ...shown, [action]: inReadingOrder(name) };
  }
  writeHints(document);
  say("");
}

function say(words) {
  dialog.querySelector("#key-error").textContent = words;
}
