"""Two models' answers to the same prompts, drawn from the same lots; how likely either finds them, and what a reward model says.

Everything is kept part by part, so that a killed run does none of it twice. Models are in memory one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from training.context import RunContext
from training.contract import Failure
from training.mechanics import datasets, models, scoring
from training.mechanics.generation import sampling
from training.mechanics.measures.rewards import Scorer
from training.mechanics.memory import Room
from training.mechanics.parts import BATCHES, Row, Tell, batches_by_length, kept
from training.recipes.evaluate import EvaluateRecipe

SIDES = ("policy", "reference")

Answers = dict[str, list[Row]]
"""By side, one row a job: ids, text and ended of its `Sample`."""


@dataclass(frozen=True, slots=True)
class Job:
    """One answer to be sampled, of either side."""

    prompt_id: str
    messages: list[datasets.Message]
    index: int
    seed: int


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two models, loaded; `name` is its input's, by which its parts are kept."""

    name: str
    model: Any
    tokenizer: Any
    prompts: list[list[int]]
    context: RunContext
    recipe: EvaluateRecipe
    room: Room

    @classmethod
    def load(cls, context: RunContext, recipe: EvaluateRecipe, name: str, *, jobs: Sequence[Job]) -> Side:
        given = context.input(name)
        tokenizer = models.load_tokenizer(given)
        model = models.load_causal(given, dtype=dtype_of(recipe), virtual_allowed=True).to(models.device())
        model.eval()
        prompts = [datasets.render_prompt(tokenizer, job.messages) for job in jobs]
        return cls(name, model, tokenizer, prompts, context, recipe, Room(context, tokenizer))

    def answers(self, jobs: Sequence[Job]) -> list[Row]:
        recipe = self.recipe

        def draw(places: list[int], tell: Tell) -> list[Row]:
            found = sampling.sample(
                self.model, self.tokenizer, [self.prompts[place] for place in places],
                seeds=[jobs[place].seed for place in places], temperatures=[recipe.temperature] * len(places), top_p=1.0,
                max_new_tokens=recipe.max_new_tokens, batch_size=recipe.batch_size, tell=tell,
                stop_requested=lambda: self.context.stop_requested, room=self.room,
            )  # fmt: skip
            return [{"ids": sample.ids, "text": sample.text, "ended": sample.ended} for sample in found]

        batches = batches_by_length(
            [len(prompt) for prompt in self.prompts], batch_size=BATCHES * recipe.batch_size, together=recipe.samples
        )
        return kept(self.context, f"{self.name} answers", batches, draw, unit="completions")

    def likelihoods(self, answers: Sequence[Row]) -> list[float]:
        """log p of each whole answer, at the temperature of sampling."""
        recipe = self.recipe
        said = [scoring.Completion(prompt, row["ids"]) for prompt, row in zip(self.prompts, answers, strict=True)]

        def score(places: list[int], tell: Tell) -> list[Row]:
            found = scoring.token_logprobs(
                self.model, [said[place] for place in places], pad_token_id=self.tokenizer.pad_token_id,
                batch_size=recipe.batch_size, temperature=recipe.temperature, tell=tell, room=self.room,
            )  # fmt: skip
            return [{"logprob": logps.double().sum().item()} for logps in found]

        batches = batches_by_length([len(one.prompt) + len(one.ids) for one in said], batch_size=recipe.batch_size)
        rows = kept(self.context, f"{self.name} likelihoods", batches, score, unit="completions")
        return [row["logprob"] for row in rows]


def answer_and_score(context: RunContext, recipe: EvaluateRecipe, jobs: Sequence[Job]) -> tuple[Answers, list[float]]:
    """The answers of both sides, and for each of the policy's log policy - log reference. Raises `Failure`."""
    refuse_other_words(context)
    answers: Answers = {}
    logprobs: dict[str, list[float]] = {}
    for name in SIDES:
        side = Side.load(context, recipe, name, jobs=jobs)
        answers[name] = side.answers(jobs)
        logprobs[name] = side.likelihoods(answers["policy"])
        del side  # before the next one is loaded
    return answers, [p - r for p, r in zip(logprobs["policy"], logprobs["reference"], strict=True)]


def refuse_other_words(context: RunContext) -> None:
    """The KL is one of distributions over the same tokens."""
    policy, reference = (models.load_tokenizer(context.input(name)).get_vocab() for name in SIDES)
    if policy != reference:
        raise Failure(
            "tokenizer_differs",
            "Policy and reference read different tokens, so no KL lies between them.",
            advice="Compare with the model that the policy was trained from.",
        )


def score_rewards(
    context: RunContext, recipe: EvaluateRecipe, jobs: Sequence[Job], answers: Answers
) -> dict[str, list[float]]:
    """What the input `reward` gives each answer, by side."""
    scorer = Scorer.load(context, dtype=dtype_of(recipe))
    found = {}
    for name in SIDES:
        talks = [
            [*job.messages, {"role": "assistant", "content": row["text"]}]
            for job, row in zip(jobs, answers[name], strict=True)
        ]
        found[name] = scorer.rewards(name, talks, batch_size=recipe.batch_size)
    return found


def dtype_of(recipe: EvaluateRecipe) -> torch.dtype:
    return torch.bfloat16 if recipe.bf16 else torch.float32
