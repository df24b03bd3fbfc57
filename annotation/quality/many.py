"""The measures of reliability and bias on a table of very many rankings: the same figures as on single judgements.

Letters: those of `table`.
"""

from __future__ import annotations

import math

import numpy as np

from annotation.quality import raters_bt
from annotation.quality.bias import (
    ALPHA,
    CONTINUITY,
    FASTEST,
    FEWEST,
    HASTE_ALLOWED,
    Finding,
    Kind,
    Raw,
    hasty_sentence,
    report_of,
)
from annotation.quality.consensus import Reliability
from annotation.quality.intervals import binomial_tail, two_sided
from annotation.quality.reliability import reliabilities
from annotation.quality.sentences import (
    ALL_TIED,
    FAVOURS_LONGER,
    FAVOURS_SHORTER,
    OTHERS_BY_CHANCE,
    PUTS_FIRST_FIRST,
    TOO_FEW_COMPARED,
)
from annotation.quality.table import MOST_TEXTS, Floats, Ints, Table, columns, votes_on_columns


def reliability_of(table: Table) -> dict[str, Reliability]:
    """As `consensus.consensus` tells it; empty where nothing was compared."""
    votes_NC, there_NC = votes_on_columns(table.places_NK)
    one, other = columns()
    row, pair = np.nonzero(there_NC)
    if not len(row):
        return {}
    vote = votes_NC[row, pair]
    strict, tied = vote != 0, vote == 0
    rows = np.concatenate([row[strict], row[tied], row[tied]])
    better = np.concatenate([np.where(vote > 0, one[pair], other[pair])[strict], one[pair[tied]], other[pair[tied]]])
    worse = np.concatenate([np.where(vote > 0, other[pair], one[pair])[strict], other[pair[tied]], one[pair[tied]]])
    ranked = np.zeros((len(table.tasks), MOST_TEXTS), dtype=bool)
    np.logical_or.at(ranked, table.task_N, table.places_NK > 0)
    tasks, task = np.unique(table.task_N[rows], return_inverse=True)
    raters, rater = np.unique(table.rater_N[rows], return_inverse=True)
    column_TK = np.cumsum(ranked, axis=1) - 1  # among the texts that somebody ranked
    given = raters_bt.PairVotes(
        task=task, better=column_TK[table.task_N[rows], better], worse=column_TK[table.task_N[rows], worse], rater=rater,
        weight=np.where(np.arange(len(rows)) < strict.sum(), 1.0, 0.5), sizes=ranked.sum(axis=1)[tasks],
        num_raters=len(raters),
    )  # fmt: skip
    counts = np.bincount(table.rater_N[row], minlength=len(table.raters))
    found = reliabilities(given, raters_bt.fit(given)).tolist()
    return {
        (name := table.raters[at]): Reliability(name, value, low, high, int(counts[at]))
        for at, (value, low, high) in zip(raters.tolist(), found, strict=True)
    }


def position_bias_of(table: Table, *, alpha: float = ALPHA) -> list[Finding]:
    """As `bias.position_bias` tells it."""
    rows = np.flatnonzero((table.shown_NK > 0).sum(axis=1) > 1)
    places, shown = table.places_NK[rows].astype(float) / 2, table.shown_NK[rows].astype(float)
    is_ranked = places > 0
    n = is_ranked.sum(axis=1)
    kept = np.where(is_ranked, shown, np.inf)  # places on the page among the ranked texts, from 0
    order = np.argsort(np.argsort(kept, axis=1, kind="stable"), axis=1, kind="stable").astype(float)
    left = np.where(is_ranked, order - (n - 1)[:, None] / 2, 0.0)
    low = np.where(is_ranked, places - (n + 1)[:, None] / 2, 0.0)
    covariance = (left * low).sum(axis=1)
    variance = np.square(left).sum(axis=1) * np.square(low).sum(axis=1) / np.maximum(1, n - 1)
    share, pairs = shares_in(table, rows, -table.shown_NK[rows].astype(float))
    raw = {}
    for name, mine in rows_by_rater(table, rows):
        spread, lean = float(variance[mine].sum()), float(covariance[mine].sum())
        p = two_sided(max(0.0, abs(lean) - CONTINUITY) / math.sqrt(spread)) if spread else None
        raw[name] = Raw(
            list(zip(share[mine].tolist(), pairs[mine].tolist(), strict=True)), len(mine), p,
            PUTS_FIRST_FIRST, "" if spread else ALL_TIED,
        )  # fmt: skip
    return report_of(raw, Kind.POSITION, alpha=alpha)


def haste_of(table: Table, *, length_TK: Floats, alpha: float = ALPHA, fastest: float = FASTEST) -> list[Finding]:
    """As `bias.haste` tells it."""
    rows = np.flatnonzero(~np.isnan(table.seconds_N))
    hasty, _ = shares_by_haste(table, length_TK=length_TK, fastest=fastest)
    raw = {
        name: Raw(
            [(h, 1.0) for h in hasty[mine].tolist()], len(mine),
            binomial_tail(int(hasty[mine].sum()), trials=len(mine), share=HASTE_ALLOWED),
            hasty_sentence(fastest),
        )
        for name, mine in rows_by_rater(table, rows)
    }  # fmt: skip
    return report_of(raw, Kind.HASTE, alpha=alpha)


