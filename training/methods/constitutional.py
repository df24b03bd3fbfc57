"""The supervised stage of constitutional AI (Bai et al. 2022, arXiv 2212.08073): critique and revision by drawn principles.

A model answers each prompt; then, for R rounds, one principle of the constitution is drawn by weight, a critic says what is wrong
by it and rewrites the answer. What is written is a dataset that `sft` learns from: the revisions, beside answers to helpful
prompts that nobody revised. Draws and samples follow from the run's seed, the recipe's, the prompt's words and the round,
whatever the batch; the work is done in parts, each kept, so a run that was killed ends in the rows of one that was left alone.

Where we depart: the critic may be another model, an endpoint or a rule; requests and examples are turns of the model's own chat
template; revisions that speak of themselves, say the request again or change nothing are not taken (`constitutional.leaks`).
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import torch

from training.context import RunContext
from training.contract import Failure
from training.mechanics import datasets, models, scoring
from training.mechanics.constitutional import chains as written
from training.mechanics.constitutional import principles as constitution
from training.mechanics.constitutional.chains import Chain
from training.mechanics.constitutional.critics import Critic, EndpointCritic, ModelCritic, endpoint_critic
from training.mechanics.constitutional.leaks import Cleaned, clean
from training.mechanics.constitutional.principles import Principle
from training.mechanics.constitutional.prompts import Ask, Wish
from training.mechanics.constitutional.rules import RulesCritic
from training.mechanics.generation import sampling
from training.mechanics.memory import Room
from training.mechanics.parts import BATCHES, Row, Tell, batches_by_length, kept
from training.recipes import harm
from training.recipes.constitutional import ConstitutionalRecipe

SHOWN = 6  # chains that are shown as they come


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, ConstitutionalRecipe)
    if lacking := recipe.lacks(context.spec.inputs):
        raise Failure("no_input", lacking)
    principles = constitution.read(context.input("constitution"))
    chains = written.plan(context, recipe)
    revised = [chain for chain in chains if chain.kind == "revised"]
    critic: Critic | None = None if recipe.critic == "model" else RulesCritic()
    if recipe.critic == "endpoint" and recipe.rounds:
        critic = endpoint_critic(context, recipe)  # a key that is missing is told before a model is loaded
    own = asked_of(context, recipe, "model")
    respond(own, chains)
    if critic is None:
        if context.has_input("feedback"):
            del own  # before the next one is loaded
            own = asked_of(context, recipe, "feedback")
        critic = own
    tell_round(context, recipe, revised, 0)
    for number in range(1, recipe.rounds + 1):
        revise(context, recipe, revised, number, principles=principles, critic=critic)
        tell_round(context, recipe, revised, number)
    if recipe.score == "reward":
        score(context, recipe, revised)
    written.choose(context, recipe, chains)
    written.write(context.output, context.spec.run, chains, card=card_of(context, recipe))
    return figures_of(chains) | charged(recipe, critic)


def asked_of(context: RunContext, recipe: ConstitutionalRecipe, name: str) -> ModelCritic:
    given = context.input(name)
    tokenizer = models.load_tokenizer(given)
    model = models.load_causal(given, dtype=dtype_of(recipe), virtual_allowed=True).to(models.device())
    return ModelCritic(context, recipe, model, tokenizer, Room(context, tokenizer))


def dtype_of(recipe: ConstitutionalRecipe) -> torch.dtype:
    return torch.bfloat16 if recipe.bf16 else torch.float32


# Answers


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


# Rounds


def revise(
    context: RunContext, recipe: ConstitutionalRecipe, chains: Sequence[Chain], number: int, *,
    principles: Sequence[Principle], critic: Critic,
) -> None:  # fmt: skip
    """One round: a principle is drawn for each chain, its text is criticised by it, and revised."""
    drawn = [constitution.draw(principles, chain.seed, number) for chain in chains]

    def asks_for(wish: Wish, critiques: Sequence[str]) -> list[Ask]:
        return [
            Ask(
                wish, tuple((message["role"], message["content"]) for message in chain.messages), chain.text, principle,
                sampling.seed_of(wish, chain.seed, number),
                tuple(constitution.examples_for(principle, principles, recipe.examples)), critique,
            )
            for chain, principle, critique in zip(chains, drawn, critiques, strict=True)
        ]  # fmt: skip

    critiques = put(context, recipe, critic, asks_for("critique", [""] * len(chains)), f"round {number} critiques")
    asks = asks_for("revision", [row["text"] for row in critiques])
    revisions = put(context, recipe, critic, asks, f"round {number} revisions")
    for chain, ask, row in zip(chains, asks, revisions, strict=True):
        cleaned = reply_in(recipe, chain, ask, row)
        chain.take(number, ask.principle, critique=ask.critique, answer=row["text"], cleaned=cleaned)


def put(
    context: RunContext, recipe: ConstitutionalRecipe, critic: Critic, asks: Sequence[Ask], phase: str
) -> list[Row]:
    def work(places: list[int], tell: Tell) -> list[Row]:
        found = critic.answer([asks[place] for place in places], tell)
        return [{"text": said.text.strip(), "ended": said.ended, "is_too_long": said.is_too_long} for said in found]

    batches = batches_by_length([ask.size for ask in asks], batch_size=BATCHES * recipe.batch_size)
    return kept(context, phase, batches, work, unit="texts")


def reply_in(recipe: ConstitutionalRecipe, chain: Chain, ask: Ask, row: Row) -> Cleaned:
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


# What is told


def tell_round(context: RunContext, recipe: ConstitutionalRecipe, chains: Sequence[Chain], number: int) -> None:
    """Of the texts after a round (0: of the responses), and of what became of its revisions, as shares of them."""
    texts = [chain.text for chain in chains]
    told = {
        "words": fmean(len(text.split()) for text in texts),
        "refused": fmean(map(harm.is_refusal, texts)),
        "boilerplate": fmean(map(harm.is_boilerplate, texts)),
    }
    if recipe.score == "rules":
        for chain, text in zip(chains, texts, strict=True):
            chain.scores.append(harm.harmfulness(text))
        told["harmfulness"] = fmean(chain.scores[-1] for chain in chains)
    if number:
        told |= fates([chain.steps[-1].why for chain in chains])
    context.metric(number, **told)
    for chain in chains[:SHOWN]:
        if not number or chain.steps[-1].kept:
            context.sample(number, prompt=chain.messages[-1]["content"], text=chain.text)


def fates(whys: Sequence[str]) -> dict[str, float]:
    """Shares that sum to 1: kept, unchanged, leaked (words about it, or the request again), lost (empty, cut, or no room)."""
    groups = {
        "kept": ("",),
        "unchanged": ("unchanged",),
        "leaked": ("leak", "echo", "example"),
        "lost": ("empty", "cut", "too_long"),
    }
    return {name: sum(why in group for why in whys) / len(whys) for name, group in groups.items()}


def score(context: RunContext, recipe: ConstitutionalRecipe, chains: Sequence[Chain]) -> None:
    """What the input `reward` gives the text of each round."""
    given = context.input("reward")
    tokenizer, scale = models.load_tokenizer(given), models.read_reward_scale(given)
    model = models.load_reward(given, dtype=dtype_of(recipe)).to(models.device())
    model.eval()
    talks = [[*one.messages, {"role": "assistant", "content": text}] for one in chains for text in one.texts]

    def work(places: list[int], tell: Tell) -> list[Row]:
        found = scoring.rewards(
            model, tokenizer, [talks[place] for place in places], scale=scale, batch_size=recipe.batch_size, tell=tell,
            room=Room(context, tokenizer),
        )  # fmt: skip
        return [{"score": value} for value in found]

    lengths = [len(datasets.render_conversation(tokenizer, talk)) for talk in talks]
    batches = batches_by_length(lengths, batch_size=BATCHES * recipe.batch_size)
    found = [row["score"] for row in kept(context, "scores", batches, work, unit="texts")]
    width = recipe.rounds + 1
    for place, chain in enumerate(chains):
        chain.scores = found[place * width : (place + 1) * width]
    for number in range(width):
        context.metric(number, score=fmean(chain.scores[number] for chain in chains))


def figures_of(chains: Sequence[Chain]) -> dict[str, Any]:
    revised = [chain for chain in chains if chain.kind == "revised"]
    rows = {kind: sum(len(one.chosen) for one in chains if one.kind == kind) for kind in ("revised", "helpful")}
    steps = [step.why for chain in revised for step in chain.steps]
    scored = [chain.scores for chain in revised if chain.scores]
    figures: dict[str, Any] = {
        "num_prompts": len({(chain.kind, chain.prompt_id) for chain in chains}),
        "num_completions": len(chains),
        "ended_rate": fmean(chain.ended for chain in chains),
        "num_rows": sum(rows.values()),
        "num_revised": rows["revised"],
        "num_helpful": rows["helpful"],
        "chains_without_revision": sum(not chain.chosen for chain in revised) / len(revised),
    }
    figures |= {f"revisions_{name}": share for name, share in fates(steps).items()} if steps else {}
    if scored:
        figures |= {"score_before": fmean(own[0] for own in scored), "score_after": fmean(own[-1] for own in scored)}
    return figures


def charged(recipe: ConstitutionalRecipe, critic: Critic) -> dict[str, float]:
    if recipe.endpoint is None or not isinstance(critic, EndpointCritic):
        return {}
    return critic.journal.charged(recipe.endpoint)


def card_of(context: RunContext, recipe: ConstitutionalRecipe) -> str:
    model, given = context.input("model"), context.input("constitution")
    critics = {"model": "the same model", "rules": "a list of harmful words", "endpoint": "an endpoint"}
    critic = critics[recipe.critic]
    if recipe.critic == "model" and context.has_input("feedback"):
        critic = context.input("feedback").name or "another model"
    if recipe.critic == "endpoint" and recipe.endpoint is not None:
        critic = f"{recipe.endpoint.model} at {recipe.endpoint.url}"
    scores = {
        "rules": "`scores` are shares of harmful sentences by a stated list of words (0 is best).",
        "reward": "`scores` are a reward model's (more is better).",
        "none": "Texts were not scored.",
    }
    return (
        f"Answers of {model.name or 'a model'} (sha256 {model.sha256}) at temperature {recipe.temperature}, each criticised and"
        f" revised {recipe.rounds} times by {critic}, by principles of {given.name or 'a constitution'} (sha256 {given.sha256})"
        f" drawn by weight. {'Every revision' if recipe.learn == 'all' else 'The last revision'} that was kept is a row, beside"
        " answers to helpful prompts as they were given. `chains/` holds every answer, critique and revision, with the principle"
        f" and why a revision was not kept. {scores[recipe.score]} Written by models and not read by people."
    )
