"""What is asked of each row by itself, a batch at a time: it is mended, redacted, and dropped by the first who objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from training.mechanics.curation import minhash, rows
from training.mechanics.curation.language import about_language
from training.mechanics.curation.normal import normal
from training.mechanics.curation.overlap import Overlap
from training.mechanics.curation.personal import KINDS, find_personal
from training.mechanics.curation.quality import about_quality, about_repetition
from training.mechanics.curation.report import StepReport
from training.mechanics.curation.rows import Row
from training.mechanics.curation.words import Words, words_of
from training.recipes.curate import CurateRecipe, NearDuplicates, PersonalData

BATCH_CHARACTERS = 1_000_000  # of texts that numpy sees at once
FIELDS = {"email": "emails", "phone": "phones", "iban": "ibans", "card": "cards", "ip": "ips"}


def sift(
    part: list[tuple[str, Row]], recipe: CurateRecipe, *, overlap: Overlap, num_hashes: int
) -> Iterator[tuple[list[Row], list[StepReport]]]:
    """Batch by batch: the rows that stay, with the columns that later steps need, and what each step did."""
    for batch in batches(part, kind=recipe.kind_of_dataset):
        steps = [StepReport(name, recipe.examples) for name in told_of(recipe)]
        yield Sieve(recipe, {step.name: step for step in steps}, overlap, num_hashes).sift(batch), steps


def told_of(recipe: CurateRecipe) -> list[str]:
    """The steps on single rows that the recipe has."""
    named = {"personal_data": recipe.personal_data, "quality": recipe.quality, "repetition": recipe.repetition,
             "language": recipe.language, "decontamination": recipe.decontamination}  # fmt: skip
    return ["normalise", *(name for name, bounds in named.items() if bounds is not None)]


def batches(part: list[tuple[str, Row]], *, kind: str) -> Iterator[list[tuple[str, Row]]]:
    batch: list[tuple[str, Row]] = []
    size = 0
    for split, row in part:
        batch.append((split, row))
        size += len(rows.text_of(row, kind=kind))
        if size >= BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class Sieve:
    """One batch on its way through the steps."""

    def __init__(self, recipe: CurateRecipe, steps: dict[str, StepReport], overlap: Overlap, num_hashes: int) -> None:
        self.recipe, self.steps, self.overlap, self.num_hashes = recipe, steps, overlap, num_hashes
        self.kind: str = recipe.kind_of_dataset
        self.splits: list[str] = []
        self.rows: list[Row] = []
        self.texts: list[str] = []

    def sift(self, batch: list[tuple[str, Row]]) -> list[Row]:
        recipe = self.recipe
        self.splits, self.rows = [split for split, _ in batch], [row for _, row in batch]
        self.mend()
        if recipe.personal_data:
            self.hide(recipe.personal_data)
        if recipe.quality:
            self.drop("quality", [about_quality(text, recipe.quality) for text in self.texts])
        words = words_of(self.texts)
        if recipe.repetition and self.drop("repetition", about_repetition(self.texts, words, recipe.repetition)):
            words = words_of(self.texts)
        if recipe.language and self.drop("language", [about_language(text, recipe.language) for text in self.texts]):
            words = words_of(self.texts)
        if recipe.decontamination:
            shared = self.overlap.shared_by(words).tolist()
            reason = f"shares {recipe.decontamination.ngram} words or a whole text with an evaluation set"
            if self.drop("decontamination", [reason if share else "" for share in shared]):
                words = words_of(self.texts)
        return [*self.described(words)]

    def mend(self) -> None:
        step = self.steps["normalise"]
        step.given = len(self.rows)
        if self.recipe.normalise:
            mended = [rows.with_texts(row, normal, kind=self.kind) for row in self.rows]
            step.changed = sum(new != old for new, old in zip(mended, self.rows, strict=True))
            self.rows = mended
        self.texts = [rows.text_of(row, kind=self.kind) for row in self.rows]
        self.drop("normalise", ["" if text.strip() else "no text" for text in self.texts])
        step.given = step.given or len(self.rows)

    def hide(self, bounds: PersonalData) -> None:
        """Redacts before anything else looks, so that what is judged is what stays."""
        step = self.steps["personal_data"]
        kinds = [kind for kind in KINDS if getattr(bounds, FIELDS[kind])]
        reasons = []
        for place, row in enumerate(self.rows):
            met: list[str] = []

            def hidden(text: str, met: list[str] = met) -> str:
                redacted, found = find_personal(text, kinds, redact=bounds.action == "redact")
                met.extend(found.elements())
                return normal(redacted) if self.recipe.normalise and redacted != text else redacted

            self.rows[place] = rows.with_texts(row, hidden, kind=self.kind)
            step.found.update(met)
            step.changed += bool(met) and bounds.action == "redact"
            reasons.append(f"holds personal data ({met[0]})" if met and bounds.action == "drop" else "")
        self.texts = [rows.text_of(row, kind=self.kind) for row in self.rows]
        if bounds.action == "drop":  # the report must not show what the rows were dropped for
            kept, self.texts = self.texts, [find_personal(text, kinds, redact=True)[0] for text in self.texts]
            self.drop("personal_data", reasons)
            self.texts = [text for text, reason in zip(kept, reasons, strict=True) if not reason]
            return
        self.drop("personal_data", reasons)

    def drop(self, name: str, reasons: list[str]) -> bool:
        """Takes out the rows with a reason; whether there were any."""
        step = self.steps[name]
        step.given = len(self.rows) if name != "normalise" else step.given
        if not any(reasons):
            return False
        for row, text, reason in zip(self.rows, self.texts, reasons, strict=True):
            if reason:
                step.drop(row["id"], text, reason)
        stay = [place for place, reason in enumerate(reasons) if not reason]
        self.splits = [self.splits[place] for place in stay]
        self.rows = [self.rows[place] for place in stay]
        self.texts = [self.texts[place] for place in stay]
        return True

    def described(self, words: Words) -> Iterator[Row]:
        bounds = self.recipe.near_duplicates
        counts = words.counts_D.tolist()
        signed = self.signatures(words, bounds)
        for place, (split, row) in enumerate(zip(self.splits, self.rows, strict=True)):
            prompt = rows.prompt_digest(row, kind=self.kind)
            yield {
                **row,
                "_given_held_out": split == "test",
                "_content_held_out": rows.is_held_out(prompt),
                "_content": int.from_bytes(rows.content_digest(row, kind=self.kind)[-8:], "big"),
                "_prompt": int.from_bytes(prompt[-8:], "big"),
                "_is_compared": bounds is not None and counts[place] >= bounds.min_words,
                "_signature": signed[place].tobytes(),
            }

    def signatures(self, words: Words, bounds: NearDuplicates | None) -> Any:
        if bounds is None or not self.texts:
            return np.zeros((len(self.texts), self.num_hashes), dtype=np.uint16)
        return minhash.signatures(words, ngram=bounds.ngram, count=self.num_hashes)
