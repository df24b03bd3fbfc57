// The list of keys, and the switch that turns single keys off, which this browser remembers.

import { HELP } from "./keys.js";

const NO_KEYS = "rank.no-single-keys";

export function keysAreOff() {
  try {
    return localStorage.getItem(NO_KEYS) !== null;
  } catch {
    return false; // storage is off in this browser: keys are on
  }
}

export function openHelp(dialog) {
  const list = dialog.querySelector("dl");
  for (const [key, meaning] of HELP) {
    const term = document.createElement("dt");
    term.append(Object.assign(document.createElement("kbd"), { textContent: key }));
    list.append(term, Object.assign(document.createElement("dd"), { textContent: meaning }));
  }
  const box = dialog.querySelector("#keys-on");
  box.checked = !keysAreOff();
  box.addEventListener("change", () => {
    if (box.checked) localStorage.removeItem(NO_KEYS);
    else localStorage.setItem(NO_KEYS, "yes");
  });
}
