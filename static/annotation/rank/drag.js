// Dragging a letter, by mouse or finger, onto the nearest place of the rail. What is dragged is a copy; nothing else moves.

const FAR_ENOUGH = 5; // px: less is a click with an unsteady hand
const NEAR_ENOUGH = 36; // px from a place: a finger is no arrow

/** Lets `button` be dragged to elements with `data-drop` within `root`; `drop(place)` is called where it was let go. */
export function draggable(button, root, drop) {
  button.addEventListener("pointerdown", (event) => event.button === 0 && begin(event, button, root, drop));
}

function begin(event, button, root, drop) {
  const from = { x: event.clientX, y: event.clientY };
  let ghost = null;
  let over = null;
  const move = (at) => {
    if (at.pointerId !== event.pointerId) return;
    if (!ghost && Math.hypot(at.clientX - from.x, at.clientY - from.y) < FAR_ENOUGH) return;
    ghost ??= lift(button);
    ghost.style.setProperty("--x", `${at.clientX}px`);
    ghost.style.setProperty("--y", `${at.clientY}px`);
    over?.classList.remove("over");
    over = nearest(root, at.clientX, at.clientY);
    over?.classList.add("over");
  };
  const end = (at) => {
    if (at.pointerId !== event.pointerId) return;
    for (const [kind, listener] of listeners) removeEventListener(kind, listener);
    button.removeEventListener("touchmove", still);
    over?.classList.remove("over");
    button.classList.remove("lifted");
    if (!ghost) return;
    ghost.remove();
    swallowClick();
    if (over && at.type === "pointerup") drop(over.dataset.drop);
  };
  const listeners = [["pointermove", move], ["pointerup", end], ["pointercancel", end]];
  for (const [kind, listener] of listeners) addEventListener(kind, listener);
  button.addEventListener("touchmove", still, { passive: false });
}

// A finger that lets go in motion would fling the page, and the tap that ends the fling would be none.
function still(event) {
  if (event.cancelable) event.preventDefault();
}

function lift(button) {
  const ghost = document.createElement("span");
  ghost.className = "letter ghost";
  ghost.textContent = button.textContent;
  ghost.setAttribute("aria-hidden", "true");
  document.body.append(ghost);
  button.classList.add("lifted");
  return ghost;
}

// The click that ends a drag is none.
function swallowClick() {
  const swallow = (click) => click.stopPropagation();
  addEventListener("click", swallow, { capture: true, once: true });
  setTimeout(() => removeEventListener("click", swallow, { capture: true }), 0);
}

function nearest(root, x, y) {
  let best = null;
  let least = NEAR_ENOUGH;
  for (const place of root.querySelectorAll("[data-drop]")) {
    const box = place.getBoundingClientRect();
    const distance = Math.hypot(Math.max(box.left - x, 0, x - box.right), Math.max(box.top - y, 0, y - box.bottom));
    if (distance < least) [best, least] = [place, distance];
    if (distance === 0) return place;
  }
  return best;
}
