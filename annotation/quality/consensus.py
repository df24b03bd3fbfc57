"""Consensus of several raters on each task: scores with errors, a weak order, and how reliable each rater is."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from annotation.quality import raters_bt
from annotation.quality.intervals import probability
from annotation.quality.judgement import Judgement, by_task, positions, sign, votes
from annotation.quality.reliability import reliabilities
from annotation.weak_order import Tiers

SURE = 0.6  # below this chance of being better, a text ties with the best of the tier above it


@dataclass(frozen=True, slots=True)
class Scored:
    """`score` in logits from the mean of the task's texts; `error` its standard error."""

    text: str
    score: float
    error: float


@dataclass(frozen=True, slots=True)
class TaskConsensus:
    """`texts` and `tiers` best first. A tie counts as a comparison: half a vote each way."""

    task: str
    texts: tuple[Scored, ...]
    tiers: Tiers
    num_raters: int
    num_comparisons: int


@dataclass(frozen=True, slots=True)
class Reliability:
    """The chance to order two texts drawn at random as their scores do: 0.5 guesses, below it reverses. With a 95 % interval."""

    rater: str
    value: float
    low: float
    high: float
    num_comparisons: int


@dataclass(frozen=True, slots=True)
class Consensus:
    tasks: dict[str, TaskConsensus]
    raters: dict[str, Reliability]
    num_comparisons: int
    num_rounds: int
    is_settled: bool


@dataclass(frozen=True, slots=True)
class _Named:
    """The names behind the array's indices: texts of each task, and raters."""

    texts: dict[str, tuple[str, ...]]
    raters: tuple[str, ...]


def consensus(judgements: Iterable[Judgement], *, sure: float = SURE) -> Consensus:
    """Bradley-Terry with a sharpness per rater, learned across all tasks. Raters of a task may rank different texts of it.

    Without a comparison (no rankings, or of one text each) everything is empty. See `raters_bt` for the model.
    """
    tasks = by_task(judgement for judgement in judgements if sum(map(len, judgement.tiers)) > 1)
    if not tasks:
        return Consensus({}, {}, 0, 0, is_settled=True)
    named, coded = _coded(tasks)
    fit = raters_bt.fit(coded)
    counts = _counts(tasks)
    covariance = raters_bt.of_rankings(fit.covariance_TKK, coded.sizes)
    found = {
        task: _of_task(task, named.texts[task], fit.scores_TK[at], covariance[at], rankings, sure=sure)
        for at, (task, rankings) in enumerate(tasks.items())
    }
    raters = {
        rater: Reliability(rater, value, low, high, counts[rater])
        for rater, (value, low, high) in zip(named.raters, reliabilities(coded, fit).tolist(), strict=True)
    }
    return Consensus(found, raters, sum(counts.values()), fit.num_rounds, fit.is_settled)


def majority(judgements: Iterable[Judgement]) -> dict[str, Tiers]:
    """Copeland's order of each task: pairwise majorities won less those lost; equal texts tie (Copeland 1951)."""
    return {task: _copeland(rankings) for task, rankings in by_task(judgements).items()}


def _copeland(rankings: list[Judgement]) -> Tiers:
    totals: dict[tuple[str, str], int] = {}
    wins = dict.fromkeys(sorted(name for ranking in rankings for tier in ranking.tiers for name in tier), 0)
    for ranking in rankings:
        for pair, vote in votes(ranking.tiers).items():
            totals[pair] = totals.get(pair, 0) + vote
    for (one, other), total in totals.items():
        wins[one] += sign(0, total)
        wins[other] -= sign(0, total)
    return tuple(tuple(n for n, w in wins.items() if w == level) for level in sorted(set(wins.values()), reverse=True))


def _coded(tasks: dict[str, list[Judgement]]) -> tuple[_Named, raters_bt.PairVotes]:
    texts = {task: tuple(sorted({n for r in rankings for n in positions(r.tiers)})) for task, rankings in tasks.items()}
    raters = tuple(sorted({ranking.rater for rankings in tasks.values() for ranking in rankings}))
    number = {rater: i for i, rater in enumerate(raters)}
    rows: list[tuple[int, int, int, int, float]] = []
    for at, (task, rankings) in enumerate(tasks.items()):
        index = {name: i for i, name in enumerate(texts[task])}
        for ranking in rankings:
            rows += _rows(at, number[ranking.rater], {index[n]: place for n, place in positions(ranking.tiers).items()})
    task_, better, worse, rater_ = np.array([row[:4] for row in rows], dtype=np.intp).T
    weight = np.array([row[4] for row in rows])
    sizes = np.array([len(names) for names in texts.values()], dtype=np.intp)
    return _Named(texts, raters), raters_bt.PairVotes(task_, better, worse, rater_, weight, sizes, len(raters))


def _rows(task: int, rater: int, places: dict[int, float]) -> list[tuple[int, int, int, int, float]]:
    """(task, better, worse, rater, weight) of a ranking's pairs; a tie gives half a vote each way."""
    rows: list[tuple[int, int, int, int, float]] = []
    for one, other in combinations(sorted(places), 2):
        if order := sign(places[one], places[other]):
            rows.append((task, *((one, other) if order > 0 else (other, one)), rater, 1.0))
        else:
            rows += [(task, one, other, rater, 0.5), (task, other, one, rater, 0.5)]
    return rows


def _counts(tasks: dict[str, list[Judgement]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for rankings in tasks.values():
        for ranking in rankings:
            counts[ranking.rater] = counts.get(ranking.rater, 0) + math.comb(len(positions(ranking.tiers)), 2)
    return counts


def _of_task(
    task: str,
    names: tuple[str, ...],
    scores_K: raters_bt.Floats,
    covariance_KK: raters_bt.Floats,
    rankings: list[Judgement],
    *,
    sure: float,
) -> TaskConsensus:
    scores, covariance = scores_K.tolist(), covariance_KK.tolist()
    best_first = sorted(range(len(names)), key=lambda i: (-scores[i], names[i]))
    tiers: list[list[int]] = []
    for i in best_first:
        if tiers and _chance_of_better(tiers[-1][0], i, scores, covariance) < sure:
            tiers[-1].append(i)
        else:
            tiers.append([i])
    return TaskConsensus(
        task=task,
        texts=tuple(Scored(names[i], scores[i], math.sqrt(covariance[i][i])) for i in best_first),
        tiers=tuple(tuple(sorted(names[i] for i in tier)) for tier in tiers),
        num_raters=len({ranking.rater for ranking in rankings}),
        num_comparisons=sum(math.comb(len(positions(ranking.tiers)), 2) for ranking in rankings),
    )


def _chance_of_better(i: int, j: int, scores: list[float], covariance: list[list[float]]) -> float:
    """That text i truly has the higher score, by the normal approximation of the posterior."""
    variance = covariance[i][i] + covariance[j][j] - 2 * covariance[i][j]
    return probability((scores[i] - scores[j]) / math.sqrt(variance))
