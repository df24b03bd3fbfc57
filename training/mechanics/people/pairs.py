"""Which comparisons of a ranking are learned, and what each of them weighs; a prompt weighs what it did.

The whole rankings beside a dataset's comparisons are taken where they are there. Else the comparisons of one ranking say the
order themselves: a text stands next below another where nothing stands between them. Ties give no comparison either way.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from training.mechanics.people.rankings import Group, Reply, told

Which = Literal["all", "adjacent", "best_worst", "weighted"]


@dataclass(frozen=True, slots=True)
class Pair:
    """`better` was put above `worse`, by so many tiers of strength."""

    better: Hashable
    worse: Hashable
    margin: float


def shares(pairs: Sequence[Pair], which: Which) -> list[float]:
    """What each comparison of one ranking counts, with sum 1; 0 for one that is not learned.

    all: alike. adjacent: those with no text between, alike; they say as much of the order, and no text counts oftener than
    its neighbours. best_worst: the best texts against the worst, alike: the surest ones. weighted: all, in proportion to
    `margin`, the sum of the strengths between their tiers: who stands further apart was told apart more surely.
    """
    found = {"all": alike, "adjacent": adjacent, "best_worst": best_worst, "weighted": by_margin}[which](pairs)
    total = sum(found)
    return [one / total for one in found]


def alike(pairs: Sequence[Pair]) -> list[float]:
    return [1.0] * len(pairs)


def by_margin(pairs: Sequence[Pair]) -> list[float]:
    """Alike where no comparison says how far apart its texts are."""
    margins = [max(pair.margin, 0.0) for pair in pairs]
    return margins if any(margins) else alike(pairs)


def adjacent(pairs: Sequence[Pair]) -> list[float]:
    below: dict[Hashable, set[Hashable]] = defaultdict(set)
    above: dict[Hashable, set[Hashable]] = defaultdict(set)
    for pair in pairs:
        below[pair.better].add(pair.worse)
        above[pair.worse].add(pair.better)
    between = [below[pair.better] & above[pair.worse] for pair in pairs]
    # Judgements that go in a circle have something between any two of them; then all stand.
    return [float(not some) for some in between] if not all(between) else alike(pairs)


def best_worst(pairs: Sequence[Pair]) -> list[float]:
    best, worst = extremes(pairs)
    kept = [float(pair.better in best and pair.worse in worst) for pair in pairs]
    return kept if any(kept) else alike(pairs)


def extremes(pairs: Iterable[Pair]) -> tuple[set[Any], set[Any]]:
    """The texts that nothing is above, and those that nothing is below."""
    pairs = list(pairs)
    better, worse = {pair.better for pair in pairs}, {pair.worse for pair in pairs}
    return better - worse, worse - better


def chosen_rows(rows: list[dict[str, Any]], *, which: Which, groups: Sequence[Group] = ()) -> list[dict[str, Any]]:
    """`rows` of comparisons, or those of the rankings `groups` where there are any, with the weights of `which`."""
    if which == "all":
        return rows
    return of_rankings(groups, which) or of_comparisons(rows, which)


def of_comparisons(rows: list[dict[str, Any]], which: Which) -> list[dict[str, Any]]:
    rankings: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        rankings[row["group_id"], row["rater"]].append(number)
    weights = [0.0] * len(rows)
    for numbers in rankings.values():
        pairs = [Pair(told(rows[i]["chosen"]), told(rows[i]["rejected"]), rows[i]["margin"]) for i in numbers]
        weight = sum(rows[i]["weight"] for i in numbers)
        for i, share in zip(numbers, shares(pairs, which), strict=True):
            weights[i] = share * weight
    # Where all of a ranking weighs nothing it teaches nothing, whichever are taken.
    return [{**row, "weight": weight} for row, weight in zip(rows, weights, strict=True) if weight > 0]


def of_rankings(groups: Sequence[Group], which: Which) -> list[dict[str, Any]]:
    orders = [(group, order, list(order.pairs)) for group in groups for order in group.orders]
    orders = [one for one in orders if one[2]]
    num = Counter(group.id for group, _, _ in orders)
    rows = []
    soft = any(order.label < 1 for _, order, _ in orders)
    for group, order, places in orders:
        below = {text: down for tier, down in zip(order.tiers, order.below, strict=True) for text in tier}
        pairs = [Pair(a, b, below[b] - below[a]) for a, b in places]
        for (a, b), pair, share in zip(places, pairs, shares(pairs, which), strict=True):
            if share:
                rows.append(
                    {
                        "prompt": messages(group.prompt), "chosen": messages(group.replies[a]),
                        "rejected": messages(group.replies[b]), "weight": share / num[group.id],
                        "margin": pair.margin, "group_id": group.id, "rater": order.rater,
                        **({"label": order.label} if soft else {}),
                    }
                )  # fmt: skip
    return rows


def messages(reply: Reply) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in reply]
