"""Every figure of agreement is that of an independent count, to 1e-9, with its interval."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from annotation.quality.agreement import Agreements
from annotation.quality.chance import Level, krippendorff_alpha
from annotation.quality.judgement import Judgement
from annotation.quality.table import table_of
from tests.annotation.quality import brute
from tests.annotation.quality.simulated import a_crowd

pytestmark = pytest.mark.slow(seconds=1)

RESAMPLES = 40


@pytest.fixture(scope="module")
def crowd():
    """Five raters of all sorts on forty tasks of five texts; ties, texts left out, tasks that one or nobody else ranked."""
    random = np.random.default_rng(7)
    made = a_crowd([0.2, 0.5, 0.9, 1.6, 4.0], num_tasks=40, k=5, overlap=4, seed=3, tie_below=0.35)
    rows = []
    for number, one in enumerate(made.judgements):
        tiers = one.tiers
        if number % 6 == 0 and len(tiers) > 2:
            tiers = tiers[:-1]
        if number % 17 == 0:
            tiers = (tuple(name for tier in tiers for name in tier),)
        rows.append(Judgement(one.task, one.rater, tiers))
    rows = [row for row in rows if not (row.task in ("t00003", "t00004") and row.rater != "r001")]
    random.shuffle(rows)
    return rows


@pytest.fixture(scope="module")
def told(crowd):
    return Agreements(table_of(crowd), num_resamples=RESAMPLES)


@pytest.fixture(scope="module")
def tasks(crowd):
    found = brute.by_task([brute.row_of(row.task, row.rater, row.tiers) for row in crowd])
    return [rows for rows in found.values() if len(rows) > 1]


def of_rater(tasks, rater):
    return [rows for rows in tasks if any(row[1] == rater for row in rows)]


def of_pair(tasks, pair):
    return [rows for rows in tasks if set(pair) <= {row[1] for row in rows}]


def check(measure, mine, figure):
    value = figure(mine)
    if math.isnan(value):
        assert measure.value is None
        assert measure.why
        return
    assert measure.value == pytest.approx(value, abs=1e-9)
    if len(mine) > 1:
        low, high = brute.interval(mine, figure, num_resamples=RESAMPLES)
        assert (measure.low, measure.high) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))
    else:
        assert measure.low is None
        assert measure.why == "One task alone gives no interval."


OVERALL = {
    "pairwise": brute.pairwise,
    "alpha": lambda tasks: brute.alpha(brute.units_of_all(tasks)),
    "tau_b": brute.tau_b,
    "w": brute.w,
    "majority": brute.with_majority,
}


@pytest.mark.parametrize("name", OVERALL)
def test_overall(told, tasks, name):
    found = told.overall()
    assert found.num_tasks == len(tasks)
    check(found.figures[name], tasks, OVERALL[name])


@pytest.mark.parametrize("rater", ["r000", "r001", "r004"])
def test_of_one_rater_with_the_others(told, tasks, rater):
    found, mine = told.by_rater()[rater], of_rater(tasks, rater)
    figures = {
        "pairwise": lambda tasks: brute.pairwise(tasks, {rater}),
        "alpha": lambda tasks: brute.alpha(brute.units_of_two(tasks, {rater})),
        "tau_b": lambda tasks: brute.tau_b(tasks, {rater}),
        "w": brute.w,
        "majority": lambda tasks: brute.with_majority(tasks, {rater}),
    }
    assert found.num_tasks == len(mine)
    for name, figure in figures.items():
        check(found.figures[name], mine, figure)


@pytest.mark.parametrize("pair", [("r000", "r001"), ("r002", "r004"), ("r003", "r004")])
def test_of_two_raters(told, tasks, pair):
    found, mine = told.by_pair()[pair], of_pair(tasks, pair)
    figures = {
        "pairwise": lambda tasks: brute.pairwise(tasks, set(pair)),
        "alpha": lambda tasks: brute.alpha(brute.units_of_two(tasks, set(pair))),
        "tau_b": lambda tasks: brute.tau_b(tasks, set(pair)),
        "w": lambda tasks: brute.w([[row for row in rows if row[1] in pair] for rows in tasks]),
    }
    assert found.figures.keys() == figures.keys()
    for name, figure in figures.items():
        check(found.figures[name], mine, figure)


def test_of_groups_of_pairs(told, tasks):
    """Pairs of rankings with the same label; here the first twenty tasks and the others."""
    table = told.table
    first = np.array([table.tasks[task] < "t00020" for task in table.task_N[told.pairs.i_P]])
    for found, mine in zip(
        told.by_label(np.where(first, 0, 1), num_groups=2),
        ([rows for rows in tasks if rows[0][0] < "t00020"], [rows for rows in tasks if rows[0][0] >= "t00020"]),
        strict=True,
    ):
        check(found.figures["pairwise"], mine, brute.pairwise)
        check(found.figures["tau_b"], mine, brute.tau_b)


def test_intervals_are_those_of_scipys_bootstrap_but_for_chance(crowd, tasks):
    found = Agreements(table_of(crowd), num_resamples=4000).overall().figures["pairwise"]
    counts = [
        [pair for one, two in brute.couples(rows) for pair in brute.pairs_of(one, two) if all(pair)] for rows in tasks
    ]
    alike = np.array([sum(a == b for a, b in said) for said in counts])
    both = np.array([len(said) for said in counts])
    theirs = scipy.stats.bootstrap(
        (alike, both), lambda a, n, axis: a.sum(axis=axis) / n.sum(axis=axis), paired=True, vectorized=True,
        method="percentile", n_resamples=4000, rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.004)


def test_the_figures_do_not_hang_on_the_order_of_rows(crowd):
    one, other = (Agreements(table_of(rows), num_resamples=20) for rows in (crowd, crowd[::-1]))
    assert one.overall() == other.overall()
    assert one.by_rater() == other.by_rater()


def test_nothing_in_common_is_told_as_undefined():
    rows = [Judgement("t", "ada", (("a",), ("b",))), Judgement("u", "bea", (("a",), ("b",)))]
    found = Agreements(table_of(rows)).overall()
    assert [measure.value for measure in found.figures.values()] == [None] * 5
    assert all(measure.why for measure in found.figures.values())


def test_krippendorffs_own_example_of_ordinal_data():
    """Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section D: four observers, twelve units, .815 ordinal."""
    observers = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    units = [[row[at] for row in observers if row[at] is not None] for at in range(12)]
    assert brute.alpha(units) == pytest.approx(0.815, abs=5e-4)
    assert krippendorff_alpha(units, level=Level.ORDINAL).value == pytest.approx(brute.alpha(units), abs=1e-12)
