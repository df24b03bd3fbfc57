"""Which rankings each head of a reward model learns from, and what it tells that the heads disagree.

An ensemble: all heads stand on one trunk, each begins from its own draw, and each counts every prompt as often as a Poisson
draw says, which is a bootstrap of prompts that needs no second pass over the data (Oza & Russell 2001, "Online bagging";
heads on one trunk as in Osband et al. 2016). Heads of groups: each learns from the rankings of its own raters alone.

Shapes: N comparisons, H heads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from training.context import RunContext
from training.mechanics.people.rankings import Group
from training.mechanics.reward.trust import FEWEST, Verdict
from training.mechanics.trainers.judgement import accuracy

SHOWN = 8  # prompts on which groups disagree most
CUT = 600  # characters of a text that are shown

Numbers = dict[str, float]


def resampled(groups: Sequence[Group], *, heads: int, seed: int) -> list[Group]:
    """Each order with how much it counts for each head: 1 / `heads` times a draw that all parts of a prompt share."""
    return [
        replace(group, orders=tuple(replace(order, heads=shares) for order in group.orders))
        for group in groups
        for shares in [tuple(n / heads for n in draws(group.id, heads=heads, seed=seed))]
    ]


def draws(prompt: str, *, heads: int, seed: int) -> list[int]:
    """Poisson with mean 1, as a function of seed and prompt alone: a resumed run draws the same."""
    told = hashlib.sha256(f"heads {seed} {prompt}".encode()).digest()
    found: list[int] = np.random.default_rng(int.from_bytes(told[:8], "big")).poisson(1.0, size=heads).tolist()
    return found


def evenly(groups: Sequence[Group], *, heads: int) -> list[Group]:
    share = (1 / heads,) * heads
    return [replace(g, orders=tuple(replace(order, heads=share) for order in g.orders)) for g in groups]


def by_raters(groups: Sequence[Group], group_of: Mapping[str, int], *, heads: int) -> list[Group]:
    """Each order for the head of its rater's group; those of raters without one count for all heads alike."""
    own = {number: tuple(float(h == number) for h in range(heads)) for number in range(heads)}
    return [
        replace(
            group,
            orders=tuple(
                replace(order, heads=own[group_of[order.rater]] if order.rater in group_of else (1 / heads,) * heads)
                for order in group.orders
            ),
        )
        for group in groups
    ]


# What heads tell, on held-out comparisons; their margins are (N, H)


def of_ensemble(margins_NH: np.ndarray, *, caution: float, cautious: Sequence[float]) -> Numbers:
    """`head_disagreement`, the mean standard deviation of heads over that of their mean; `disagreement_error`, the
    correlation of the former with being wrong; accuracies of the mean and of the score with caution."""
    mean_N, std_N = margins_NH.mean(axis=1), margins_NH.std(axis=1)
    wrong_N = (mean_N < 0) + 0.5 * (mean_N == 0)
    found = {
        "head_disagreement": float(std_N.mean() / max(mean_N.std(), 1e-9)),
        "accuracy_mean": accuracy(mean_N.tolist()),
        "accuracy_cautious": accuracy(cautious),
        "accuracy_head_low": min(accuracy(column.tolist()) for column in margins_NH.T),
        "accuracy_head_high": max(accuracy(column.tolist()) for column in margins_NH.T),
        "caution": caution,
    }
    if std_N.std() > 0 and wrong_N.std() > 0:
        found["disagreement_error"] = float(np.corrcoef(std_N, wrong_N)[0, 1])
    return found


def of_groups(margins_NH: np.ndarray, verdicts: Sequence[Verdict], group_of: Mapping[str, int]) -> Numbers:
    """For each group with enough comparisons: accuracy of its own head, of the others' and of their mean, on what its
    raters said."""
    found: Numbers = {}
    of_N = np.array([group_of.get(verdict.rater, -1) for verdict in verdicts])
    for number in range(margins_NH.shape[1]):
        own = margins_NH[of_N == number]
        if len(own) < FEWEST:
            continue
        name = f"group_{number + 1}"
        others = np.delete(own, number, axis=1)
        found |= {
            f"n_{name}": len(own),
            f"accuracy_{name}": accuracy(own[:, number].tolist()),
            f"accuracy_{name}_others": accuracy(others.T.ravel().tolist()),
            f"accuracy_{name}_mean": accuracy(own.mean(axis=1).tolist()),
        }
    return found


def show_disagreement(
    groups: Sequence[Group], scores: Sequence[np.ndarray], *, names: Sequence[str], step: int, context: RunContext
) -> int:
    """Tells the prompts on which the heads of groups disagree most, as samples of the run; says on how many they do.

    `scores` are, for each prompt, (texts, heads); `names`, of the heads' groups. Two heads disagree as far as the one that
    is less sure of it puts the text above that the other one puts below.
    """
    told = []
    for group, scores_KH in zip(groups, scores, strict=True):
        gaps_KKH = scores_KH[:, None, :] - scores_KH[None, :, :]
        worst = np.minimum(gaps_KKH.max(axis=2), -gaps_KKH.min(axis=2))
        one, other = divmod(int(worst.argmax()), len(worst))
        if worst[one, other] > 0:
            told.append((float(worst[one, other]), group, one, other, gaps_KKH[one, other]))
    told.sort(key=lambda row: (-row[0], row[1].id))
    for _, group, one, other, gaps_H in told[:SHOWN]:
        prefer = {
            text: ", ".join(
                f"{names[h]} (by {abs(gap):.2f})" for h, gap in enumerate(gaps_H) if (gap > 0) == (text == one)
            )
            for text in (one, other)
        }
        parts = [f"Preferred by group {prefer[text]}:\n{said(group, text)}" for text in (one, other)]
        asked = group.prompt[-1][1] if group.prompt else ""
        context.sample(step, prompt=asked, text="\n\n".join(parts), ended=True)
    return len(told)


def said(group: Group, text: int) -> str:
    words = group.replies[text][-1][1].strip()
    return words if len(words) <= CUT else f"{words[:CUT]} ..."
