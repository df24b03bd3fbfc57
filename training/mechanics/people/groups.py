"""Raters in groups: as their campaign names them, or by how they agree, from the rankings that a reward model learns from.

Two raters agree by the correlation of their votes on the pairs that both ordered, (agreed - disagreed) / (n + `DOUBT`): where
they share little it is near 0. Raters who agree alike with everybody else stand close: the rows of the matrix of agreement,
less the mean rater's, are reduced to their first directions and put into groups around their centres (k-means, which in
these directions is spectral clustering; Ng, Jordan & Weiss 2002). Nothing is drawn by lot: centres begin far apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from training.context import RunContext
from training.contract import Failure, Input
from training.mechanics import datasets
from training.mechanics.people.rankings import Group
from training.mechanics.people.reliability import shared_votes

DOUBT = 4.0  # comparisons of no agreement that every two raters are taken to share
ROUNDS = 100
MOST_NAMED = 16  # groups of a campaign: each is a head
APART = 0.1  # that two raters of one group must agree more often than two of different ones


@dataclass(frozen=True, slots=True)
class RaterGroups:
    """The number of each rater's group, by rater, and the groups' names in the order of their numbers.

    A rater of no group is missing.
    """

    of: dict[str, int] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    @classmethod
    def numbered(cls, of: dict[str, int], num_groups: int) -> RaterGroups:
        return cls(of, tuple(str(number + 1) for number in range(num_groups)))

    def __bool__(self) -> bool:
        return bool(self.of)

    def members(self, number: int) -> list[str]:
        return sorted(rater for rater, own in self.of.items() if own == number)

    def tell(self, context: RunContext) -> None:
        for number, name in enumerate(self.names):
            raters = self.members(number)
            shown = f"{', '.join(raters[:20])}{' ...' if len(raters) > 20 else ''}"
            named = "" if name == str(number + 1) else f" is “{name}”, and"
            context.log(f"Group {number + 1}{named} has {len(raters)} raters: {shown}.")


NO_GROUPS = RaterGroups()


def named_groups(preferences: Input, groups: Sequence[Group], *, context: RunContext) -> RaterGroups:
    """As the dataset's whole rankings name them, the largest first, by raters. Raises `Failure`: "no_groups" where fewer
    than two groups have an order to learn from, "many_groups" where there are more than `MOST_NAMED`."""
    rows = [
        row for split in ("train", "test") for row in datasets.read_rows(preferences, split=split, folder="rankings")
    ]
    told = {row["rater"]: name for row in rows if (name := row.get("rater_group", ""))}
    learned = {order.rater for group in groups for order in group.orders}
    sizes = Counter(name for rater, name in told.items() if rater in learned)
    if len(sizes) < 2:
        raise Failure(
            "no_groups",
            f"The dataset names {len(sizes)} groups among the raters to learn from; heads of groups need two.",
            advice="Name groups of raters on the campaign's page and freeze a new snapshot, or let groups be estimated.",
        )
    if len(sizes) > MOST_NAMED:
        raise Failure(
            "many_groups",
            f"The dataset names {len(sizes)} groups of raters; each would be a head, and {MOST_NAMED} are the most.",
            advice="Put raters into fewer groups and freeze a new snapshot.",
        )
    names = tuple(sorted(sizes, key=lambda name: (-sizes[name], name)))
    found = RaterGroups({rater: names.index(name) for rater, name in told.items() if name in sizes}, names)
    found.tell(context)
    if left := sorted(rater for rater in learned if rater not in found.of):
        context.log(f"{len(left)} raters are in no group; their rankings count for all groups alike.")
    return found


def grouped(groups: Sequence[Group], *, num_groups: int, context: RunContext) -> dict[str, int]:
    """Rater -> group by who agrees with whom, the largest first. Raises `Failure("no_overlap")` where too few raters
    ordered the same texts.

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
    RaterGroups.numbered(found, num_groups).tell(context)
    tell_agreement(agreed, shared, np.array([found[name] for name in names]), context=context)
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


def tell_agreement(agreed: np.ndarray, shared: np.ndarray, number_R: np.ndarray, *, context: RunContext) -> None:
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
