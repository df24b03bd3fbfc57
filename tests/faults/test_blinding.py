"""Nothing that a rater is sent tells who wrote a text, what a task is for, or what others thought of it."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from scipy.stats import chisquare

from tests.faults.blinding import (
    FORBIDDEN,
    Record,
    Secrets,
    bare,
    key,
    record,
    samples_of,
    samples_of_models,
    secrets_of,
    told_keys,
)
from tests.faults.guesser import Guess, Sample, guess_from, numbers_of, words_of
from tests.faults.houses import Houses, stage

pytestmark = pytest.mark.slow

MODELS, K = 4, 3
COUNT = 2_000 if "STEADYHAND_FULL" in os.environ else 200
FAR = 4.0  # standard deviations of a coin's AUC: one healthy run in hundreds goes beyond
ID = re.compile("[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}")
TELLING = ("secret-model", "model_label", "is_gold")  # nowhere in the bytes of a page either


@dataclass(frozen=True, slots=True)
class Guessed:
    """From the words alone, and from the numbers alone."""

    words: Guess
    numbers: Guess

    @property
    def knows(self) -> bool:
        return max(self.words.far, self.numbers.far) > FAR


@dataclass(frozen=True, slots=True)
class Guesses:
    models: list[Guessed]
    kind: Guessed
    peers: Guessed
    uniform: float  # p of the chi-square test that each model stands under each letter equally often


def guessed(samples: list[Sample]) -> Guessed:
    return Guessed(guess_from(words_of(samples), samples), guess_from(numbers_of(samples), samples))


def guesses(found: Record, secrets: Secrets) -> Guesses:
    seen = {one.assignment for one in found.seen}
    kinds = {pk: kind != "work" for pk, kind in secrets.kinds.items() if pk in seen}
    counts = Counter((model, place) for pk in seen for place, model in enumerate(secrets.models[pk]))
    by_model = [[counts[model, place] for place in range(K)] for model in range(MODELS)]
    return Guesses(
        models=[guessed(samples_of_models(found, secrets, model=model)) for model in range(MODELS)],
        kind=guessed(samples_of(found, secrets, kinds)),
        peers=guessed(samples_of(found, secrets, secrets.peers)),
        uniform=min(float(chisquare(row).pvalue) for row in by_model),
    )


def looked_at(houses: Houses, home: Path, *, mutant: str = "", count: int = COUNT) -> tuple[Record, Secrets]:
    site = houses.new(home)
    asked = stage(site, raters=20, tasks=(count + 1) // 2 + 10, k=K, models=MODELS, overlap=2, special=0.3)
    found = record(site, asked, count=count, mutant=mutant)
    assert len(found.seen) == count
    return found, secrets_of(site, asked, found)


def test_a_guesser_with_all_that_raters_are_sent_is_no_better_than_a_coin(houses: Houses, tmp_path):
    found, secrets = looked_at(houses, tmp_path / "home")
    told = guesses(found, secrets)
    print(told)
    assert not any(each.knows for each in (*told.models, told.kind, told.peers)), told
    assert told.uniform > 1e-4
    assert not told_keys(found) & FORBIDDEN
    assert {"v", "topic"} <= told_keys(found), "no hint came"
    assert all(len(hint) < 126 and "campaign:" in hint for hint in found.hints)
    for one in found.seen:
        whole = bare(one)
        assert not [name for name in TELLING if name in whole]
        assert not {key(found) for found in ID.findall(whole)} & secrets.ids


def test_the_guesser_finds_a_leak_of_each_sort(houses: Houses, tmp_path):
    """The model in a field, the kind in the time that an answer takes, what a peer liked in a number that is a little off."""
    if houses.blank.server is not None:
        pytest.skip("what is sent is made by the same code on both databases")
    found, secrets = looked_at(houses, tmp_path / "home", mutant="leaky", count=400)
    told = guesses(found, secrets)
    print(told)
    assert all(each.knows for each in told.models)
    assert told.kind.knows
    assert told.peers.knows
    assert told_keys(found) & FORBIDDEN == {"temperature"}


def test_the_count_finds_texts_in_the_order_of_their_models(houses: Houses, tmp_path):
    if houses.blank.server is not None:
        pytest.skip("what is sent is made by the same code on both databases")
    found, secrets = looked_at(houses, tmp_path / "home", mutant="in_order", count=100)
    told = guesses(found, secrets)
    print(told)
    assert told.uniform < 1e-4
    assert told.models[0].knows
