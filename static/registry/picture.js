// A picture that is wider than its frame opens at the thing in question.

for (const frame of document.querySelectorAll(".picture")) {
  const box = frame.querySelector(".focus");
  if (!box) continue;
  const [outer, inner] = [frame.getBoundingClientRect(), box.getBoundingClientRect()];
  frame.scrollLeft = inner.left + inner.width / 2 - outer.left - outer.width / 2;
}
