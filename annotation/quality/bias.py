"""What sways a rater besides the texts: their place on the page, their length, her haste; flags held to a false-alarm rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

from annotation.quality.intervals import binomial_tail, holm, ratio_interval, two_sided
from annotation.quality.judgement import Judgement, by_rater, by_task, positions, votes
from annotation.quality.sentences import (
    ALL_TIED,
    FAVOURS_LONGER,
    FAVOURS_SHORTER,
    NOTHING_TO_TEST,
    OTHERS_BY_CHANCE,
    PUTS_FIRST_FIRST,
    RANKS_HASTILY,
    TOO_FEW_COMPARED,
    TOO_FEW_RANKINGS,
)
from annotation.weak_order import Tiers

ALPHA = 0.05  # the chance that a report on raters without bias flags any of them
FEWEST = 20  # rankings, below which the normal approximation is not to be trusted, nor any flag
FASTEST = 100.0  # characters a second: 1,000 words a minute, four times the pace of silent reading (Brysbaert 2019)
HASTE_ALLOWED = 0.05  # of an honest rater's rankings may be faster: a text already known, a prompt seen before
CONTINUITY = (
    0.5  # half a step of the covariance where K is 2 (Yates 1934): without it, rare values would cross the line
)


class Kind(StrEnum):
    POSITION = "position"
    LENGTH = "length"
    HASTE = "haste"


@dataclass(frozen=True, slots=True)
class Finding:
    """`effect` is a share with its 95 % interval; `p` is raw and `adjusted` by Holm over raters; `num` counts rankings.

    Position: the share of ordered pairs in which the text shown first is put first (0.5 has no bias). Length: in which the
    longer is put first. Haste: the share of rankings faster than reading. None where it can't be told, and `sentence` says why.
    """

    rater: str
    kind: Kind
    effect: float | None
    low: float | None
    high: float | None
    num: int
    p: float | None
    adjusted: float | None
    is_flagged: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Raw:
    """A rater's evidence before Holm: (a, n) by ranking, whose ratio is the effect, and how to tell of it.

    `sentence` has places for the effect and its p, `why` is said instead where there is no test.
    """

    counts: list[tuple[float, float]]
    num: int
    p: float | None
    sentence: str
    why: str = ""


def position_bias(judgements: Iterable[Judgement], *, alpha: float = ALPHA) -> list[Finding]:
    """Does a text's place on the page predict its rank? Judgements without an order as shown are left out.

    Orders were drawn at random, so that without bias every permutation of the places is as likely as the one shown. The
    statistic is the sum over rankings of the covariance of place and rank; its variance under that null is exact (the
    permutation variance sum a^2 sum b^2 / (K - 1): Hoeffding 1951), so that z needs no model of skill, ties or texts.
    """
    seen = [judgement for judgement in judgements if len(judgement.shown) > 1]
    return _report(seen, Kind.POSITION, _position, alpha=alpha)


def length_bias(
    judgements: Iterable[Judgement], *, lengths: Mapping[str, int], alpha: float = ALPHA
) -> list[Finding]:  # fmt: skip
    """Does a rater favour length, or shun it, more than others do on the same pairs of texts?

    Longer texts may be better: that people prefer the longer in 64 % of pairs (AlpacaFarm) is no fault. So the effect is
    told as it is, and the test compares with the other raters of the task, two at least, allowing for one who judges more
    sharply than they, and so leans more to whatever goes with quality. Tasks are what is sampled. `lengths` in characters.
    """
    rows = list(judgements)
    tasks = by_task(rows)

    def told(mine: list[Judgement]) -> Raw:
        return _length(mine, tasks, lengths)

    return _report(rows, Kind.LENGTH, told, alpha=alpha)


def haste(
    judgements: Iterable[Judgement], *, lengths: Mapping[str, int], alpha: float = ALPHA, fastest: float = FASTEST
) -> list[Finding]:
    """Are more than `HASTE_ALLOWED` of a rater's rankings faster than anybody reads? By the exact binomial tail."""
    timed = [judgement for judgement in judgements if judgement.seconds is not None]

    def told(mine: list[Judgement]) -> Raw:
        hasty = [_is_hasty(judgement, lengths, fastest=fastest) for judgement in mine]
        p = binomial_tail(sum(hasty), trials=len(hasty), share=HASTE_ALLOWED)
        return Raw([(float(h), 1.0) for h in hasty], len(hasty), p, hasty_sentence(fastest))

    return _report(timed, Kind.HASTE, told, alpha=alpha)


def hasty_sentence(fastest: float) -> str:
    return RANKS_HASTILY.replace("%(fastest)s", f"{fastest:g}")


def _is_hasty(judgement: Judgement, lengths: Mapping[str, int], *, fastest: float) -> bool:
    return sum(lengths[name] for name in positions(judgement.tiers)) > fastest * (judgement.seconds or 0.0)


def _report(
    judgements: list[Judgement], kind: Kind, told: Callable[[list[Judgement]], Raw], *, alpha: float
) -> list[Finding]:  # fmt: skip
    return report_of({rater: told(mine) for rater, mine in by_rater(judgements).items()}, kind, alpha=alpha)


def report_of(raw: Mapping[str, Raw], kind: Kind, *, alpha: float) -> list[Finding]:
    """What is said of each rater, flags held over all of them."""
    tested = {rater: r.p for rater, r in raw.items() if r.p is not None and r.num >= FEWEST}
    adjusted = dict(zip(tested, holm(list(tested.values())), strict=True))
    return [_finding(rater, kind, r, adjusted.get(rater), alpha=alpha) for rater, r in raw.items()]