def length_bias_of(table: Table, *, length_TK: Floats, alpha: float = ALPHA) -> list[Finding]:
    """As `bias.length_bias` tells it."""
    votes_NC, there_NC = votes_on_columns(table.places_NK)
    one, other = columns()
    longer_TC = np.sign(length_TK[:, one] - length_TK[:, other]).astype(np.int8)
    sums = np.zeros((len(table.tasks), len(one)))
    squares, counts = sums.copy(), sums.copy()
    np.add.at(sums, table.task_N, votes_NC)
    np.add.at(squares, table.task_N, np.square(votes_NC))
    np.add.at(counts, table.task_N, there_NC)
    task = table.task_N
    theirs = np.where(there_NC, sums[task] - votes_NC, 0.0)
    square = np.where(there_NC, squares[task] - np.square(votes_NC), 0.0)
    num = np.where(there_NC, counts[task] - 1, 0.0)
    told = there_NC & (num >= 2)
    mean = np.divide(theirs, num, out=np.zeros_like(theirs), where=told)
    among = np.divide(np.square(theirs) - square, num * (num - 1), out=np.zeros_like(theirs), where=told)
    longer = np.where(told, longer_TC[task], 0)
    leaning = np.stack(
        [(longer * votes_NC).sum(axis=1), (longer * mean).sum(axis=1), (votes_NC * mean).sum(axis=1), among.sum(axis=1)],
        axis=1,
    )  # fmt: skip
    num_compared: Ints = told.sum(axis=1)
    share, pairs = shares_in(table, np.arange(table.num), length_TK[task])
    raw = {
        name: length_raw(leaning[mine][num_compared[mine] > 0], share[mine], pairs[mine])
        for name, mine in rows_by_rater(table, np.arange(table.num))
    }
    return report_of(raw, Kind.LENGTH, alpha=alpha)


def length_raw(leaning: Floats, share: Floats, pairs: Floats) -> Raw:
    """`leaning` by task: to the longer text, hers and the others' mean; agreement, with them and among them."""
    p, excess, why = None, 0.0, ""
    if len(leaning) < FEWEST:
        why = TOO_FEW_COMPARED % {"num": len(leaning), "fewest": FEWEST}
    else:
        own, others, with_others, among = leaning.T
        if among.sum() > 0:
            factor = with_others.sum() / among.sum()
            excess = float((own - factor * others).sum())
            parts = own - factor * others - others.sum() / among.sum() * (with_others - factor * among)
            squares = float(np.square(parts).sum())
            p = two_sided(excess / math.sqrt(squares)) if squares else None
        else:
            why = OTHERS_BY_CHANCE
    counts = list(zip(share.tolist(), pairs.tolist(), strict=True))
    return Raw(counts, len(share), p, FAVOURS_LONGER if excess > 0 else FAVOURS_SHORTER, why)


def shares_in(table: Table, rows: Ints, feature_NK: Floats) -> tuple[Floats, Floats]:
    """By ranking, of ordered pairs with different features: in how many the larger is better, and how many there are."""
    votes_NC, there_NC = votes_on_columns(table.places_NK[rows])
    one, other = columns()
    signs = np.where(there_NC, votes_NC * np.sign(feature_NK[:, one] - feature_NK[:, other]), 0)
    return (signs > 0).sum(axis=1).astype(float), (signs != 0).sum(axis=1).astype(float)


def rows_by_rater(table: Table, rows: Ints) -> list[tuple[str, Ints]]:
    """Indices into `rows` of each rater who has any, by name."""
    rater = table.rater_N[rows]
    order = np.argsort(rater, kind="stable")
    ends = np.searchsorted(rater[order], np.arange(len(table.raters) + 1))
    return [
        (name, np.sort(order[ends[at] : ends[at + 1]]))
        for at, name in enumerate(table.raters)
        if ends[at] < ends[at + 1]
    ]


def shares_by_position(table: Table) -> tuple[Floats, Floats]:
    """By ranking whose order on the page is known: pairs in which the text shown first is put first, and all ordered ones."""
    rows = np.flatnonzero((table.shown_NK > 0).sum(axis=1) > 1)
    return shares_in(table, rows, -table.shown_NK[rows].astype(float))


def shares_by_length(table: Table, *, length_TK: Floats) -> tuple[Floats, Floats]:
    """By ranking: pairs in which the longer text is put first, and all ordered ones of different lengths."""
    return shares_in(table, np.arange(table.num), length_TK[table.task_N])


def shares_by_haste(table: Table, *, length_TK: Floats, fastest: float = FASTEST) -> tuple[Floats, Floats]:
    """By ranking that says how long it took: 1 where that is faster than anybody reads, and 1."""
    rows = np.flatnonzero(~np.isnan(table.seconds_N))
    read = np.where(table.places_NK[rows] > 0, length_TK[table.task_N[rows]], 0.0).sum(axis=1)
    return np.where(read > fastest * table.seconds_N[rows], 1.0, 0.0), np.ones(len(rows))
