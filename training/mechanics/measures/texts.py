"""How well a model that writes foresees texts and answers, row by row, and what it answers: kept part by part.

A text is read in windows that follow each other, each token with at most `max_length` before it; the first one behind the
tokenizer's begin or end mark, and the end of a text is foreseen too, as in pretraining. Of instructions the last answer is
measured, to its end-of-turn token; bytes are those of its words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.context import RunContext
from training.contract import Failure
from training.mechanics import datasets, scoring
from training.mechanics.generation import sampling
from training.mechanics.memory import Room
from training.mechanics.parts import BATCHES, Tell, batches_by_length, kept
from training.mechanics.scoring import Completion
from training.recipes.measure import MeasureRecipe


@dataclass(frozen=True, slots=True)
class Writer:
    """A model that writes, as a measure takes it; `name` is its input's, by which its parts are kept."""

    name: str
    model: Any
    tokenizer: Any
    context: RunContext
    recipe: MeasureRecipe

    def nats(self, what: str, pieces: Sequence[Completion]) -> list[float]:
        """-log p of each piece, given what stands before it."""

        def score(places: list[int], tell: Tell) -> list[dict[str, Any]]:
            found = scoring.token_logprobs(
                self.model, [pieces[place] for place in places], pad_token_id=self.tokenizer.pad_token_id,
                batch_size=self.recipe.batch_size, tell=tell, room=Room(self.context, self.tokenizer),
            )  # fmt: skip
            return [{"nats": -logps.double().sum().item()} for logps in found]

        lengths = [len(piece.prompt) + len(piece.ids) for piece in pieces]
        batches = batches_by_length(lengths, batch_size=BATCHES * self.recipe.batch_size)
        return [row["nats"] for row in kept(self.context, f"{self.name} {what}", batches, score, unit="texts")]


@dataclass(frozen=True, slots=True)
class Foreseen:
    """By row: nats, tokens and bytes; `rows` of the given ones took part."""

    nats: np.ndarray
    tokens: np.ndarray
    num_bytes: np.ndarray
    rows: tuple[int, ...]

    @property
    def figures(self) -> dict[str, float]:
        loss = float(self.nats.sum() / self.tokens.sum())
        return {"loss": loss, "perplexity": math.exp(min(loss, 700.0)), "bits_per_byte": self.bits_per_byte}

    @property
    def bits_per_byte(self) -> float:
        return float(self.nats.sum() / math.log(2) / max(self.num_bytes.sum(), 1))


def foresee_texts(writer: Writer, texts: Sequence[str]) -> Foreseen:
    words = writer.tokenizer
    mark = words.bos_token_id if words.bos_token_id is not None else words.eos_token_id
    pieces: list[Completion] = []
    of_row: list[int] = []
    for row, text in enumerate(texts):
        ids = [mark, *words(text, add_special_tokens=False)["input_ids"], words.eos_token_id]
        for start in range(1, len(ids), writer.recipe.max_length):
            pieces.append(Completion([ids[start - 1]], ids[start : start + writer.recipe.max_length]))
            of_row.append(row)
    nats = np.bincount(of_row, weights=writer.nats("corpus", pieces), minlength=len(texts))
    tokens = np.bincount(of_row, weights=[len(piece.ids) for piece in pieces], minlength=len(texts))
    return Foreseen(nats, tokens, np.array([len(text.encode()) for text in texts]), tuple(range(len(texts))))


def foresee_answers(writer: Writer, talks: Sequence[list[datasets.Message]]) -> Foreseen:
    """Of conversations whose end is the assistant's. Raises `Failure("no_answers")` where a template renders none."""
    pieces, rows = [], []
    for row, talk in enumerate(talks):
        prompt = datasets.render_prompt(writer.tokenizer, talk[:-1])
        whole = datasets.render_conversation(writer.tokenizer, talk)
        ends = [place for place, token in enumerate(whole) if token == writer.tokenizer.eos_token_id]
        ids = whole[len(prompt) : ends[-1] + 1 if ends else None]
        if whole[: len(prompt)] == prompt and ids:
            pieces.append(Completion(prompt, ids))
            rows.append(row)
    if not pieces:
        raise Failure("no_answers", "The model's chat template renders no answer behind its question.",
                      advice="Measure a model whose template asks for answers as it renders them.")  # fmt: skip
    if len(rows) < len(talks):
        writer.context.warn(
            "asked_otherwise",
            f"{len(talks) - len(rows)} of {len(talks)} answers do not follow what asks for one: left out.",
        )
    said = [len(talks[row][-1]["content"].encode()) for row in rows]
    nats = np.array(writer.nats("answers", pieces))
    return Foreseen(nats, np.array([len(piece.ids) for piece in pieces]), np.array(said), tuple(rows))


def answer(writer: Writer, talks: Sequence[list[datasets.Message]]) -> list[dict[str, Any]]:
    """What the model says where the last answer stood: `text`, and whether it `ended` by itself."""
    recipe = writer.recipe
    asked = [talk[:-1] for talk in talks]
    prompts = [datasets.render_prompt(writer.tokenizer, talk) for talk in asked]
    seeds = [one for (one,) in sampling.seeds_of(asked, writer.context.spec.seed, recipe.seed, samples=1)]

    def work(places: list[int], tell: Tell) -> list[dict[str, Any]]:
        found = sampling.sample(
            writer.model, writer.tokenizer, [prompts[place] for place in places],
            seeds=[seeds[place] for place in places], temperatures=[recipe.temperature] * len(places), top_p=1.0,
            max_new_tokens=recipe.max_new_tokens, batch_size=recipe.batch_size, tell=tell,
            stop_requested=lambda: writer.context.stop_requested, room=Room(writer.context, writer.tokenizer),
        )  # fmt: skip
        return [{"text": sample.text, "ended": sample.ended} for sample in found]

    batches = batches_by_length([len(prompt) for prompt in prompts], batch_size=BATCHES * recipe.batch_size)
    return kept(writer.context, f"{writer.name} said", batches, work, unit="answers")
