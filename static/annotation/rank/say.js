// What is said beside the order: that it cannot be ranked, ratings, a better version of a text. The form's fields are its state.

const DIFFERENCE_AFTER_MS = 400;

export class Say {
  /** Puts `kept`, an unsent draft, into the fields; `changed()` is called when she changes one. */
  constructor(form, kept, changed) {
    this.form = form;
    this.changed = changed;
    this.edits = [...document.querySelectorAll("#task .text")].flatMap((text) => editOf(text));
    if (kept) this.fill(kept);
    form.elements.cannot_rank.addEventListener("change", changed);
    for (const radio of ratings()) radio.addEventListener("change", changed);
    for (const edit of this.edits) this.open(edit);
  }

  get cannotRank() {
    return this.form.elements.cannot_rank.value;
  }

  /** What this campaign asks of the texts that are ranked and is not there yet, in words; empty where all is. */
  missing({ tiers }) {
    for (const letter of tiers.flat().sort()) {
      const text = document.querySelector(`#text-${letter}`);
      const scale = text.querySelector(".scale[data-needed]:not(:has(:checked))");
      if (!scale) continue;
      text.scrollIntoView({ block: "nearest", inline: "center" });
      const words = gettext("Rate text %(letter)s on %(scale)s: this campaign asks for it.");
      return interpolate(words, { letter: letter.toUpperCase(), scale: scale.dataset.needed }, true);
    }
    return "";
  }

  /** Opens the better version of a text, to write on. */
  better(letter) {
    const { box, field } = this.edits.find((edit) => edit.letter === letter);
    box.open = true;
    field.disabled = false;
    field.focus();
  }

  asDraft() {
    const rated = {};
    for (const radio of ratings()) {
      const [, letter, name] = radio.name.split(":");
      if (radio.checked && radio.value) (rated[letter] ??= {})[name] = Number(radio.value);
    }
    const edits = Object.fromEntries(this.edits.filter(isChanged).map(({ letter, field }) => [letter, field.value]));
    return { cannot_rank: this.cannotRank, ratings: rated, edits };
  }

  fill(draft) {
    this.form.elements.cannot_rank.value = draft.cannot_rank ?? "";
    for (const radio of ratings()) {
      const [, letter, name] = radio.name.split(":");
      radio.checked = radio.value === String(draft.ratings?.[letter]?.[name] ?? "");
    }
    for (const edit of this.edits) {
      const text = draft.edits?.[edit.letter];
      edit.field.value = text ?? edit.source;
      edit.box.open ||= text !== undefined;
    }
  }

  /** A version that was not begun is not sent: the server knows its text. */
  open(edit) {
    const { box, field } = edit;
    const settle = () => (field.disabled = !box.open && !isChanged(edit));
    settle();
    box.addEventListener("toggle", settle);
    box.querySelector("summary").addEventListener("click", () => (field.disabled = false));
    let timer = null;
    field.addEventListener("input", () => {
      this.changed();
      clearTimeout(timer);
      timer = setTimeout(() => this.showDifference(edit), DIFFERENCE_AFTER_MS);
    });
    if (isChanged(edit)) this.showDifference(edit);
  }

  showDifference({ letter, field, box }) {
    const values = { letter, [field.name]: field.value };
    for (const name of ["csrfmiddlewaretoken", "assignment"]) values[name] = this.form.elements[name].value;
    const target = box.querySelector(".change");
    window.htmx.ajax("POST", this.form.dataset.differenceUrl, { target, values, swap: "innerHTML" });
  }
}

function ratings() {
  return document.querySelectorAll("#task .scale input");
}

function editOf(text) {
  const box = text.querySelector("details.better");
  const field = box?.querySelector("textarea");
  return field ? [{ letter: text.dataset.letter, box, field, source: field.dataset.source ?? field.defaultValue }] : [];
}

function isChanged({ field, source }) {
  return field.value.trim() !== "" && field.value.trim() !== source.trim();
}
