"""Pairs of completions that are to be judged, and the principle that is drawn for each.

The draw follows from the seeds and from what is compared: not from ids, places or batches, nor from which text stands first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from training.context import RunContext
from training.contract import Failure
from training.mechanics import datasets
from training.mechanics.constitutional import principles as constitution
from training.mechanics.constitutional.principles import Principle
from training.mechanics.generation.sampling import seed_of
from training.recipes.judge import JudgeRecipe

Talk = tuple[tuple[str, str], ...]  # role and content of each message


@dataclass(frozen=True, slots=True)
class Reply:
    """A completion: its id and what it says."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Two replies to one prompt that differ, and the principle by which they are compared."""

    prompt_id: str
    talk: Talk
    first: Reply
    second: Reply
    principle: Principle

    def shown(self, order: int) -> tuple[str, str]:
        """The texts as (A) and (B): 0 is the order ab, 1 is ba."""
        texts = self.first.text, self.second.text
        return texts if order == 0 else (texts[1], texts[0])

    def seed(self, *parts: object, order: int) -> int:
        """Of what is written about the pair in one order; it follows from `parts` and from what is shown."""
        return seed_of(*parts, self.talk, self.principle.id, *self.shown(order))

    @property
    def size(self) -> int:
        """Characters, by which pairs of like length are read together."""
        return sum(len(content) for _, content in self.talk) + len(self.first.text) + len(self.second.text)


def plan(context: RunContext, recipe: JudgeRecipe) -> list[Pair]:
    """All pairs of each prompt, in the order of the completions. Raises `Failure`."""
    prompts = {row["id"]: talk_of(row) for row in rows_of(context, "prompts")}
    replies: dict[str, list[Reply]] = {}
    num_unknown = 0
    for row in rows_of(context, "completions"):
        if row["prompt_id"] in prompts:
            replies.setdefault(row["prompt_id"], []).append(Reply(row["id"], row["text"]))
        else:
            num_unknown += 1
    if not replies:
        raise Failure(
            "other_prompts",
            "None of the completions answers one of these prompts.",
            advice="Choose the prompts from which the completions were made.",
        )
    if num_unknown:
        context.warn("other_prompts", f"{num_unknown} completions answer none of these prompts and were left out.")
    principles = comparable(constitution.read(context.input("constitution")))
    seeds = context.spec.seed, recipe.seed
    found = [
        Pair(name, prompts[name], one, other, drawn(principles, prompts[name], one, other, seeds=seeds))
        for name, some in replies.items()
        for one, other in combinations(some, 2)
        if one.text.strip() != other.text.strip()
    ]
    if not found:
        raise Failure(
            "no_pairs", "No prompt has two completions that differ.", advice="Sample two or more completions a prompt."
        )
    return found


def rows_of(context: RunContext, name: str) -> list[dict[str, Any]]:
    return [row for split in ("train", "test") for row in datasets.read_rows(context.input(name), split=split)]


def talk_of(row: dict[str, Any]) -> Talk:
    return tuple((message["role"], message["content"]) for message in row["messages"])


def comparable(principles: Sequence[Principle]) -> list[Principle]:
    """Those with a comparison question. Raises `Failure("bad_constitution")` where there is none."""
    found = [one for one in principles if one.comparison.strip()]
    if not found:
        raise Failure(
            "bad_constitution",
            "No principle of the constitution has a comparison question, by which replies are judged.",
            advice="Write comparison questions and publish the constitution as a new version.",
        )
    return found


def drawn(
    principles: Sequence[Principle], talk: Talk, one: Reply, other: Reply, *, seeds: tuple[int, int]
) -> Principle:
    return constitution.draw(principles, *seeds, talk, *sorted((one.text, other.text)))
