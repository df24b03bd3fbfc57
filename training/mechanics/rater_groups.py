"""Raters in groups by how they agree, from the rankings that a reward model learns from and nothing else.

Two raters agree by the correlation of their votes on the pairs that both ordered, (agreed - disagreed) / (n + `DOUBT`): where
they share little it is near 0. Raters who agree alike with everybody else stand close: the rows of the matrix of agreement,
less the mean rater's, are reduced to their first directions and put into groups around their centres (k-means, which in
these directions is spectral clustering; Ng, Jordan & Weiss 2002). Nothing is drawn by lot: centres begin far apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.context import RunContext
from training.contract import Failure
from training.mechanics.rankings import Group
from training.mechanics.rater_reliability import shared_votes

DOUBT = 4.0  # comparisons of no agreement that every two raters are taken to share
ROUNDS = 100
APART = 0.1  # that two raters of one group must agree more often than two of different ones


def grouped(groups: Sequence[Group], *, num_groups: int, context: RunContext) -> dict[str, int]:
    """Rater -> group, the largest first. Raises `Failure("no_overlap")` where too few raters ordered the same texts.

    Warns where groups agree with each other as much as within.
    """
    agreed, shared, names = agreement_of(groups)
    if len(names) < 2 * num_groups:
        raise Failure(
            "no_overlap",
            f"{len(names)} raters ordered texts that another one ordered, too; {num_groups} groups need twice as many.",
            advice="Let several raters rank the same tasks, or train without groups.",
        )
    near_RR = (2 * agreed - shared) / (shared + DOUBT)
    np.fill_diagonal(near_RR, near_RR.sum(axis=1) / max(len(names) - 1, 1))
    number_R = clusters(near_RR, num_groups)
    sizes = np.bincount(number_R, minlength=num_groups)
    place = {old: new for new, old in enumerate(sorted(range(num_groups), key=lambda g: (-sizes[g], g)))}
    found = {name: place[int(number)] for name, number in zip(names, number_R, strict=True)}
    tell(found, agreed, shared, np.array([found[name] for name in names]), context=context)
    return found


def agreement_of(groups: Sequence[Group]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """How often every two raters agreed, and on how many votes, both (R, R) with an empty diagonal; the raters' names."""
    pair, rater, vote, names = shared_votes(groups)
    agreed, shared = np.zeros((2, len(names), len(names)))
    for some in np.split(np.arange(len(pair)), np.flatnonzero(np.diff(pair)) + 1):
        for i in some:
            for j in some:
                if i != j:
                    shared[rater[i], rater[j]] += 1
                    agreed[rater[i], rater[j]] += vote[i] == vote[j]
    return agreed, shared, names


def clusters(near_RR: np.ndarray, k: int) -> np.ndarray:
    """The group of each rater (R,)."""
    rows = near_RR - near_RR.mean(axis=0)
    left, strength, _ = np.linalg.svd(rows, full_matrices=False)
    points = left[:, : max(k - 1, 1)] * strength[: max(k - 1, 1)]
    centres = [points[int(np.square(points).sum(axis=1).argmax())]]
    while len(centres) < k:
        far = np.min([np.square(points - centre).sum(axis=1) for centre in centres], axis=0)
        centres.append(points[int(far.argmax())])
    middle = np.array(centres)
    number = np.zeros(len(points), dtype=int)
    for _ in range(ROUNDS):
        number = np.square(points[:, None] - middle[None]).sum(axis=2).argmin(axis=1)
        moved = np.array([points[number == g].mean(axis=0) if (number == g).any() else middle[g] for g in range(k)])
        if np.allclose(moved, middle):
            break
        middle = moved
    return number


def tell(
    found: dict[str, int], agreed: np.ndarray, shared: np.ndarray, number_R: np.ndarray, *, context: RunContext
) -> None:
    for group in sorted(set(found.values())):
        names = sorted(name for name, number in found.items() if number == group)
        shown = f"{', '.join(names[:20])}{' ...' if len(names) > 20 else ''}"
        context.log(f"Group {group + 1} has {len(names)} raters: {shown}.")
    same = number_R[:, None] == number_R[None]
    within, between = (
        float(agreed[of].sum() / shared[of].sum()) if shared[of].sum() else float("nan") for of in (same, ~same)
    )
    context.log(
        f"Two raters of one group agree on {within:.0%} of shared pairs, two of different groups on {between:.0%}."
    )
    if not within > between + APART:
        context.warn(
            "groups_alike",
            f"Raters of different groups agree almost as often ({between:.0%}) as those of one group ({within:.0%}): "
            "there seem to be no groups of different tastes among them.",
        )
