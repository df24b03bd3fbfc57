"""Measures on tables of very many rankings are those on single judgements."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from annotation.quality.bias import haste, length_bias, position_bias
from annotation.quality.consensus import consensus
from annotation.quality.judgement import Judgement
from annotation.quality.many import haste_of, length_bias_of, position_bias_of, reliability_of
from annotation.quality.table import TableBuilder, table_of
from tests.annotation.quality.simulated import a_crowd


@pytest.fixture(scope="module")
def crowd():
    """Ties, texts left out, rankings without an order as shown or seconds, texts of different lengths."""
    random = np.random.default_rng(4)
    made = a_crowd([0.3, 0.5, 0.8, 1.5, 3.0], num_tasks=120, k=5, overlap=4, seed=2, tie_below=0.2)
    lengths = {text: int(random.integers(40, 900)) for names in made.truth.values() for text in names}
    rows = []
    for number, one in enumerate(made.judgements):
        tiers = one.tiers[:-1] if number % 7 == 0 and len(one.tiers) > 2 else one.tiers
        shown = () if number % 11 == 0 else one.shown
        seconds = None if number % 13 == 0 else float(random.uniform(1, 60))
        rows.append(Judgement(one.task, one.rater, tiers, shown, seconds))
    random.shuffle(rows)
    return rows, lengths


def lengths_in(table, lengths):
    found = np.zeros((len(table.tasks), 9))
    for at, columns in enumerate(table.texts):
        for name, column in columns.items():
            found[at, column] = lengths[name]
    return found


def same(found, expected):
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        for name, value in dataclasses.asdict(other).items():
            told = getattr(one, name)
            assert told == (pytest.approx(value, abs=1e-9) if isinstance(value, float) else value), name


def test_position_bias_is_the_same(crowd):
    rows, _ = crowd
    same(position_bias_of(table_of(rows)), position_bias(rows))


def test_length_bias_is_the_same(crowd):
    rows, lengths = crowd
    table = table_of(rows)
    same(length_bias_of(table, length_TK=lengths_in(table, lengths)), length_bias(rows, lengths=lengths))


def test_haste_is_the_same(crowd):
    rows, lengths = crowd
    table = table_of(rows)
    same(haste_of(table, length_TK=lengths_in(table, lengths)), haste(rows, lengths=lengths))


def test_reliability_is_the_same(crowd):
    rows, _ = crowd
    same(list(reliability_of(table_of(rows)).values()), list(consensus(rows).raters.values()))


def test_a_tenth_text_of_a_task_is_refused():
    with pytest.raises(ValueError, match="9 texts at most"):
        TableBuilder().add("t", "r", [[str(n) for n in range(10)]])
