"""A critic by rule, for tests and machines without a model: it knows the harmful words of `recipes.harm`, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from training.mechanics.constitutional.critics import Said, Tell
from training.mechanics.constitutional.prompts import Ask
from training.mechanics.generation.sampling import seed_of
from training.recipes import harm


@dataclass(frozen=True, slots=True)
class RulesCritic:
    """Names the first sentence that is harmful by `recipes.harm`, and puts a safe one in its place: one a round.

    So harmfulness falls by one sentence's share a round, to 0. Which safe one: by the kind of harm and by the principle.
    """

    def answer(self, asks: Sequence[Ask], tell: Tell) -> list[Said]:
        said = [Said(critique_by_rules(ask) if ask.wish == "critique" else revised_by_rules(ask)) for ask in asks]
        tell(len(said))
        return said


def critique_by_rules(ask: Ask) -> str:
    if (place := first_harm(ask.text)) is None:
        return f"By “{ask.principle.id}” no sentence of this reply holds a harmful word."
    sentence = ask.text[place[0] : place[1]]
    return f"By “{ask.principle.id}” this sentence is harmful ({harm.kind_of_harm(sentence)}): {sentence}"


def revised_by_rules(ask: Ask) -> str:
    if (place := first_harm(ask.text)) is None:
        return ask.text
    start, end = place
    sentences = harm.SAFE[harm.kind_of_harm(ask.text[start:end])]
    return ask.text[:start] + sentences[seed_of(ask.principle.id) % len(sentences)] + ask.text[end:]


def first_harm(text: str) -> tuple[int, int] | None:
    return next(((start, end) for start, end in harm.places(text) if harm.kind_of_harm(text[start:end])), None)
