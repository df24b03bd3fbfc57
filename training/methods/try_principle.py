"""One principle on one prompt, for somebody who writes a constitution: answer, critique, revision, and the judgement of both.

It is a round of `constitutional` whose principle is not drawn but told, and a question of `judge` about what came of it: the
same requests, the same cleaning, both orders. Each part is told as a sample as soon as it is there, and the report has them
all. Everything follows from the seeds, and each part is kept, so a trial that was killed ends in the texts of one left alone.

Where it departs from them: a model with virtual tokens is not asked which is better, as it is not in `judge`.
"""

from __future__ import annotations

import json
import math
from typing import Any

from training import contract
from training.context import RunContext
from training.contract import Failure
from training.mechanics.constitutional.chains import Chain
from training.mechanics.constitutional.critics import Critic, EndpointCritic, ModelCritic, endpoint_critic
from training.mechanics.constitutional.principles import Example, Principle
from training.mechanics.constitutional.rounds import asked_of, asks_for, put, reply_in, respond
from training.mechanics.constitutional.rules import RulesCritic
from training.mechanics.generation import sampling
from training.mechanics.generation.journal import Journal
from training.mechanics.judging import by_endpoint
from training.mechanics.judging.asking import messages_of
from training.mechanics.judging.by_rules import by_rules
from training.mechanics.judging.letters import LetterReader, written
from training.mechanics.judging.pairs import Pair, Reply
from training.mechanics.judging.verdicts import ORDERS, Told, Verdict, logistic, verdict
from training.mechanics.parts import Row, Tell, kept
from training.mechanics.virtual_tokens import split
from training.recipes import harm
from training.recipes.constitutional import ConstitutionalRecipe
from training.recipes.judge import JudgeRecipe
from training.recipes.try_principle import TryPrincipleRecipe

STEPS = ("answer", "critique", "revision", "comparison")


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, TryPrincipleRecipe)
    if lacking := recipe.lacks(context.spec.inputs):
        raise Failure("no_principle", lacking.sentence)
    round_recipe, principles = as_round(recipe), principles_of(recipe)
    chain = chain_of(context, recipe)
    parts: dict[str, dict[str, Any]] = {}

    def tell(part: str, text: str, **more: Any) -> None:
        parts[part] = {"text": text, **more}
        context.sample(STEPS.index(part), prompt=recipe.prompt, text=text, part=part, **more)

    critic: Critic | None = RulesCritic() if recipe.critic == "rules" else None
    if recipe.critic == "endpoint":
        critic = endpoint_critic(context, round_recipe)  # a key that is missing is told before a model is loaded
    asked = asked_of(context, round_recipe, "model")
    respond(asked, [chain])
    before = harm.harmfulness(chain.response)
    tell("answer", chain.response, ended=chain.ended, harmfulness=before)
    context.metric(0, harmfulness=before, words=len(chain.response.split()))

    if critic is None:
        if context.has_input("feedback"):
            del asked  # before the next one is loaded
            asked = asked_of(context, round_recipe, "feedback")
        critic = asked
    given: dict[str, Any] = {"drawn": principles[:1], "principles": principles, "examples": len(recipe.examples)}
    [said] = put(context, round_recipe, critic, asks_for("critique", [chain], 1, **given), "critique")
    tell("critique", said["text"], ended=said["ended"], is_too_long=said["is_too_long"])

    [ask] = asks_for("revision", [chain], 1, **given, critiques=[said["text"]])
    [row] = put(context, round_recipe, critic, [ask], "revision")
    chain.take(
        1, ask.principle, critique=said["text"], answer=row["text"], cleaned=reply_in(round_recipe, chain, ask, row)
    )
    step, after = chain.steps[-1], harm.harmfulness(chain.text)
    tell("revision", step.revision, kept=step.kept, why=step.why, ended=row["ended"], harmfulness=after)
    context.metric(1, harmfulness=after, words=len(chain.text.split()), kept=step.kept)

    figures: dict[str, Any] = {"kept": step.kept, "harmfulness_before": before, "harmfulness_after": after}
    if step.kept and recipe.comparison.strip():
        pair = pair_of(recipe, chain, principles[0])
        odds = judged(context, recipe, critic, pair)
        if odds is not None:
            found = verdict(odds, JudgeRecipe())
            tell("comparison", in_words(found), ab=logistic(odds.ab), ba=logistic(odds.ba), p=found.p,
                 flipped=found.flipped, abstained=found.abstained)  # fmt: skip
            figures |= {"revision_preferred": found.p, "flipped": found.flipped}
    if isinstance(critic, EndpointCritic) and recipe.endpoint is not None:
        answers = Journal(context.checkpoints / "answers.jsonl")  # of the critic and of the judge alike
        figures |= answers.charged(recipe.endpoint)
    told = {name: context.input(name).name for name in ("model", "feedback") if context.has_input(name)}
    report = {"recipe": recipe.model_dump(mode="json"), **told, "parts": parts}
    contract.write_atomically(context.output / "report.json", json.dumps(report, indent=1, sort_keys=True))
    return figures


