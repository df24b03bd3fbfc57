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
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from training.context import RunContext
from training.contract import Failure
from training.mechanics import datasets, models, scoring
from training.mechanics.constitutional import chains as written
from training.mechanics.constitutional import principles as constitution
from training.mechanics.constitutional.chains import Chain
from training.mechanics.constitutional.critics import Critic, EndpointCritic, endpoint_critic
from training.mechanics.constitutional.principles import Principle
from training.mechanics.constitutional.prompts import Ask
from training.mechanics.constitutional.rounds import asked_of, asks_for, dtype_of, put, reply_in, respond
from training.mechanics.constitutional.rules import RulesCritic
from training.mechanics.estimate.probe import Probe
from training.mechanics.memory import Room
from training.mechanics.parts import BATCHES, Row, Tell, batches_by_length, kept
from training.recipes import harm
from training.recipes.constitutional import ConstitutionalRecipe

SHOWN = 6  # chains that are shown as they come


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, ConstitutionalRecipe)
    if lacking := recipe.lacks(context.spec.inputs):
        raise Failure("no_input", lacking.sentence)
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
    go_round = Rounds(context, recipe, principles, critic)
    for number in range(1, recipe.rounds + 1):
        if context.probe is None:
            go_round(revised, number)
        else:
            first_for_all(context.probe, go_round, revised, number)
        tell_round(context, recipe, revised, number)
    if recipe.score == "reward":
        score(context, recipe, revised)
    written.choose(context, recipe, chains)
    written.write(context.output, context.spec.run, chains, card=card_of(context, recipe))
    return figures_of(chains) | charged(recipe, critic)


# Rounds


@dataclass(frozen=True, slots=True)
class Rounds:
    context: RunContext
    recipe: ConstitutionalRecipe
    principles: Sequence[Principle]
    critic: Critic

    def __call__(self, chains: Sequence[Chain], number: int) -> None:
        """One round: a principle is drawn for each chain, its text is criticised by it, and revised."""
        drawn = [constitution.draw(self.principles, chain.seed, number) for chain in chains]
        given: dict[str, Any] = {"drawn": drawn, "principles": self.principles, "examples": self.recipe.examples}
        critiques = self.put(asks_for("critique", chains, number, **given), f"round {number} critiques")
        said = [row["text"] for row in critiques]
        asks = asks_for("revision", chains, number, **given, critiques=said)
        revisions = self.put(asks, f"round {number} revisions")
        for chain, ask, row in zip(chains, asks, revisions, strict=True):
            cleaned = reply_in(self.recipe, chain, ask, row)
            chain.take(number, ask.principle, critique=ask.critique, answer=row["text"], cleaned=cleaned)

    def put(self, asks: Sequence[Ask], phase: str) -> list[Row]:
        return put(self.context, self.recipe, self.critic, asks, phase)


def first_for_all(probe: Probe, go_round: Rounds, chains: Sequence[Chain], number: int) -> None:
    """In a probe the first round stands for all, which read and write as much; the others end as if they had gone like it."""
    if number > 1:
        for chain in chains:
            chain.steps.append(replace(chain.steps[-1], round=number))
        return
    loop = probe.loop("rounds", total=go_round.recipe.rounds, unit="rounds")
    with loop.one():
        go_round(chains, number)
    loop.leave()


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
