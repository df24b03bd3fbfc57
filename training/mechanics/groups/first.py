"""One text of the model that a run began from, blind among the policy's own that people rank: whether they still prefer these.

Orders among a policy's own texts say which of them are better, and never whether they all become worse. So each question may
hold one more text, of the first model, from which nothing is learned.

Votes are few, and there is a look at them after every rollout. Intervals that hold for one look would end good runs by luck,
so the evidence is a bet that may be looked at at any time (Waudby-Smith & Ramdas 2024, arXiv 2010.09686; Shafer 2021): of each
question, x is the share of the policy's texts that people put above the first one's, ties half; whoever starts with 1 and
bets a share l against x has 1 + l (1/2 - x) times as much after it. As long as people do not prefer the first model, no bet
is expected to gain, and the chance to ever have 20 times the stake is at most 1 in 20 (Ville). Policies may become worse late:
a bet begins anew with each rollout s, with the stake 1 / (s (s + 1)) of an endless sum of 1, divided among several shares.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from statistics import fmean
from typing import Any

from training import questions
from training.context import RunContext
from training.contract import Failure
from training.mechanics.generation import sampling
from training.mechanics.generation.sampling import Sample
from training.mechanics.online.policy import Policy
from training.questions import Answer, Question
from training.recipes.online import OnlineRecipe

FALSE_ALARMS = 0.05  # of runs whose policy people never like less, those that are ended all the same: at most
SHARES = (
    0.25,
    0.5,
    1.0,
    1.5,
)  # of what is there, bet on each question; below 2, or one question could cost more than all


def sample(
    context: RunContext,
    recipe: OnlineRecipe,
    *,
    actor: Policy,
    tokenizer: Any,
    prompts: list[list[int]],
    seeds: list[int],
) -> list[Sample]:
    """One answer of the first model to each prompt (token ids), sampled as the policy's are."""
    whole = actor.reference is not None
    with actor.autocast(), nullcontext() if whole else actor.policy.disable_adapter():
        return sampling.sample(
            actor.reference if whole else actor.policy,
            tokenizer,
            prompts,
            seeds=seeds,
            temperatures=[recipe.temperature] * len(prompts),
            top_p=1.0,
            max_new_tokens=recipe.max_new_tokens,
            batch_size=recipe.batch_size,
            stop_requested=lambda: context.stop_requested,
            room=actor.room,
        )


def wins(run_dir: Path, rollouts: Iterable[int]) -> list[list[float]]:
    """Of each rollout, x of each of its questions in which people placed the first model's text.

    Follows from the run's folder alone: a resumed run finds what it had found.
    """
    found = []
    for number in rollouts:
        sheet = questions.read_sheet(run_dir, number)
        answers = questions.read_answers(questions.taken_path(run_dir, number))
        asked = [] if sheet is None or answers is None else sheet.questions
        told = [win(each, answers.answers[each.id]) for each in asked if answers and each.id in answers.answers]
        found.append([x for x in told if x is not None])
    return found


def win(question: Question, answer: Answer) -> float | None:
    """The share of pairs of an own text and the first model's that were placed in which the own one stands above, ties half."""
    first = {one.id for one in question.completions if one.is_first}
    own = {one.id for one in question.own}
    won: list[float] = []
    for tiers in answer.rankings:
        place = {name: number for number, tier in enumerate(tiers) for name in tier}
        pairs = [(place[a], place[b]) for a in own & place.keys() for b in first & place.keys()]
        won += [1.0 if a < b else 0.5 if a == b else 0.0 for a, b in pairs]
    return fmean(won) if won else None


def evidence(rollouts: Sequence[Sequence[float]]) -> tuple[float, int]:
    """What the stake of 1 has become, and the rollout since which the best of the bets runs."""
    total, best, since = 0.0, -1.0, 0
    for s in range(len(rollouts)):
        later = [x for some in rollouts[s:] for x in some]
        gained = fmean(math.prod(1 + share * (0.5 - x) for x in later) for share in SHARES)
        stake = gained / ((s + 1) * (s + 2))
        total += stake
        if stake > best:
            best, since = stake, s
    return total + 1 / (len(rollouts) + 1), since  # the rest of the stake is not bet yet


def refuse_worse(run_dir: Path, *, rollouts: int) -> None:
    """By the first `rollouts`. Raises `Failure("people_prefer_first")`."""
    found = wins(run_dir, range(rollouts))
    money, since = evidence(found)
    if money >= 1 / FALSE_ALARMS:
        newest = [x for some in found[since:] for x in some]
        raise Failure(
            "people_prefer_first",
            f"People prefer the model that this run began from: on {len(newest)} prompts since rollout {since + 1} its text"
            f" was put below the run's own in {fmean(newest):.0%} of comparisons (chance: at most 1 run in 20).",
            advice="That model is the better one, so none is published. Look at what people ranked highest, lower the learning"
            " rate, or hold the policy closer to it (kl_coefficient, beta), and start a fresh run.",
        )
