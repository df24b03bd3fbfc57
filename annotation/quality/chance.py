"""Agreement beyond chance: Krippendorff's alpha, Cohen's and Fleiss' kappa, on votes or on places in rankings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from annotation.quality.judgement import Judgement, Measure, positions, undefined, votes

Value = TypeVar("Value", bound=Hashable)
Floats = NDArray[np.float64]


class Level(StrEnum):
    NOMINAL = "nominal"
    ORDINAL = "ordinal"
    INTERVAL = "interval"


def krippendorff_alpha(units: Iterable[Sequence[float]], *, level: Level) -> Measure:
    """1 - observed / expected disagreement of the values that raters gave to each unit; missing ones are left out.

    Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", sections C to E: coincidences of a unit with m values
    weigh 1 / (m - 1); units with one value pair with nothing and are left out. `num` counts values that pair.
    """
    paired = [unit for unit in units if len(unit) >= 2]
    if not paired:
        return undefined("No unit has values of two raters.")
    values, codes = np.unique(np.concatenate([np.asarray(unit, dtype=float) for unit in paired]), return_inverse=True)
    num, sizes = len(codes), np.array([len(unit) for unit in paired])
    if len(values) < 2:
        return undefined("All raters gave one and the same value, so that chance can't be told.", num=num)
    counts = np.zeros((len(paired), len(values)))
    np.add.at(counts, (np.repeat(np.arange(len(paired)), sizes), codes), 1.0)
    coincidences = (counts / (sizes[:, None] - 1)).T @ counts - np.diag((counts / (sizes[:, None] - 1)).sum(axis=0))
    marginal = coincidences.sum(axis=0)
    distance = _distance(values, marginal, level=level)
    expected = (np.outer(marginal, marginal) * distance).sum() / (num - 1)
    return Measure(float(1 - (coincidences * distance).sum() / expected), num=num)


def _distance(values: Floats, marginal: Floats, *, level: Level) -> Floats:
    """Squared differences between values, sorted, of which `marginal` tells how many there are."""
    if level == Level.NOMINAL:
        return 1.0 - np.eye(len(values))
    if level == Level.ORDINAL:  # the values between two, with half of each end
        values = np.cumsum(marginal) - marginal / 2
    return np.square(values[:, None] - values[None, :])


def alpha_of_places(judgements: Iterable[Judgement]) -> Measure:
    """Ordinal alpha: a unit is one text of a task, its values the places that raters gave it (tied texts share the mean)."""
    units: dict[tuple[str, str], list[float]] = {}
    for judgement in judgements:
        for name, place in positions(judgement.tiers).items():
            units.setdefault((judgement.task, name), []).append(place)
    return krippendorff_alpha(units.values(), level=Level.ORDINAL)


def alpha_of_votes(judgements: Iterable[Judgement]) -> Measure:
    """Nominal alpha: a unit is one pair of texts of a task, its values better, worse or tied."""
    units: dict[tuple[str, str, str], list[float]] = {}
    for judgement in judgements:
        for (one, other), vote in votes(judgement.tiers).items():
            units.setdefault((judgement.task, one, other), []).append(vote)
    return krippendorff_alpha(units.values(), level=Level.NOMINAL)


def cohen_kappa(one: Mapping[str, Value], other: Mapping[str, Value]) -> Measure:
    """(p_o - p_e) / (1 - p_e) of two raters over the items that both labelled (Cohen 1960); `num` counts those."""
    common = [(one[item], other[item]) for item in one if item in other]
    if not common:
        return undefined("The two raters labelled no item in common.")
    num = len(common)
    first, second = Counter(x for x, _ in common), Counter(y for _, y in common)
    chance = sum(first[label] * second[label] for label in first) / num**2
    if chance == 1:
        return undefined("Both raters gave every item the same one label, so that chance can't be told.", num=num)
    return Measure((sum(x == y for x, y in common) / num - chance) / (1 - chance), num=num)


def fleiss_kappa(items: Iterable[Sequence[Hashable]]) -> Measure:
    """Kappa of any n raters an item, the same n for each (Fleiss 1971, eqs. 1 to 7); `num` counts items."""
    counts = [Counter(labels) for labels in items]
    sizes = {count.total() for count in counts}
    if len(sizes) != 1:
        why = "Items have different numbers of labels: Krippendorff's alpha allows that." if sizes else "No items."
        return undefined(why, num=len(counts))
    (n,) = sizes
    if n < 2:
        return undefined("Agreement needs two labels an item.", num=len(counts))
    agreed = sum(sum(c * (c - 1) for c in count.values()) for count in counts) / (n * (n - 1) * len(counts))
    totals: Counter[Hashable] = sum(counts, Counter())
    chance = sum((c / totals.total()) ** 2 for c in totals.values())
    if len(totals) == 1:
        return undefined("All labels are one and the same, so that chance can't be told.", num=len(counts))
    return Measure((agreed - chance) / (1 - chance), num=len(counts))
