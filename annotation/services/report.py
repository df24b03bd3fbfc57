"""The statistics of a campaign's judgement: agreement, reliability, bias, pace, and what raters say of models.

People and programs are told apart and never mixed. Every figure has an n, an interval where one can be told, and a sentence
where it is undefined. docs/statistics.md tells what each means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from django.utils.translation import gettext_noop

from annotation.models import Campaign
from annotation.quality.agreement import Agreement, Agreements
from annotation.quality.bias import Finding, Kind
from annotation.quality.bootstrap import RESAMPLES
from annotation.quality.consensus import Reliability
from annotation.quality.intervals import ratio_interval
from annotation.quality.judgement import Measure, undefined
from annotation.quality.many import (
    haste_of,
    length_bias_of,
    position_bias_of,
    reliability_of,
    shares_by_haste,
    shares_by_length,
    shares_by_position,
)
from annotation.quality.medians import median_of
from annotation.quality.model_scores import ModelScores, comparisons_of, model_scores
from annotation.quality.model_shares import Shares, model_shares
from annotation.quality.sentences import UNSHOWN
from annotation.quality.table import Floats, Ints
from annotation.services.gold_credit import NO_GOLD, gold_credits
from annotation.services.pace import UNTIMED, Pace, pace_of
from annotation.services.reading import Read, named_day, read_rankings

SAME_LENGTH = gettext_noop("All texts are equally long.")
MOST_PAIRS = 5000  # of raters that are told one by one: those with most tasks in common


@dataclass(frozen=True, slots=True)
class OfGroup:
    """Agreement within one day, kind of prompt, or version of the guideline."""

    name: str
    agreement: Agreement


@dataclass(frozen=True, slots=True)
class OfRater:
    """What is known of one rater's judgement; `sharpness` is her factor in the models' scores."""

    rater: str
    agreement: Agreement
    reliability: Reliability | None
    sharpness: Measure | None
    position: Finding | None
    length: Finding | None
    haste: Finding | None
    seconds: Measure
    num_rankings: int
    gold: Measure  # her credit on tasks whose right order is known; of pairs


@dataclass(frozen=True, slots=True)
class OfPair:
    raters: tuple[str, str]
    agreement: Agreement


@dataclass(frozen=True, slots=True)
class OfModel:
    """`score` by the model that knows raters, places and lengths; shares of pairs won by the two baselines beside it."""

    model: str
    score: Measure
    majority: Measure
    dawid_skene: Measure


@dataclass(frozen=True, slots=True)
class OfBias:
    """One bias over all raters: a share of pairs, or of rankings for haste. `flagged` are raters whom the test names."""

    kind: str
    share: Measure
    flagged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """What people, or programs, said. `position` and `length` are log odds that the models' scores allow for."""

    num_rankings: int
    num_without_order: int
    num_tasks: int
    overall: Agreement
    raters: tuple[OfRater, ...]
    pairs: tuple[OfPair, ...]
    num_pairs_of_raters: int
    days: tuple[OfGroup, ...]
    kinds: tuple[OfGroup, ...]
    guidelines: tuple[OfGroup, ...]
    models: tuple[OfModel, ...]
    position: Measure
    length: Measure
    is_settled: bool
    biases: tuple[OfBias, ...]
    pace: Pace


@dataclass(frozen=True, slots=True)
class Report:
    campaign: str
    resamples: int
    people: Part | None
    programs: Part | None


def report_of(campaign: Campaign, *, num_resamples: int = RESAMPLES) -> Report:
    people, programs = read_rankings(campaign)
    gold = gold_credits(campaign)
    return Report(
        campaign=campaign.slug,
        resamples=num_resamples,
        people=part_of(people, gold=gold, num_resamples=num_resamples) if people else None,
        programs=part_of(programs, gold=gold, num_resamples=num_resamples) if programs else None,
    )


def as_json(report: Report) -> dict[str, Any]:
    return asdict(report)