def as_round(recipe: TryPrincipleRecipe) -> ConstitutionalRecipe:
    return ConstitutionalRecipe(
        rounds=1, critic=recipe.critic, endpoint=recipe.endpoint,
        temperature=recipe.temperature, max_new_tokens=recipe.max_new_tokens,
        critic_temperature=recipe.critic_temperature, critique_tokens=recipe.critique_tokens, batch_size=1, bf16=recipe.bf16,
    )  # fmt: skip


def principles_of(recipe: TryPrincipleRecipe) -> list[Principle]:
    """The tried one with its own examples, then one for each example that belongs to another."""
    own, others = [], []
    for number, shown in enumerate(recipe.examples):
        example = Example(shown.prompt, shown.response, shown.critique, shown.revision)
        if shown.critique_request and shown.revision_request:
            # No id that is written by a person has a space, so none is the tried one's.
            others.append(
                Principle(f"other {number}", shown.critique_request, shown.revision_request, examples=(example,))
            )
        else:
            own.append(example)
    tried = Principle(recipe.principle, recipe.critique, recipe.revision, recipe.comparison, examples=tuple(own))
    return [tried, *others]


def chain_of(context: RunContext, recipe: TryPrincipleRecipe) -> Chain:
    messages = [{"role": "user", "content": recipe.prompt}]
    [[seed]] = sampling.seeds_of([messages], context.spec.seed, recipe.seed, "revised", samples=1)
    return Chain("prompt", "revised", "train", 0, messages, seed)


# Which of both is better


def pair_of(recipe: TryPrincipleRecipe, chain: Chain, principle: Principle) -> Pair:
    """The revision stands first: its log-odds are those that it is better."""
    revision, answer = Reply("revision", chain.text), Reply("answer", chain.response)
    return Pair("prompt", (("user", recipe.prompt),), revision, answer, principle)


def judged(context: RunContext, recipe: TryPrincipleRecipe, critic: Critic, pair: Pair) -> Told | None:
    """By the one who critiqued, in either order; none where it can't be asked, which is told as a warning."""
    if isinstance(critic, ModelCritic):
        return judged_by_model(context, critic, pair)
    if isinstance(critic, EndpointCritic):
        asking = JudgeRecipe(critic="endpoint", endpoint=recipe.endpoint, seed=recipe.seed)
        [(_, told)], _ = by_endpoint.judge(context, asking, [pair])
        return told
    return by_rules(pair.first.text, pair.second.text, steepness=JudgeRecipe().steepness)


def judged_by_model(context: RunContext, asked: ModelCritic, pair: Pair) -> Told | None:
    trunk, virtual = split(asked.model)
    if virtual is not None:
        context.warn("not_compared", "A model with virtual tokens is not asked which of two replies is better.")
        return None
    questions = [written(asked.tokenizer, messages_of(pair, order=order, thinks=False)) for order in ORDERS]
    reads = getattr(trunk.config.get_text_config(), "max_position_embeddings", None)
    if reads is not None and max(question.length for question in questions) > reads:
        context.warn(
            "not_compared", f"Both replies in one question have more tokens than the {reads} that the model reads."
        )
        return None
    reader = LetterReader.of(asked.model.eval(), asked.tokenizer, room=asked.room)

    def read(places: list[int], tell: Tell) -> list[Row]:
        found = reader.log_odds([questions[place] for place in places], batch_size=len(places))
        return [{"log_odds": one} for one in found]

    ab, ba = (row["log_odds"] for row in kept(context, "comparison", [list(ORDERS)], read, unit="questions"))
    if not (math.isfinite(ab) and math.isfinite(ba)):
        raise Failure("not_finite", "The model's log-probabilities are not numbers.", advice="Choose another model.")
    return Told(ab, -ba)


def in_words(found: Verdict) -> str:
    if found.abstained:
        return "Undecided between answer and revision."
    better = "revision" if found.p >= 0.5 else "answer"
    return f"The {better} is better with {max(found.p, 1 - found.p):.0%}."
