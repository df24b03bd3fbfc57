"""An order as a rail to look at: letters in their places, best first, with what lies between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from annotation.models import Adjudication, Ranking, RankingTask
from annotation.weak_order import WeakOrder, canonical, check_complete, format_order, parse_order, renamed


@dataclass(frozen=True, slots=True)
class Place:
    """`gap` is how much better the place before is, 1 to 4; 0 for the first."""

    letters: str
    gap: int

    @property
    def notches(self) -> str:
        return ">" * self.gap


@dataclass(frozen=True, slots=True)
class Rail:
    """`line` is the same in writing; `left_out` are letters without a place."""

    places: tuple[Place, ...]
    left_out: str
    line: str


def rail_of(
    tiers: Sequence[Sequence[str]],
    *,
    letters: Mapping[str, str],
    strengths: Sequence[int] = (),
    unranked: Sequence[str] = (),
) -> Rail:
    """Of completion ids, which `letters` names; where no strength is told, each gap has one notch."""
    told = [[letters[name] for name in tier] for tier in tiers]
    gaps = list(strengths) or [1] * max(len(told) - 1, 0)
    order = canonical(told, gaps, [letters[name] for name in unranked])
    places = tuple(
        Place("".join(sorted(tier)).upper(), gap) for tier, gap in zip(order.tiers, [0, *order.strengths], strict=True)
    )
    return Rail(places, "".join(sorted(order.unranked)).upper(), format_order(order))


def rail_of_ranking(ranking: Ranking, *, letters: Mapping[str, str]) -> Rail | None:
    """None where it says that there is no order."""
    if ranking.cannot_rank:
        return None
    return rail_of(ranking.shown_tiers, letters=letters, strengths=ranking.shown_strengths, unranked=ranking.unranked)


def rail_of_settled(settled: Adjudication, *, letters: Mapping[str, str]) -> Rail:
    return rail_of(settled.tiers, letters=letters, strengths=settled.strengths, unranked=settled.unranked)


def review_letters(task: RankingTask) -> dict[str, str]:
    """Completion id -> letter, the same for every reviewer: by id, which is random, so that no letter is a model's."""
    names = sorted(str(entry.completion_id) for entry in task.entries.all())
    return {name: chr(ord("a") + i) for i, name in enumerate(names)}


def order_told(line: str, *, letters: Mapping[str, str]) -> WeakOrder:
    """What a reviewer typed in those letters, of completion ids; every text has a place or is left out. Raises `BadOrder`."""
    order = parse_order(line)
    check_complete(order, names=letters.values())
    return renamed(order, {letter: name for name, letter in letters.items()})
