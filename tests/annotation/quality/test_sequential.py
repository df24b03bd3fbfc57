"""Pausing: one who guesses is found in some twenty rankings, one who does not is left alone at the stated rate."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from annotation.quality.gold import credit
from annotation.quality.sequential import PauseTest, expected_delay, guessed_credits, resumed, update
from tests.annotation.quality.simulated import SPAMMER, ranked

NAMES = "abcdefghi"


def guesses_until_paused(k, *, seed, most=2000):
    random = np.random.default_rng(seed)
    values, chances = zip(*guessed_credits(k), strict=True)
    test = PauseTest()
    for drawn in random.choice(values, p=chances, size=most):
        test = update(test, credit=float(drawn), k=k)
        if test.is_paused:
            break
    return test


def is_ever_paused(noise, *, k, num, seed):
    random = np.random.default_rng(seed)
    test = PauseTest()
    for _ in range(num):
        truth = dict(zip(NAMES[:k], random.normal(size=k).tolist(), strict=True))
        gold = ranked(truth, noise=0.0, random=random)
        test = update(test, credit=credit(ranked(truth, noise=noise, random=random), gold).value, k=k)
        if test.is_paused:
            return True
    return False


def test_credits_of_guessing_are_those_of_all_orders():
    gold = tuple((name,) for name in "abcde")
    counts: dict[float, int] = {}
    for order in itertools.permutations("abcde"):
        share = round(credit(tuple((name,) for name in order), gold).value, 9)
        counts[share] = counts.get(share, 0) + 1
    assert {round(share, 9): chance * 120 for share, chance in guessed_credits(5)} == pytest.approx(counts)


def test_one_who_guesses_is_paused_within_twenty_rankings_of_four_on_median():
    delays = [guesses_until_paused(4, seed=seed).num for seed in range(300)]
    assert np.median(delays) <= 20
    assert np.mean(delays) == pytest.approx(expected_delay(k=4), rel=0.2)


def test_one_who_ranks_without_reading_real_texts_is_paused():
    assert is_ever_paused(SPAMMER, k=4, num=300, seed=1)


@pytest.mark.parametrize("k", [3, 4, 6])
def test_one_at_the_floor_is_paused_no_more_often_than_stated_over_500_rankings(k):
    """The worst case that the rate is stated for: a mean credit of exactly `floor`, by tilting the guesses' distribution."""
    values, chances = map(np.array, zip(*guessed_credits(k), strict=True))
    tilts = np.linspace(0, 6, 6001)
    weights = chances * np.exp(np.outer(tilts, values))
    weights /= weights.sum(axis=1, keepdims=True)
    at_floor = weights[np.argmax(weights @ values >= PauseTest().floor)]
    drawn = np.random.default_rng(k).choice(values, p=at_floor, size=(400, 500))
    paused = sum(ever_paused(row.tolist(), k) for row in drawn)
    assert paused / 400 <= 0.05 + 2.33 * np.sqrt(0.05 * 0.95 / 400)  # one in a hundred seeds would fail at exactly 5 %


def ever_paused(credits, k):
    test = PauseTest()
    return any((test := update(test, credit=value, k=k)).is_paused for value in credits)


def test_people_who_agree_in_63_to_77_percent_of_pairs_are_not_paused():
    """Noise such that the pair agreement of two such raters is 63 to 77 %: their credit against the truth is higher still."""
    random = np.random.default_rng(0)
    agreements = random.uniform(0.63, 0.77, size=40)
    noises = np.sqrt(1 / np.sin((agreements - 0.5) * np.pi) - 1)
    paused = [is_ever_paused(noise, k=4, num=500, seed=i) for i, noise in enumerate(noises)]
    assert np.mean(paused) <= 0.05


def test_one_who_stops_caring_is_found_later_on():
    test = PauseTest()
    for _ in range(40):
        test = update(test, credit=0.8, k=4)
    assert not test.is_paused and test.stake < 0.01
    for num in range(200):
        test = update(test, credit=(0.5, 1 / 3, 2 / 3)[num % 3], k=4)
        if test.is_paused:
            break
    assert test.is_paused


def test_the_state_goes_through_json_at_every_step():
    kept = written = PauseTest()
    for value in (0.5, 1.0, 1 / 3, 2 / 3) * 8:
        kept = update(kept, credit=value, k=4)
        written = update(PauseTest.from_json(json.loads(json.dumps(written.to_json()))), credit=value, k=4)
    assert written == kept
    assert len(json.dumps(kept.to_json())) < 200


def test_the_reason_is_a_sentence_with_its_figures():
    assert PauseTest().sentence == "No ranking has been compared yet."
    test = guesses_until_paused(4, seed=5)
    assert test.is_paused and test.evidence >= 20
    assert test.sentence.startswith("Paused: ") and f"over {test.num} rankings" in test.sentence
    assert update(test, credit=1.0, k=4).is_paused
    assert resumed(test) == PauseTest()


def test_a_credit_outside_its_range_is_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        update(PauseTest(), credit=1.2, k=4)
