// The two parts of the page that make a task: its texts, and the bar with its form. Kept as they came, put on the page as clones.

const TASK = "#task";
const BAR = "#rank-bar";

/** @typedef {{id: string | null, task: Element, bar: Element}} Parts  `id` is the assignment; null where there is no task */

/** @returns {Parts} */
export function partsOnPage() {
  const [task, bar] = [TASK, BAR].map((selector) => document.querySelector(selector));
  return { id: bar.querySelector("[name=assignment]")?.value ?? null, task, bar };
}

/** Before anything is wired to them: what is put on the page later begins anew. */
export function clonesOf({ id, task, bar }) {
  return { id, task: task.cloneNode(true), bar: bar.cloneNode(true) };
}

export function swapIn({ task, bar }) {
  for (const [selector, part] of [[TASK, task], [BAR, bar]]) {
    const made = part.cloneNode(true);
    document.querySelector(selector).replaceWith(made);
    htmx.process(made); // it came by a way that htmx knows nothing of
  }
}

/** The parts of a task that was submitted under `ids`, to be submitted again under `id`: without lease, draft, or skipping. */
export function takenBack(parts, { ids, id }) {
  const { task, bar } = clonesOf(parts);
  const form = bar.querySelector("form");
  for (const name of ["draftUrl", "renewUrl", "aheadUrl", "giveBackUrl"]) form.dataset[name] = "";
  form.querySelector("[name=client_uuid]").value = id;
  form.querySelector("[name=client_uuid]").after(...ids.map((before) => hidden("instead_of", before)));
  const leave = document.createElement("button");
  Object.assign(leave, { type: "button", id: "leave-it", className: "btn quiet", textContent: gettext("Leave it as it is") });
  form.querySelector("[data-open='#skip']").replaceWith(leave);
  const submit = form.querySelector("#submit");
  submit.replaceChildren(`${gettext("Correct")} `, submit.querySelector("kbd"));
  for (const place of form.querySelectorAll(".mine, #saving")) place.textContent = "";
  const heading = task.querySelector("h2#texts");
  heading.textContent = `${gettext("You take back what you submitted last.")} ${heading.textContent}`;
  return { id: parts.id, task, bar };
}

function hidden(name, value) {
  return Object.assign(document.createElement("input"), { type: "hidden", name, value });
}
