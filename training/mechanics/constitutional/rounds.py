"""The steps of critique and revision: a model answers, a critic says what is wrong by drawn principles, and writes anew.

Each is done in parts that are kept (`parts.kept`), so a run that was killed goes on with the very texts that it had.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from training.context import RunContext
from training.mechanics import datasets, models
from training.mechanics.constitutional import principles as constitution
from training.mechanics.constitutional.chains import Chain
from training.mechanics.constitutional.critics import Critic, ModelCritic
from training.mechanics.constitutional.leaks import Cleaned, clean
from training.mechanics.constitutional.principles import Principle
from training.mechanics.constitutional.prompts import Ask, Wish
from training.mechanics.generation import sampling
from training.mechanics.memory import Room
from training.mechanics.parts import BATCHES, Row, Tell, batches_by_length, kept
from training.recipes.constitutional import ConstitutionalRecipe


def asked_of(context: RunContext, recipe: ConstitutionalRecipe, name: str) -> ModelCritic:
    """The model that is the input `name`, to answer prompts and to critique."""
    given = context.input(name)
    tokenizer = models.load_tokenizer(given)
    model = models.load_causal(given, dtype=dtype_of(recipe), virtual_allowed=True).to(models.device())
    return ModelCritic(context, recipe, model, tokenizer, Room(context, tokenizer))


def dtype_of(recipe: ConstitutionalRecipe) -> torch.dtype:
    return torch.bfloat16 if recipe.bf16 else torch.float32


def respond(asked: ModelCritic, chains: Sequence[Chain]) -> None:
    """Has the model answer every prompt, those to be revised and helpful ones alike."""
    context, recipe = asked.context, asked.recipe
    prompts = [datasets.render_prompt(asked.tokenizer, chain.messages) for chain in chains]

    def draw(places: list[int], tell: Tell) -> list[Row]:
        found = sampling.sample(
            asked.model, asked.tokenizer, [prompts[place] for place in places], seeds=[chains[place].seed for place in places],
            temperatures=[recipe.temperature] * len(places), top_p=1.0, max_new_tokens=recipe.max_new_tokens,
            batch_size=recipe.batch_size, tell=tell, stop_requested=lambda: context.stop_requested, room=asked.room,
        )  # fmt: skip
        return [{"text": sample.text.strip(), "ended": sample.ended} for sample in found]

    batches = batches_by_length(
        [len(prompt) for prompt in prompts], batch_size=BATCHES * recipe.batch_size, together=recipe.samples
    )
    for chain, row in zip(chains, kept(context, "answers", batches, draw, unit="completions"), strict=True):
        chain.response, chain.ended = row["text"], row["ended"]


def asks_for(
    wish: Wish, chains: Sequence[Chain], number: int, *, drawn: Sequence[Principle], principles: Sequence[Principle],
    examples: int, critiques: Sequence[str] | None = None,
) -> list[Ask]:  # fmt: skip
    """What is asked of the critic in a round: one for each chain, by the principle that was drawn for it."""
    return [
        Ask(
            wish, tuple((message["role"], message["content"]) for message in chain.messages), chain.text, principle,
            sampling.seed_of(wish, chain.seed, number),
            tuple(constitution.examples_for(principle, principles, examples)), critique,
        )
        for chain, principle, critique in zip(chains, drawn, critiques or [""] * len(chains), strict=True)
    ]  # fmt: skip


def put(
    context: RunContext, recipe: ConstitutionalRecipe, critic: Critic, asks: Sequence[Ask], phase: str
) -> list[Row]:
    """What the critic says: `text`, `ended`, `is_too_long`."""

    def work(places: list[int], tell: Tell) -> list[Row]:
        found = critic.answer([asks[place] for place in places], tell)
        return [{"text": said.text.strip(), "ended": said.ended, "is_too_long": said.is_too_long} for said in found]

    batches = batches_by_length([ask.size for ask in asks], batch_size=BATCHES * recipe.batch_size)
    return kept(context, phase, batches, work, unit="texts")


def reply_in(recipe: ConstitutionalRecipe, chain: Chain, ask: Ask, row: Row) -> Cleaned:
    """What of an answer to a request for a revision is the revision, and why it is not taken."""
    if row["is_too_long"]:
        return Cleaned("", "too_long")
    if recipe.drop_cut and not row["ended"]:
        return Cleaned("", "cut")
    if not recipe.drop_leaks:
        text = row["text"]
        return Cleaned(text, "" if text and text != chain.text else "unchanged" if text else "empty")
    asked = chain.messages[-1]["content"]
    shown = [text for _, example in ask.examples for text in (example.response, example.critique, example.revision)]
    return clean(
        row["text"], before=chain.text, request=ask.request, asked=asked, critique=ask.critique, examples=shown
    )
