"""Who critiques and revises: a model of ours, or an endpoint (or `rules`, for tests). Whoever asks does not ask which."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from training.context import RunContext
from training.contract import Failure
from training.mechanics import datasets
from training.mechanics.constitutional.prompts import Ask, messages_of
from training.mechanics.generation import sampling
from training.mechanics.generation.endpoint import Answer, Endpoint
from training.mechanics.generation.journal import Journal, ask_all, endpoint_of
from training.mechanics.memory import Room
from training.mechanics.virtual_tokens import split
from training.recipes.constitutional import ConstitutionalRecipe

Tell = Callable[[int], None]

SEED_BITS = 31  # what every server takes
LEAST = 16  # tokens of an answer for which there must be room


@dataclass(frozen=True, slots=True)
class Said:
    """`is_too_long`: the request left no room for an answer, and nothing was said."""

    text: str
    ended: bool = True
    is_too_long: bool = False


class Critic(Protocol):
    def answer(self, asks: Sequence[Ask], tell: Tell) -> list[Said]:
        """One answer to each, in their order; all have one wish. Follows from what is asked and its seed.

        `tell` hears how many are done. Raises `Stopped` on request, and `Failure`.
        """
        ...


@dataclass(frozen=True, slots=True)
class ModelCritic:
    """A causal model, asked in its own chat template."""

    context: RunContext
    recipe: ConstitutionalRecipe
    model: Any
    tokenizer: Any
    room: Room

    def answer(self, asks: Sequence[Ask], tell: Tell) -> list[Said]:
        recipe = self.recipe
        prompts = [self.rendered(ask) for ask in asks]
        places = [place for place, prompt in enumerate(prompts) if prompt]
        found = sampling.sample(
            self.model, self.tokenizer, [prompts[place] or [] for place in places],
            seeds=[asks[place].seed for place in places], temperatures=[recipe.critic_temperature] * len(places), top_p=1.0,
            max_new_tokens=limit_of(recipe, asks[0]), batch_size=recipe.batch_size, tell=tell,
            stop_requested=lambda: self.context.stop_requested, room=self.room,
        )  # fmt: skip
        said = [Said("", is_too_long=True)] * len(asks)
        for place, sample in zip(places, found, strict=True):
            said[place] = Said(sample.text, sample.ended)
        return said

    def rendered(self, ask: Ask) -> list[int] | None:
        """With as many examples as leave room for a whole answer; without any, with room for some of it."""
        trunk, virtual = split(self.model)
        window = getattr(trunk.config.get_text_config(), "max_position_embeddings", None)
        before, limit = virtual.count if virtual else 0, limit_of(self.recipe, ask)
        for count in range(len(ask.examples), -1, -1):
            ids = datasets.render_prompt(self.tokenizer, messages_of(ask, examples=count))
            room = limit if count else min(LEAST, limit)
            if window is None or before + len(ids) + room <= window:
                return ids
        return None


@dataclass(frozen=True, slots=True)
class EndpointCritic:
    """An endpoint, whose answers are written down by the seed of what was asked: a resumed run asks for none of them again."""

    context: RunContext
    recipe: ConstitutionalRecipe
    endpoint: Endpoint
    journal: Journal

    def answer(self, asks: Sequence[Ask], tell: Tell) -> list[Said]:
        assert self.recipe.endpoint is not None
        by_seed = {ask.seed: ask for ask in asks}
        ask_all(
            list(by_seed),
            lambda seed: self.asked(by_seed[seed]),
            self.journal,
            at_once=self.recipe.endpoint.at_once,
            stop_requested=lambda: self.context.stop_requested,
            tell=tell,
        )
        choices = [self.journal.answers[ask.seed].choices[0] for ask in asks]
        return [Said(choice.text, choice.ended) for choice in choices]

    def asked(self, ask: Ask) -> Answer:
        assert self.recipe.endpoint is not None
        answer = self.endpoint.ask(
            {
                "model": self.recipe.endpoint.model, "messages": messages_of(ask), "n": 1, "seed": ask.seed >> (63 - SEED_BITS),
                "temperature": self.recipe.critic_temperature, "max_tokens": limit_of(self.recipe, ask),
            }
        )  # fmt: skip
        if not answer.choices:
            raise Failure("bad_answer", "The endpoint answered without any completion.", advice="Try another model.")
        return answer


def limit_of(recipe: ConstitutionalRecipe, ask: Ask) -> int:
    return recipe.critique_tokens if ask.wish == "critique" else recipe.max_new_tokens


def endpoint_critic(context: RunContext, recipe: ConstitutionalRecipe) -> EndpointCritic:
    """Raises `Failure("no_key")`, and `Failure("no_estimate")` where a probe would have to pay."""
    assert recipe.endpoint is not None
    if context.probe is not None:
        raise Failure(
            "no_estimate",
            "An endpoint's pace and price are its own: asking it costs what is to be found out.",
            advice="Estimate the same recipe with the critic rules: it leaves out the endpoint's part alone.",
        )
    endpoint = endpoint_of(recipe.endpoint, stop_requested=lambda: context.stop_requested)
    return EndpointCritic(context, recipe, endpoint, Journal(context.checkpoints / "answers.jsonl"))
