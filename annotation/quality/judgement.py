"""What the measures of quality take and give: one rater's weak order of one task, and a figure that may be undefined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from annotation.quality.sentences import said
from annotation.weak_order import Tiers

Votes = dict[tuple[str, str], int]
Order = Sequence[Sequence[str]]  # tiers as rows and files have them


@dataclass(frozen=True, slots=True)
class Judgement:
    """`tiers` best first; `shown` are the same texts in the order in which this rater saw them; `seconds` of active time."""

    task: str
    rater: str
    tiers: Tiers
    shown: tuple[str, ...] = ()
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Measure:
    """`value` is None where the figure is undefined, and `why` is then a sentence; `num` counts what it was taken over."""

    value: float | None
    num: int = 0
    low: float | None = None
    high: float | None = None
    why: str = ""


def undefined(why: str, *, num: int = 0) -> Measure:
    return Measure(None, num=num, why=why)


def told(measure: Measure) -> Measure:
    """To be shown now and kept nowhere: says in the reader's language why it is undefined."""
    return replace(measure, why=said(measure.why))


def in_percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def positions(tiers: Iterable[Iterable[str]]) -> dict[str, float]:
    """Each text's rank, 1 the best; tied texts share the mean of their places: a > b=c gives 1, 2.5, 2.5."""
    found: dict[str, float] = {}
    before = 0
    for tier in tiers:
        names = list(tier)
        found.update(dict.fromkeys(names, before + (len(names) + 1) / 2))
        before += len(names)
    return found


def sign(one: float, other: float) -> int:
    """1 where `one` ranks before `other`, -1 where after, 0 where they tie."""
    return (one < other) - (one > other)


def votes(tiers: Iterable[Iterable[str]]) -> Votes:
    """For each pair of names in alphabetical order: 1 the first is better, -1 the second, 0 a tie."""
    at = positions(tiers)
    return {(a, b): sign(at[a], at[b]) for a, b in combinations(sorted(at), 2)}


def by_task(judgements: Iterable[Judgement]) -> dict[str, list[Judgement]]:
    found: dict[str, list[Judgement]] = {}
    for judgement in judgements:
        found.setdefault(judgement.task, []).append(judgement)
    return found


def by_rater(judgements: Iterable[Judgement]) -> dict[str, list[Judgement]]:
    """Raters in alphabetical order, so that reports don't depend on the order of rows."""
    found: dict[str, list[Judgement]] = {}
    for judgement in judgements:
        found.setdefault(judgement.rater, []).append(judgement)
    return dict(sorted(found.items()))


def shared_votes(one: Mapping[tuple[str, str], int], other: Mapping[tuple[str, str], int]) -> Iterator[tuple[int, int]]:
    """The two votes on every pair that both have."""
    return ((vote, other[pair]) for pair, vote in one.items() if pair in other)