def part_of(read: Read, *, gold: Mapping[str, Measure], num_resamples: int = RESAMPLES) -> Part:
    table = read.table
    agreements = Agreements(table, num_resamples=num_resamples)
    scores = model_scores(
        comparisons_of(table, model_TK=read.model_TK, length_TK=read.length_TK, num_models=len(read.models)),
        models=read.models, raters=table.raters,
    )  # fmt: skip
    shares = model_shares(table, model_TK=read.model_TK, models=read.models, num_resamples=num_resamples)
    raters = raters_of(read, agreements, scores, gold=gold)
    pairs = sorted(agreements.by_pair().items(), key=lambda pair: (-pair[1].num_tasks, pair[0]))
    return Part(
        num_rankings=table.num,
        num_without_order=len(read.at_of_all) - table.num,
        num_tasks=len(table.tasks),
        overall=agreements.overall(),
        raters=raters,
        biases=biases_of(read, raters),
        pairs=tuple(OfPair(names, found) for names, found in pairs[:MOST_PAIRS]),
        num_pairs_of_raters=len(pairs),
        days=groups_of(agreements, read.day_N, np.maximum, named_day),
        kinds=groups_of(agreements, read.kind_N, np.maximum, lambda kind: read.kinds[kind]),
        guidelines=groups_of(agreements, read.guideline_N, same_or_none, str),
        models=models_of(read.models, scores, shares),
        position=scores.position,
        length=scores.length,
        is_settled=scores.is_settled and shares.is_settled,
        pace=pace_of(read.at_of_all, read.seconds_of_all),
    )


def raters_of(
    read: Read, agreements: Agreements, scores: ModelScores, *, gold: Mapping[str, Measure]
) -> tuple[OfRater, ...]:
    table = read.table
    reliability = reliability_of(table)

    def by_name(findings: Sequence[Finding]) -> dict[str, Finding]:
        return {finding.rater: finding for finding in findings}

    position = by_name(position_bias_of(table))
    length = by_name(length_bias_of(table, length_TK=read.length_TK))
    haste = by_name(haste_of(table, length_TK=read.length_TK))
    agreed = agreements.by_rater()
    told = []
    for at, name in enumerate(table.raters):
        seconds = table.seconds_N[table.rater_N == at]
        told.append(
            OfRater(
                rater=name, agreement=agreed[name], reliability=reliability.get(name), sharpness=scores.sharpness.get(name),
                position=position.get(name), length=length.get(name), haste=haste.get(name),
                seconds=median_of(seconds, why=UNTIMED), num_rankings=len(seconds),
                gold=gold.get(name, undefined(NO_GOLD)),
            )
        )  # fmt: skip
    return tuple(told)


def groups_of(
    agreements: Agreements, label_N: Ints, join: Callable[[Ints, Ints], Ints], name: Callable[[int], str]
) -> tuple[OfGroup, ...]:
    """Pairs of rankings by label: `join` makes one of the two labels of a pair, -1 for none."""
    label_P = join(label_N[agreements.pairs.i_P], label_N[agreements.pairs.j_P])
    known = np.unique(label_P[label_P >= 0])
    found = agreements.by_label(
        np.where(label_P >= 0, np.searchsorted(known, label_P), -1), num_groups=len(known)
    )  # fmt: skip
    return tuple(OfGroup(name(label), one) for label, one in zip(known.tolist(), found, strict=True))


def same_or_none(one: Ints, other: Ints) -> Ints:
    return np.where(one == other, one, -1)


def models_of(models: tuple[str, ...], scores: ModelScores, shares: Shares) -> tuple[OfModel, ...]:
    """Best first."""
    told = [OfModel(name, scores.scores[name], shares.majority[name], shares.dawid_skene[name]) for name in models]
    return tuple(sorted(told, key=lambda one: (-(one.score.value or 0.0), one.model)))


def biases_of(read: Read, raters: tuple[OfRater, ...]) -> tuple[OfBias, ...]:
    """Over all raters, with intervals in which a ranking is what is sampled."""
    told = (
        (Kind.POSITION, "position", shares_by_position(read.table), UNSHOWN),
        (Kind.LENGTH, "length", shares_by_length(read.table, length_TK=read.length_TK), SAME_LENGTH),
        (Kind.HASTE, "haste", shares_by_haste(read.table, length_TK=read.length_TK), UNTIMED),
    )
    return tuple(
        OfBias(kind, pooled(counts, why=why), tuple(one.rater for one in raters if is_flagged(getattr(one, name))))
        for kind, name, counts, why in told
    )


def is_flagged(finding: Finding | None) -> bool:
    return finding is not None and finding.is_flagged


def pooled(counts: tuple[Floats, Floats], *, why: str) -> Measure:
    of, over = counts
    pairs = [(a, n) for a, n in zip(of.tolist(), over.tolist(), strict=True) if n]
    if not pairs:
        return undefined(why)
    low, high = ratio_interval(pairs)
    num = sum(n for _, n in pairs)
    return Measure(sum(a for a, _ in pairs) / num, num=round(num), low=low, high=high)
