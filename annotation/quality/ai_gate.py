"""Whether a feedback model judges as people do: agreement on pairs that both judged, by principle and kind of prompt.

Accuracy is the share of people's judgements of a pair that name the text which the feedback model names; kappa is that beyond
chance (Cohen 1960), with chance by how often either side names the first text. Intervals are over tasks: Wilson's of accuracy,
of kappa by resampling.
What counts is the lower end: a small overlap opens no gate.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from django.utils.translation import gettext_noop

from annotation.quality.bootstrap import ONE_TASK, RESAMPLES, measured, resampled_sums
from annotation.quality.intervals import ratio_interval
from annotation.quality.judgement import Measure, undefined
from annotation.quality.table import Floats

NOTHING = gettext_noop("No pair was judged by people and by the feedback model.")
ONE_SIDE = gettext_noop("Both name one and the same side of every pair, so that chance can't be told.")


@dataclass(frozen=True, slots=True)
class Overlap:
    """One person's preference on a pair that the feedback model judged, too."""

    task: str
    kind: str  # of the prompt
    principle: str
    ai_first: bool
    person_first: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """What agreement is asked for, of the lower ends of 95 % intervals; a group with fewer judgements goes by all together."""

    accuracy: float = 0.6
    kappa: float = 0.2
    fewest: int = 30


@dataclass(frozen=True, slots=True)
class Verdict:
    """`num` judgements of people on `num_tasks` tasks; `is_enough` of them to stand for themselves."""

    name: str
    num: int
    num_tasks: int
    accuracy: Measure
    kappa: Measure
    is_enough: bool
    passes: bool

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Verdict:
        measures = {name: Measure(**told[name]) for name in ("accuracy", "kappa")}
        return cls(**{**told, **measures})


@dataclass(frozen=True, slots=True)
class Gate:
    rule: Rule
    overall: Verdict
    by_principle: dict[str, Verdict] = field(default_factory=dict)
    by_kind: dict[str, Verdict] = field(default_factory=dict)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Gate:
        """From what `dataclasses.asdict` made of one."""
        groups = {
            name: {key: Verdict.of(one) for key, one in told[name].items()} for name in ("by_principle", "by_kind")
        }
        return cls(Rule(**told["rule"]), Verdict.of(told["overall"]), **groups)

    @property
    def principles(self) -> list[Verdict]:
        return list(self.by_principle.values())

    @property
    def kinds(self) -> list[Verdict]:
        return list(self.by_kind.values())

    def counts(self, *, principle: str, kind: str) -> bool:
        """Whether a judgement under this principle of a prompt of this kind is learned: its principle and its kind both pass,
        and where one of them has too few judgements of its own, all together do."""
        return self.lets_through(self.by_principle.get(principle)) and self.lets_through(self.by_kind.get(kind))

    def lets_through(self, group: Verdict | None) -> bool:
        """A principle's or a kind's verdict, None for one without any judgement."""
        return (group if group is not None and group.is_enough else self.overall).passes


def gate_of(overlaps: Iterable[Overlap], *, rule: Rule, num_resamples: int = RESAMPLES, seed: int = 0) -> Gate:
    given = list(overlaps)

    def judged(name: str, some: Sequence[Overlap]) -> Verdict:
        return verdict(name, some, rule=rule, num_resamples=num_resamples, seed=seed)

    def grouped(of: Callable[[Overlap], str]) -> dict[str, Verdict]:
        groups: defaultdict[str, list[Overlap]] = defaultdict(list)
        for one in given:
            groups[of(one)].append(one)
        return {name: judged(name, groups[name]) for name in sorted(groups)}

    return Gate(rule, judged("", given), grouped(lambda one: one.principle), grouped(lambda one: one.kind))


def verdict(name: str, some: Sequence[Overlap], *, rule: Rule, num_resamples: int, seed: int) -> Verdict:
    tasks = sorted({one.task for one in some})
    sums_TD = sums_of(some, tasks)
    drawn = resampled_sums(sums_TD, num_resamples=num_resamples, seed=seed) if len(tasks) > 1 else None
    whole = sums_TD.sum(axis=0, keepdims=True) if tasks else np.zeros((1, 4))
    resampled = None if drawn is None else kappa_of(drawn)
    why = ONE_SIDE if some else NOTHING
    kappa = measured(float(kappa_of(whole)[0]), num=len(some), resampled_B=resampled, why=why)
    accuracy = accuracy_of(sums_TD)
    is_enough = len(some) >= rule.fewest
    passes = is_enough and at_least(accuracy, rule.accuracy) and at_least(kappa, rule.kappa)
    return Verdict(name, len(some), len(tasks), accuracy, kappa, is_enough, passes)


def sums_of(some: Sequence[Overlap], tasks: list[str]) -> Floats:
    """[T, 4]: judgements, those alike, those where the feedback model names the first text, those where the person does."""
    place = {task: at for at, task in enumerate(tasks)}
    sums_TD = np.zeros((len(tasks), 4))
    for one in some:
        sums_TD[place[one.task]] += (1, one.ai_first == one.person_first, one.ai_first, one.person_first)
    return sums_TD


def accuracy_of(sums_TD: Floats) -> Measure:
    """With Wilson's interval: no resample of judgements that all agree would say less than certainty."""
    if not len(sums_TD):
        return undefined(NOTHING)
    num, alike = (float(total) for total in sums_TD[:, :2].sum(axis=0))
    if len(sums_TD) == 1:
        return Measure(alike / num, num=int(num), why=ONE_TASK)
    low, high = ratio_interval([(row[1], row[0]) for row in sums_TD.tolist()])
    return Measure(alike / num, num=int(num), low=low, high=high)


def kappa_of(sums_BD: Floats) -> Floats:
    """[B]: (p_o - p_e) / (1 - p_e), nan where chance alone would agree always."""
    whole = np.where(sums_BD[:, 0] > 0, sums_BD[:, 0], np.nan)
    alike, ai, person = (sums_BD[:, column] / whole for column in (1, 2, 3))
    chance = ai * person + (1 - ai) * (1 - person)
    return np.asarray(np.divide(alike - chance, 1 - chance, out=np.full(len(whole), np.nan), where=chance < 1))


def at_least(found: Measure, bound: float) -> bool:
    return found.low is not None and found.low >= bound
