"""Where people prefer the model that a run began from the run ends; by luck it does so no more often than it says."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.training import tiny, voters
from tests.training.test_votes import SHORT, a_run, impatient, weights_of  # noqa: F401  # a fixture
from tests.training.voters import capitals, voting
from training import contract, questions
from training.mechanics.groups.first import FALSE_ALARMS, evidence, win
from training.questions import Answer, AskedText, Question
from training.recipes import RECIPES

ASKED = {"votes": {"deadline_minutes": 10, "against_first": True}}
TEXTS = [AskedText(name, name, [1], ended=True, is_first=name == "f") for name in "abf"]


def rloo(folder, **changes: Any):
    recipe = RECIPES["rloo"].presets["tiny"] | SHORT | ASKED | {"episodes": 64} | changes
    return a_run(folder, recipe, reward=False)


def prefer(monkeypatch: pytest.MonkeyPatch, *, first: bool) -> None:
    """People put the first model's text above, or below, all others, which they order by their capitals."""
    plain = voters.tiers_of

    def tiers_of(question: Question, worth: Any) -> list[list[str]]:
        own = plain(Question(question.id, question.messages, question.own), worth)
        other = [[one.id for one in question.completions if one.is_first]]
        return other + own if first else own + other

    monkeypatch.setattr(voters, "tiers_of", tiers_of)


def test_a_run_whose_texts_people_like_less_than_the_first_models_ends_and_says_how_sure_that_is(tmp_path, monkeypatch):
    prefer(monkeypatch, first=True)
    run_dir = rloo(tmp_path)
    with voting(run_dir, capitals):
        assert tiny.finish(run_dir) == contract.EXIT_FAILED
    told = tiny.failure(run_dir)
    assert told["code"] == "people_prefer_first"
    assert "on 10 prompts since rollout 1 its text was put below the run's own in 0% of comparisons" in told["sentence"]
    assert list(tiny.curve(run_dir, "wins_over_first").values()) == [0.0] * 4
    assert not (run_dir / contract.MANIFEST).exists()
    assert (
        tiny.finish(run_dir) == contract.EXIT_FAILED and tiny.failure(run_dir) == told
    )  # the answers are what they were


def test_nothing_is_learned_from_the_first_models_texts(tmp_path, monkeypatch):
    whole = rloo(tmp_path / "plain", votes={"deadline_minutes": 10}, episodes=32)
    with voting(whole, capitals):
        assert tiny.finish(whole) == contract.EXIT_DONE
    prefer(monkeypatch, first=False)
    asked = rloo(tmp_path / "asked", episodes=32)
    with voting(asked, capitals):
        assert tiny.finish(asked) == contract.EXIT_DONE
    sheet = questions.read_sheet(asked, 3)
    assert (
        sheet is not None
        and [[one.is_first for one in each.completions] for each in sheet.questions] == [[False] * 4 + [True]] * 2
    )
    assert weights_of(asked) == weights_of(whole)
    assert set(tiny.curve(asked, "wins_over_first").values()) == {1.0}


def test_an_adapters_first_model_is_the_one_without_it(tmp_path, monkeypatch):
    prefer(monkeypatch, first=False)
    run_dir = rloo(tmp_path, lora={"r": 4, "alpha": 8}, episodes=16, learning_rate=0.05)
    with voting(run_dir, capitals):
        assert tiny.finish(run_dir) == contract.EXIT_DONE
    other = rloo(tmp_path / "other", lora={"r": 4, "alpha": 8}, episodes=16, learning_rate=1e-6)
    with voting(other, capitals):
        assert tiny.finish(other) == contract.EXIT_DONE
    for number in (0, 1):  # whatever the policies learned in between
        one, two = (questions.read_sheet(folder, number) for folder in (run_dir, other))
        assert one is not None and two is not None
        firsts = [
            [text.ids for each in sheet.questions for text in each.completions if text.is_first] for sheet in (one, two)
        ]
        assert firsts[0] == firsts[1] and len(firsts[0]) == 2


# The bet


def test_ties_are_half_won_and_texts_that_were_not_placed_say_nothing():
    def x(*rankings: list[list[str]]) -> float | None:
        return win(Question("q", [], TEXTS), Answer(list(rankings), is_complete=True))

    assert x([["a"], ["f"], ["b"]]) == 0.5 and x([["a", "f"]]) == 0.5 and x([["f"], ["a", "b"]]) == 0.0
    assert x([["a", "b"], ["f"]], [["a"], ["f"]]) == 1.0
    assert x([["a"], ["b"]]) is None and x() is None


def trial(lot: random.Random, chances: list[float], *, each: int = 4) -> int | None:
    """After which rollout a run is ended, whose texts win by these chances in its rollouts' `each` questions."""
    seen: list[list[float]] = []
    for number, chance in enumerate(chances, start=1):
        seen.append([float(lot.random() < chance) for _ in range(each)])
        if evidence(seen)[0] >= 1 / FALSE_ALARMS:
            return number
    return None


@pytest.mark.slow(seconds=2)
def test_of_runs_that_people_like_no_less_few_are_ended_however_often_one_looks():
    lot = random.Random(0)
    ended = sum(trial(lot, [0.5] * 30) is not None for _ in range(300))
    assert ended <= 300 * FALSE_ALARMS


def test_a_run_that_is_clearly_worse_or_becomes_so_is_ended_soon():
    lot = random.Random(1)
    worse = [trial(lot, [0.2] * 30) for _ in range(60)]
    assert all(worse) and sorted(one or 99 for one in worse)[30] <= 8
    late = [trial(lot, [0.7] * 10 + [0.1] * 20) for _ in range(60)]
    assert all(one is not None and one > 10 for one in late) and sorted(one or 99 for one in late)[30] <= 10 + 8


def test_without_votes_there_is_no_evidence():
    assert evidence([]) == (1.0, 0) and evidence([[], []])[0] == pytest.approx(1.0)
