// Light, dark or as the system has it. A classic script in the head, so that the page never flashes in the wrong one.

(() => {
  const KEY = "theme";
  const ROOT = document.documentElement;

  const stored = () => {
    try {
      return localStorage.getItem(KEY) ?? "system";
    } catch {
      return "system"; // storage is off in this browser: the choice lives as long as the page
    }
  };

  const show = (theme) => {
    if (theme === "system") delete ROOT.dataset.theme;
    else ROOT.dataset.theme = theme;
    for (const button of document.querySelectorAll("[data-set-theme]"))
      button.setAttribute("aria-pressed", String(button.dataset.setTheme === theme));
  };

  show(stored());

  document.addEventListener("DOMContentLoaded", () => show(stored()));
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-set-theme]");
    if (!button) return;
    try {
      localStorage.setItem(KEY, button.dataset.setTheme);
    } catch {
      // nothing to keep it in; it still shows
    }
    show(button.dataset.setTheme);
  });
  window.addEventListener("storage", (event) => event.key === KEY && show(stored()));
})();