def _finding(rater: str, kind: Kind, raw: Raw, adjusted: float | None, *, alpha: float) -> Finding:
    counts = [(a, n) for a, n in raw.counts if n]
    pairs = sum(n for _, n in counts)
    effect = sum(a for a, _ in counts) / pairs if pairs else None
    low, high = ratio_interval(counts) if pairs else (None, None)
    is_flagged = adjusted is not None and adjusted < alpha
    if adjusted is None:
        few = TOO_FEW_RANKINGS % {"num": raw.num, "fewest": FEWEST}
        sentence = raw.why or (few if raw.num < FEWEST else NOTHING_TO_TEST)
    else:
        sentence = raw.sentence % {"share": f"{effect or 0.0:.0%}", "num": raw.num, "p": f"{adjusted:.2g}"}
    p = raw.p if adjusted is not None else None
    return Finding(rater, kind, effect, low, high, raw.num, p, adjusted, is_flagged, sentence)


def _position(mine: list[Judgement]) -> Raw:
    covariance = variance = 0.0
    for judgement in mine:
        at = positions(judgement.tiers)
        places = {name: float(i) for i, name in enumerate(name for name in judgement.shown if name in at)}
        centre, middle = (len(at) + 1) / 2, (len(places) - 1) / 2
        covariance += sum((places[name] - middle) * (at[name] - centre) for name in at)
        of_places, of_ranks = (
            sum((x - middle) ** 2 for x in places.values()),
            sum((x - centre) ** 2 for x in at.values()),
        )
        variance += of_places * of_ranks / (len(at) - 1)
    beyond = max(0.0, abs(covariance) - CONTINUITY)
    p = two_sided(beyond / math.sqrt(variance)) if variance else None
    counts = [_share(judgement.tiers, {name: -i for i, name in enumerate(judgement.shown)}) for judgement in mine]
    why = "" if variance else ALL_TIED
    return Raw(counts, len(mine), p, PUTS_FIRST_FIRST, why)


def _share(tiers: Tiers, feature: Mapping[str, int]) -> tuple[float, float]:
    """Of the ordered pairs with different features: in how many the larger is better, and how many there are."""
    at = positions(tiers)
    signs = [(at[b] - at[a]) * (feature[a] - feature[b]) for a, b in combinations(at, 2)]
    return float(sum(s > 0 for s in signs)), float(sum(s != 0 for s in signs))


def _length(mine: list[Judgement], tasks: dict[str, list[Judgement]], lengths: Mapping[str, int]) -> Raw:
    found = [_beside_others(judgement, tasks[judgement.task], lengths) for judgement in mine]
    compared = [leaning for leaning in found if leaning is not None]
    p, excess = _more_than_skill_explains(compared) if len(compared) >= FEWEST else (None, 0.0)
    if len(compared) < FEWEST:
        why = TOO_FEW_COMPARED % {"num": len(compared), "fewest": FEWEST}
    else:
        why = "" if p is not None else OTHERS_BY_CHANCE
    counts = [_share(judgement.tiers, lengths) for judgement in mine]
    return Raw(counts, len(mine), p, FAVOURS_LONGER if excess > 0 else FAVOURS_SHORTER, why)


@dataclass(frozen=True, slots=True)
class _Leaning:
    """Sums over the pairs of one task: to the longer text, hers and the others' mean; agreement, with them and among them."""

    own: float
    others: float
    with_others: float
    among_others: float


def _more_than_skill_explains(tasks: list[_Leaning]) -> tuple[float | None, float]:
    """p, and her leaning to length beyond the others', theirs taken times how well she agrees beside how well they do.

    If votes carry quality by a factor a rater, `factor` is her factor over theirs, and the excess is zero on average. Its
    variance allows for the factor being estimated (the delta method).
    """
    among, others = sum(t.among_others for t in tasks), sum(t.others for t in tasks)
    if among <= 0:
        return None, 0.0
    factor = sum(t.with_others for t in tasks) / among
    excess = sum(t.own - factor * t.others for t in tasks)
    parts = [t.own - factor * t.others - others / among * (t.with_others - factor * t.among_others) for t in tasks]
    squares = sum(part * part for part in parts)
    return (two_sided(excess / math.sqrt(squares)) if squares else None), excess


def _beside_others(mine: Judgement, rankings: list[Judgement], lengths: Mapping[str, int]) -> _Leaning | None:
    """Over pairs that two others voted on; None where there are none."""
    others = [votes(ranking.tiers) for ranking in rankings if ranking.rater != mine.rater]
    own = beside = with_others = among = 0.0
    is_compared = False
    for (one, other), vote in votes(mine.tiers).items():
        theirs = [said[one, other] for said in others if (one, other) in said]
        if len(theirs) < 2:
            continue
        is_compared = True
        longer, mean = (lengths[one] > lengths[other]) - (lengths[one] < lengths[other]), sum(theirs) / len(theirs)
        own, beside, with_others = own + longer * vote, beside + longer * mean, with_others + vote * mean
        among += (sum(theirs) ** 2 - sum(x * x for x in theirs)) / (len(theirs) * (len(theirs) - 1))
    return _Leaning(own, beside, with_others, among) if is_compared else None
