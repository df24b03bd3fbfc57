// The desk of a draft: says whether what is typed is saved, saves by Ctrl Enter, and asks before it is left behind.

const saving = document.querySelector("#saving");
let isUnsaved = Boolean(form()?.dataset.unsaved !== undefined);

function form() {
  return document.querySelector("#draft");
}

function noteUnsaved() {
  isUnsaved = true;
  saving.textContent = gettext("Not saved yet.");
}

document.addEventListener("input", (event) => {
  if (event.target.closest("#draft") && !event.target.closest(".try")) noteUnsaved(); // a prompt to try a card on is not kept
});

// Cards that were moved, added or removed come back in a form that is not saved.
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.target.closest?.(".try")) return;
  if (form()?.dataset.unsaved !== undefined) noteUnsaved();
});

document.addEventListener("submit", (event) => {
  if (event.target.id !== "draft" || event.defaultPrevented || event.submitter?.name === "try") return;
  isUnsaved = false;
  saving.textContent = gettext("Saving …");
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || !form()) return;
  event.preventDefault();
  form().requestSubmit(document.querySelector("[form=draft][value=save]"));
});

addEventListener("beforeunload", (event) => {
  if (isUnsaved) event.preventDefault();
});
