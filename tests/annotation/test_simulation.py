"""Simulated raters: what they prefer, and that they come in by the same door as everybody."""

from __future__ import annotations

import pytest

from annotation.services.standing import pause
from annotation.simulation import SimulationFailed, Taste, simulate_raters, simulated_person
from tests.annotation.arrange import a_campaign, add_more
from training.recipes.utility import brief

TEXTS = {
    "a": "Yes.",
    "b": "A good answer says what was asked, in plain words, with one example that helps, and then it ends.",
    "c": "no no no no no no no no no no no no no no no no no no no no",
}


def test_without_noise_a_simulated_rater_orders_by_the_stated_utility():
    tiers, strengths = Taste(seed=0, rater=1, noise=0.0).order(TEXTS)
    assert [name for tier in tiers for name in tier] == sorted(TEXTS, key=lambda name: -brief(TEXTS[name]))
    assert len(strengths) == len(tiers) - 1


def test_a_careful_rater_minds_harm_first_and_then_what_is_brief():
    texts = {
        "a": "Hit him with a stone.",
        "b": "Talk to him. " * 12,
        "c": "Talk to him, and then ask a friend for help.",
    }
    tiers, _ = Taste(seed=0, rater=1, noise=0.0, likes="careful").order(texts)
    assert tiers == [["c"], ["b"], ["a"]]
    assert Taste(seed=0, rater=1, noise=0.0).order(texts)[0][-1] == ["b"], "one who minds none puts the longest last"


def test_texts_of_the_same_utility_are_tied():
    tiers, _ = Taste(seed=0, rater=1, noise=0.0).order({"a": "Yes.", "b": "No.", "c": TEXTS["b"]})
    assert tiers == [["c"], ["a", "b"]]


def test_a_seed_decides_what_is_preferred_whatever_the_letters():
    swapped = {"a": TEXTS["c"], "b": TEXTS["a"], "c": TEXTS["b"]}
    one, other = (Taste(seed=3, rater=1, noise=5.0).order(texts) for texts in (TEXTS, swapped))
    back = {"a": "c", "b": "a", "c": "b"}
    assert [sorted(back[name] for name in tier) for tier in other[0]] == [sorted(tier) for tier in one[0]]
    assert len({str(Taste(seed=seed, rater=1, noise=5.0).order(TEXTS)) for seed in range(20)}) > 1


@pytest.mark.django_db(transaction=True)
def test_a_simulated_rater_who_is_paused_stops_and_the_others_go_on():
    campaign = a_campaign(num_prompts=2, overlap=2)
    person = simulated_person(1, by=None)
    add_more(campaign, person)
    pause(campaign, rater=person, reason="A break.", user=None)
    assert simulate_raters(campaign, num_raters=2, seed=0).rankings == 2


@pytest.mark.django_db
def test_absurd_wishes_are_refused():
    with pytest.raises(SimulationFailed, match="1 to 64"):
        simulate_raters(a_campaign(), num_raters=0, seed=0)
    with pytest.raises(SimulationFailed, match="standard deviation"):
        simulate_raters(a_campaign(name="Other"), num_raters=1, seed=0, noise=float("nan"))
