"""How reliable each rater is, from the rankings that a reward model learns from and nothing else.

Every pair of texts that two or more raters ordered is a question with a hidden answer, and rater r finds it with probability
p_r: Dawid & Skene (1979) with two classes and one parameter a rater. EM alternates

    P(first is better | votes) = logistic(sum over its votes of +-logit p_r)
    p_r = (prior's right answers + expected right answers of r) / (prior's answers + answers of r)

Attentive raters differ on close calls, and the likelihood of rankings already says so: small differences of scores are
uncertain. What is held against a rater is therefore how far she falls short of the attentive ones, as if a share `lot` of her
rankings had been given by lot: p_r = (1 - lot) q + lot / 2, where q is the accuracy of attentive raters (the median of the
better half, by number of answers). `rank_likelihood.losses_by_lot` takes it from there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from training.context import RunContext
from training.mechanics.people.rankings import Group

RIGHT, WRONG = 3.0, 1.0  # the prior: what is believed of a rater before her first answer, and which answer is which
ROUNDS = 200
SETTLED = 1e-6
MOST_LOT = 0.98  # nobody is left out wholly: what she says may still outweigh nothing at all
LOW = 0.5  # a lot from which on a person should look at a rater


@dataclass(frozen=True, slots=True)
class Rater:
    """`accuracy` on pairs that others ordered, too, `num_pairs` of them; `lot`, the share given as if by lot."""

    name: str
    accuracy: float
    num_pairs: int
    lot: float


def reliabilities(groups: Sequence[Group]) -> dict[str, Rater]:
    """Of each rater who ordered a pair that another one ordered; empty where there is none."""
    pair, rater, vote, names = shared_votes(groups)
    if not len(pair):
        return {}
    answers = np.bincount(rater, minlength=len(names)).astype(float)
    accuracy = np.full(len(names), RIGHT / (RIGHT + WRONG))
    for _ in range(ROUNDS):
        logits = np.bincount(pair, weights=vote * np.log(accuracy / (1 - accuracy))[rater])
        is_first = 1 / (1 + np.exp(-np.clip(logits, -60, 60)))
        right = np.where(vote > 0, is_first[pair], 1 - is_first[pair])
        before = accuracy
        accuracy = (RIGHT + np.bincount(rater, weights=right)) / (RIGHT + WRONG + answers)
        if np.abs(accuracy - before).max() < SETTLED:
            break
    attentive = of_attentive(accuracy, answers)
    lots = np.clip(1 - (2 * accuracy - 1) / max(2 * attentive - 1, 1e-3), 0.0, MOST_LOT)
    return {
        name: Rater(name, float(accuracy[i]), int(answers[i]), float(lots[i]))
        for i, name in enumerate(names)
    }  # fmt: skip


def shared_votes(groups: Sequence[Group]) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Of each vote on a pair that several raters ordered: the pair, the rater, +1 or -1; and the raters' names."""
    votes: dict[tuple[object, ...], dict[str, int]] = defaultdict(dict)
    for group in groups:
        for order in group.orders:
            for better, worse in order.pairs:
                one, other = group.replies[better], group.replies[worse]
                votes[(group.id, *sorted((one, other)))][order.rater] = 1 if one < other else -1
    shared = [told for told in votes.values() if len(told) > 1]
    names = sorted({name for told in shared for name in told})
    number = {name: i for i, name in enumerate(names)}
    rows = [(i, number[name], sign) for i, told in enumerate(shared) for name, sign in told.items()]
    pair, rater, vote = np.array(rows, dtype=np.intp).reshape(-1, 3).T
    return pair, rater, vote, names


def of_attentive(accuracy: np.ndarray, answers: np.ndarray) -> float:
    """The three quarters' point of accuracy, raters counted by their answers."""
    order = np.argsort(accuracy)
    shares = np.cumsum(answers[order]) / answers.sum()
    return float(accuracy[order][np.searchsorted(shares, 0.75)])


def weighed_by_rater(groups: list[Group], *, context: RunContext) -> list[Group]:
    """Orders with the lot of their raters; of one about whom nothing is known, the mean of the others'."""
    found = found_out(groups, context=context)
    if not found:
        return groups
    unknown = float(np.mean([rater.lot for rater in found.values()]))
    return [
        replace(
            group,
            orders=tuple(
                replace(order, lot=found[order.rater].lot if order.rater in found else unknown)
                for order in group.orders
            ),
        )
        for group in groups
    ]


def found_out(groups: Sequence[Group], *, context: RunContext) -> dict[str, Rater]:
    """`reliabilities`, told in the run's log, with a warning to look at raters who seem to answer by lot."""
    found = reliabilities(groups)
    if not found:
        context.warn(
            "no_overlap",
            "No two raters ordered the same two texts, so how reliable each one is can't be told: all count alike.",
        )
    for rater in sorted(found.values(), key=lambda rater: (rater.accuracy, rater.name)):
        context.log(
            f"{rater.name}: right on {rater.accuracy:.0%} of {rater.num_pairs} shared pairs; "
            f"{rater.lot:.0%} as if by lot."
        )
    low = sorted(rater.name for rater in found.values() if rater.lot >= LOW)
    if low:
        context.warn(
            "unreliable_raters",
            f"{len(low)} of {len(found)} raters agree with the others hardly more than chance would have it, and count "
            f"for little: {', '.join(low[:5])}{' ...' if len(low) > 5 else ''}.",
        )
    return found
