"""How far a reward model is to be trusted: planted faults are found and told in plain words, a good model raises no alarm."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from transformers import AutoModelForSequenceClassification

from tests.training import tiny
from tests.training.tiny_reward import write_reward_model
from training.mechanics.models import RewardScale
from training.mechanics.people import rankings
from training.mechanics.reward import trust as reward_trust
from training.mechanics.reward.scores import Scorer, probes
from training.mechanics.reward.trust import (
    Verdict,
    breakdown,
    brier,
    calibration,
    compared,
    fitted_temperature,
)
from training.mechanics.shared_prefix import Reader
from training.mechanics.trainers.head import add_exact_score
from training.mechanics.trainers.judgement import calibration_error, ceiling_fraction


@pytest.fixture
def context(tmp_path):
    return tiny.open_run(tiny.make_run(tmp_path / "run", "reward", {}, {}))


def warned(context) -> dict[str, str]:
    return {told["code"]: told["sentence"] for told in tiny.events(context.dir, "warning")}


def judge(n: int, *, boast: float = 1.0, seed: int = 0) -> list[float]:
    """Margins of one who knows how sure to be, multiplied by `boast`."""
    draw = np.random.default_rng(seed)
    sure = draw.normal(size=n) * 1.5
    right = draw.random(n) < 1 / (1 + np.exp(-np.abs(sure)))
    return (np.abs(sure) * np.where(right, 1, -1) * boast).tolist()


def verdicts(margins, **more) -> list[Verdict]:
    return [Verdict(f"g{i}", "ada", 1.0, 10, 10, margin, **more) for i, margin in enumerate(margins)]


# Calibration


def test_the_brier_score_is_a_quarter_for_one_who_never_knows_and_one_for_one_who_is_surely_wrong():
    assert brier([0.0, 0.0]) == pytest.approx(0.25)
    assert brier([50.0]) == pytest.approx(0) and brier([-50.0]) == pytest.approx(1)
    assert brier([math.log(3)]) == pytest.approx(1 / 16)


@pytest.mark.parametrize("boast", [0.3, 1.0, 3.0])
def test_the_temperature_is_how_much_a_judge_boasts_and_takes_it_back(boast):
    margins = judge(4000, boast=boast)
    assert fitted_temperature(margins) == pytest.approx(boast, rel=0.08)
    found = calibration(verdicts(margins))
    assert found["ece_calibrated"] <= 0.03
    if boast != 1.0:
        assert calibration_error(margins) > 2 * found["ece_calibrated"]


def test_a_judge_who_is_always_right_has_the_coldest_temperature_and_one_at_chance_the_hottest():
    assert fitted_temperature([1.0, 2.0]) == pytest.approx(reward_trust.COLDEST, rel=0.01)
    assert fitted_temperature([1.0, -2.0]) == pytest.approx(reward_trust.HOTTEST, rel=0.01)


def test_no_half_judges_its_own_temperature():
    margins = judge(2000, boast=2.0)
    plain = calibration(verdicts(margins))
    shuffled = calibration([replace(one, group="the same") for one in verdicts(margins)])
    assert plain["temperature"] == pytest.approx(2, rel=0.15)
    assert shuffled == {}  # all of one prompt: there is no other half


# Where accuracy comes from


def test_accuracy_is_told_by_strength_length_and_rater(context):
    def some(n, right, **facts):
        base = Verdict("g", "ada", 1.0, 10, 10)
        return [replace(base, margin=1.0 if i < right else -1.0, **facts) for i in range(n)]

    told = [
        *some(40, 24, strength=1.0, better_length=20), *some(40, 36, strength=3.0, rater="ben", worse_length=20),
        *some(20, 20, strength=7.0), *some(5, 0, rater="cy", strength=2.0),
    ]  # fmt: skip
    found = breakdown(told, context=context)
    assert (found["accuracy_strength_1"], found["n_strength_1"]) == (0.6, 40)
    assert (found["accuracy_strength_3"], found["accuracy_strength_4"]) == (0.9, 1.0)
    assert "accuracy_strength_2" not in found  # five comparisons say nothing
    assert (found["accuracy_longer"], found["accuracy_shorter"], found["accuracy_as_long"]) == (0.6, 0.9, 0.8)
    assert (found["num_raters"], found["accuracy_rater_high"]) == (2, 0.9)
    assert found["accuracy_rater_low"] == pytest.approx(44 / 60)
    assert any("ben: 90% of 40" in entry["text"] for entry in tiny.events(context.dir, "log"))


def test_held_out_comparisons_know_their_lengths_and_strengths(context):
    rows = [row | {"margin": 2.0} for row in tiny.preference_rows(2)]
    groups = rankings.tokenised(
        rankings.of_comparisons(rows), tokenizer=tiny.tokenizer(), max_length=96, context=context, split="held-out"
    )
    told = compared(groups, list(range(6)))
    assert [one.margin for one in told] == [0, 1, 2, 3, 4, 5]
    assert {one.strength for one in told} == {2.0}
    assert all(one.better_length == one.worse_length > 8 for one in told)


def test_the_fraction_of_the_ceiling_has_an_interval_over_prompts():
    def row(group, rater, chosen, rejected):
        texts = {"chosen": [tiny.assistant(chosen)], "rejected": [tiny.assistant(rejected)]}
        return {"group_id": group, "rater": rater, **texts}

    draw = np.random.default_rng(1)
    rows = []
    for i in range(200):
        rows.append(row(f"g{i}", "ada", "x", "y"))
        rows.append(row(f"g{i}", "ben", *(("x", "y") if draw.random() < 0.75 else ("y", "x"))))
    groups = [f"g{i}" for i in range(100)]
    margins = [1.0 if i % 5 else -1.0 for i in range(100)]  # right in 80 %

    found = ceiling_fraction(margins, groups, rows=rows)
    agreed = sum(one["chosen"] == other["chosen"] for one, other in zip(rows[::2], rows[1::2], strict=True)) / 200
    assert found["ceiling_fraction"] == pytest.approx(0.8 / ((1 + math.sqrt(2 * agreed - 1)) / 2))
    assert found["ceiling_fraction_low"] < found["ceiling_fraction"] < found["ceiling_fraction_high"]
    assert 0.1 < found["ceiling_fraction_high"] - found["ceiling_fraction_low"] < 0.3
    assert ceiling_fraction(margins, groups, rows=rows[::2]) == {}  # one rater alone sets no ceiling


GOOD = {"eval_accuracy": 0.8, "eval_n": 400, "length_accuracy": 0.55, "accuracy_longer": 0.82, "accuracy_shorter": 0.78}


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({}, None),
        ({"length_accuracy": 0.78}, "no_better_than_length"),
        ({"accuracy_longer": 0.95, "accuracy_shorter": 0.5}, "length_bias"),
        ({"ece_calibrated": 0.2}, "not_calibrated"),
        ({"ece_calibrated": 0.08}, None),  # within what chance leaves among 400
        ({"ceiling_fraction_low": 1.05}, "above_ceiling"),
    ],
)
def test_what_gives_reason_to_doubt_is_said_in_plain_words_and_nothing_else(context, fault, code):
    reward_trust.warn(GOOD | fault, context=context)
    assert set(warned(context)) == ({code} if code else set())


# Probes, of a model that scores the share of capital letters


def probed(folder, context, *, prompt: str, said: str, blind: bool = False):
    given = write_reward_model(folder / "reward", blind=blind)
    model = AutoModelForSequenceClassification.from_pretrained(given.path).eval()
    reader = Reader.of(model, pad_token_id=0)
    add_exact_score(model)
    rows = [
        row | {"prompt": [tiny.user(f"{prompt} {i}")], "chosen": [tiny.assistant(said)]}
        for i, row in enumerate(tiny.preference_rows(6, texts=2))
    ]
    groups = rankings.of_comparisons(rows)
    groups = rankings.tokenised(groups, tokenizer=tiny.tokenizer(), max_length=250, context=context, split="held-out")
    scorer = Scorer(model, Accelerator(cpu=True), reader, context, 4)
    return probes(
        groups, scorer=scorer, scale=RewardScale(0.0, 0.1), tokenizer=tiny.tokenizer(), max_length=250
    )  # fmt: skip


def test_a_model_that_likes_a_copied_prompt_is_found_out(tmp_path, context):
    found = probed(tmp_path, context, prompt="SHOUTING ALL THE TIME", said="this is all very quiet talk")
    assert found["probe_copy"] > found["probe_best"]
    assert "copies the prompt" in warned(context)["probe_copy"]


def test_a_model_that_likes_repetition_is_found_out(tmp_path, context):
    probed(tmp_path, context, prompt="quietly", said="YES IT IS SO and then a lot of quiet words follow")
    assert set(warned(context)) == {"probe_repeat"}


def test_a_model_that_likes_nothing_fails_every_probe_but_the_flip(tmp_path, context):
    found = probed(tmp_path, context, prompt="quietly", said="yes", blind=True)
    assert set(warned(context)) == {"probe_empty", "probe_repeat", "probe_copy"}
    assert found["probe_flip"] == 0


def test_the_order_of_texts_in_a_batch_changes_no_score(tmp_path, context):
    torch.set_num_threads(1)
    found = probed(tmp_path, context, prompt="Quietly", said="THIS Is fine by me")
    assert found["probe_flip"] < 1e-4
    assert "probe_flip" not in warned(context)
