// Small manners of every page: menus close, dialogs open, deeds ask first, values are copied, toasts go away.

// <button data-open="#id"> opens that <dialog>; <button data-close> closes the one it is in.
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-open]");
  if (opener) document.querySelector(opener.dataset.open)?.showModal();
  const closed = event.target.closest("[data-close]")?.closest("dialog, .notice");
  if (closed?.matches("dialog")) closed.close();
  else closed?.remove();
  for (const menu of document.querySelectorAll("details.menu[open]"))
    if (!menu.contains(event.target)) menu.open = false;
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const menu = document.querySelector("details.menu[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

// <form data-confirm="Deactivate ada?"> asks before it is sent.
const asked = new WeakSet();
document.addEventListener(
  "submit",
  (event) => {
    const { confirm: question } = event.target.dataset;
    if (!question || asked.has(event.target)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    ask(question, event.submitter?.textContent.trim() ?? gettext("Yes")).then((yes) => {
      if (!yes) return;
      asked.add(event.target);
      event.target.requestSubmit(event.submitter);
      asked.delete(event.target);
    });
  },
  true,
);

function ask(question, verb) {
  const dialog = document.querySelector("#ask");
  dialog.querySelector("p").textContent = question;
  dialog.querySelector("[value=yes]").textContent = verb;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((tell) => {
    dialog.addEventListener("close", () => tell(dialog.returnValue === "yes"), { once: true });
  });
}

// <button data-copy="#id"> copies the text of that element.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.querySelector(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.textContent.trim());
    button.textContent = gettext("Copied");
  } catch {
    getSelection().selectAllChildren(source); // no clipboard without HTTPS: the text is selected instead
    button.textContent = gettext("Selected");
  }
});

// A form is sent once, however often the button is pressed; a page out of the back-forward cache can be sent again.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method === "dialog" || form.method === "get") return;
  if (form.dataset.sent) event.preventDefault();
  else form.dataset.sent = "yes";
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// Says something in the corner. `tone`: "", "good", "warn", "bad".
export function toast(sentence, { tone = "", title = "", code = "" } = {}) {
  const notice = document.createElement("div");
  notice.className = "notice";
  notice.dataset.tone = tone;
  notice.dataset.code = code || sentence;
  notice.setAttribute("role", tone === "bad" ? "alert" : "status");
  if (title) notice.append(Object.assign(document.createElement("strong"), { textContent: title }));
  notice.append(Object.assign(document.createElement("p"), { textContent: sentence }));
  document.querySelector("#toasts").append(notice);
  settle(notice);
}

// One toast of a kind; a good one leaves by itself, a bad one waits for its reader.
function settle(notice) {
  for (const other of document.querySelectorAll("#toasts > .notice"))
    if (other !== notice && other.dataset.code === notice.dataset.code) other.remove();
  if (!notice.querySelector("[data-close]")) {
    const close = Object.assign(document.createElement("button"), { className: "btn quiet small", type: "button", textContent: gettext("Close") });
    close.dataset.close = "";
    notice.append(close);
  }
  if (notice.dataset.tone !== "bad") setTimeout(() => notice.remove(), 6_000);
}

document.querySelectorAll("#toasts > .notice").forEach(settle);
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.target.id === "toasts") settle(event.target.lastElementChild);
});
document.addEventListener("htmx:sendError", () => {
  toast(gettext("The server can't be reached. What you see may be old; it is fetched again by itself."), { tone: "warn", code: "offline" });
});
