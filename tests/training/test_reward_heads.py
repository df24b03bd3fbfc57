"""Several heads: an ensemble that knows what it doesn't know, one score wherever it is read, and groups of raters."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from benchmarks import simulated_rankings as simulated
from tests.training import tiny
from training import contract
from training.contract import Failure
from training.mechanics import models, scoring
from training.mechanics.online.judge import Judge, Said
from training.mechanics.people import rankings
from training.mechanics.people.groups import clusters, grouped
from training.mechanics.reward import heads as reward_heads
from training.mechanics.reward.score_rule import PLAIN, ScoreRule
from training.recipes.reward import RewardRecipe

pytestmark = pytest.mark.slow(seconds=1)

RECIPE = RewardRecipe.presets["tiny"] | {"epochs": 3, "eval_every": 60, "max_length": 96, "batch_size": 4}


def finished(folder, recipe, train, test, *, ranked=None):
    inputs = {
        "model": tiny.write_model(folder / "model"),
        "preferences": tiny.write_dataset(folder / "data", train, test, rankings=ranked),
    }
    run_dir = tiny.make_run(folder / "run", "reward", RECIPE | recipe, inputs)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    return run_dir, contract.read_manifest(run_dir)["metrics"]


# The rule


def test_the_rule_takes_caution_off_the_mean_and_length_off_both():
    rule = ScoreRule(heads=3, caution=2.0, length_slope=0.5)
    scores = torch.tensor([[1.0, 1.0, 1.0], [0.0, 3.0, 0.0]])
    assert rule.combined(scores).tolist() == pytest.approx([1.0, 1 - 2 * 2**0.5])
    assert rule.corrected(1.0, answer_tokens=4) == -1.0
    assert ScoreRule.from_plain(json.loads(json.dumps(rule.as_plain()))) == rule
    assert PLAIN.as_plain() == {}


def test_where_a_heads_zero_lies_and_how_large_its_steps_are_is_no_doubt_about_a_text():
    opinion = torch.tensor([-1.0, 0.0, 1.0, 5.0])
    scores = torch.stack([opinion, 3 * opinion + 7, 2 * opinion - 4], dim=1)
    told = {"head_means": (0.0, 7.0, -4.0), "head_stds": (1.0, 3.0, 2.0)}
    rule = ScoreRule(heads=3, caution=2.0, **told)
    assert rule.combined(scores).tolist() == pytest.approx((2 * opinion + 1).tolist())
    assert ScoreRule.from_plain(json.loads(json.dumps(rule.as_plain()))) == rule


NO_RULES = [
    {"heads": 0}, {"heads": 10**9}, {"caution": -1}, {"length_slope": float("nan")},
    {"heads": 2, "head_means": [0, 0, 0], "head_stds": [1, 1]}, {"heads": 2, "head_stds": [1, 1]},
    {"heads": 2, "head_means": [0, 0], "head_stds": [1, 0]},
]  # fmt: skip


@pytest.mark.parametrize("plain", NO_RULES)
def test_a_rule_that_is_none_is_refused(plain):
    with pytest.raises(ValueError, match="rule"):
        ScoreRule.from_plain(plain)


def test_heads_count_prompts_differently_and_all_alike_on_average():
    drawn = np.array([reward_heads.draws(f"g{i}", heads=3, seed=0) for i in range(2000)])
    assert drawn.mean(axis=0) == pytest.approx(1, abs=0.07) and drawn.var(axis=0) == pytest.approx(1, abs=0.12)
    assert np.abs(np.corrcoef(drawn.T) - np.eye(3)).max() < 0.07
    assert reward_heads.draws("g7", heads=3, seed=0) == drawn[7].tolist()


# An ensemble


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory):
    train, test = simulated.tasks(60, texts=3, seed=0), simulated.tasks(100, texts=3, seed=1, first=60)
    rows = simulated.flipped(train, rate=0.2, seed=1), simulated.flipped(test, rate=0.2, seed=2)
    folder = tmp_path_factory.mktemp("ensemble")
    return *finished(folder, {"heads": 3, "caution": 1.0, "debias_length": True}, *rows), rows


def talks_of(rows):
    return [
        [*row["prompt"], *row[side]] for row in rows for side in ("chosen", "rejected")
    ]  # fmt: skip


def test_three_heads_differ_and_their_figures_are_told(ensemble):
    run_dir, metrics, _ = ensemble
    weights = AutoModelForSequenceClassification.from_pretrained(run_dir / contract.OUTPUT).score.weight
    assert weights.shape[0] == 3
    assert min(torch.dist(weights[i], weights[j]).item() for i, j in ((0, 1), (0, 2), (1, 2))) > 0.05
    assert metrics["head_disagreement"] > 0.01
    assert -1 <= metrics["disagreement_error"] <= 1
    assert metrics["accuracy_cautious"] == metrics["eval_accuracy"]
    assert metrics["accuracy_mean"] >= 0.95 * 0.8


def test_a_loaded_ensemble_scores_as_it_did_at_the_end_of_training_for_ppo_too(ensemble):
    run_dir, metrics, (train, test) = ensemble
    given = tiny.given(run_dir / contract.OUTPUT, "model")
    stored = json.loads((run_dir / contract.OUTPUT / "reward.json").read_text())
    assert (stored["heads"], stored["caution"]) == (3, 1.0) and stored["length_slope"]
    assert len(stored["head_means"]) == len(stored["head_stds"]) == 3

    model, words = models.load_reward(given, dtype=torch.float32), models.load_tokenizer(given)
    scale = models.read_reward_scale(given)
    texts = list({str(talk): talk for talk in talks_of(train)}.values())
    scores = scoring.rewards(model.eval(), words, texts, scale=scale, batch_size=32)
    assert np.mean(scores) == pytest.approx(0, abs=1e-4) and np.std(scores) == pytest.approx(1, abs=1e-4)

    held_out = talks_of(test)
    scores = scoring.rewards(model, words, held_out, scale=scale, batch_size=32)
    right = [better > worse for better, worse in zip(scores[::2], scores[1::2], strict=True)]
    assert np.mean(right) == pytest.approx(metrics["eval_accuracy"], abs=0.005)

    judge = Judge.load(given, bf16=False)
    context = tiny.open_run(run_dir)
    said = [Said(talk[:-1], talk[-1]["content"], [0, 1]) for talk in held_out[:6]]
    raw = judge.score(context, said, batch_size=4).final_B
    assert [scale.normalise(one) for one in raw.tolist()] == pytest.approx(scores[:6], abs=1e-4)


def test_files_that_do_not_belong_together_are_refused(ensemble, tmp_path):
    folder = shutil.copytree(ensemble[0] / contract.OUTPUT, tmp_path / "model")
    given = tiny.given(folder, "model")
    with pytest.raises(Failure) as other:
        models.load_reward(given, dtype=torch.float32, heads=1)
    assert other.value.code == "other_heads"
    told = json.loads((folder / "reward.json").read_text())
    for wrong in ({"heads": 2}, {"head_means": [0, 0], "head_stds": [1, 1]}):
        (folder / "reward.json").write_text(json.dumps(told | wrong))
        with pytest.raises(Failure) as failure:
            models.load_reward(given, dtype=torch.float32)
        assert failure.value.code == "bad_heads"
    (folder / "reward.json").write_text(json.dumps(told | {"heads": "many"}))
    with pytest.raises(Failure) as failure:
        models.load_reward(given, dtype=torch.float32)
    assert failure.value.code == "no_reward_scale"


def test_an_imported_ensemble_is_still_one(ensemble, tmp_path):
    inputs = {"upload": tiny.given(ensemble[0] / contract.OUTPUT, "upload")}
    run_dir = tiny.make_run(tmp_path / "run", "import_model", {"role_of_model": "reward", "dtype": "float32"}, inputs)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    before, after = (json.loads((d / contract.OUTPUT / "reward.json").read_text()) for d in (ensemble[0], run_dir))
    assert after == before


def test_an_adapter_keeps_its_heads_and_its_rule(tmp_path):
    train, test = simulated.tasks(12, texts=3, seed=0), simulated.tasks(12, texts=3, seed=1, first=12)
    rows = simulated.flipped(train, rate=0, seed=1), simulated.flipped(test, rate=0, seed=2)
    run_dir, metrics = finished(tmp_path, {"heads": 2, "lora": {"r": 4}, "epochs": 1}, *rows)
    given = tiny.given(run_dir / contract.OUTPUT, "model", base=str(tmp_path / "model"))
    model = models.load_reward(given, dtype=torch.float32).eval()
    assert model.score.weight.shape[0] == model.score_rule.heads == 2
    scores = scoring.rewards(
        model, tiny.tokenizer(), talks_of(rows[0]), scale=models.RewardScale(0.0, 1.0), batch_size=8
    )
    assert np.mean(list(dict(zip(map(str, talks_of(rows[0])), scores, strict=True)).values())) == pytest.approx(
        metrics["reward_mean"], abs=1e-4
    )


def test_one_kind_of_heads_at_a_time():
    with pytest.raises(ValueError, match="not both"):
        RewardRecipe(heads=3, groups="estimated")


# Groups of raters


RATERS = [f"r{i}" for i in range(5)] + [f"o{i}" for i in range(5)]  # "o" prefer the opposite, in matters of taste
WHERE = {"r": "town", "o": "country"}


@pytest.fixture(scope="module")
def of_two_tastes():
    kinds = {"texts": 3, "fill": False, "taste": True}
    train, test = simulated.tasks(160, seed=0, **kinds), simulated.tasks(60, seed=5, first=160, **kinds)
    ranked, rows = simulated.ranked(train, raters=RATERS, seed=0, a_task=5, sharpness=2)
    return ranked, rows, simulated.ranked(test, raters=RATERS, seed=9, a_task=5, sharpness=2)[1]


@pytest.mark.slow
def test_a_head_of_each_group_beats_one_head_for_all_and_shows_what_they_disagree_on(tmp_path, of_two_tastes):
    ranked, rows, held_out = of_two_tastes
    alone = finished(tmp_path / "one", {"epochs": 5}, rows, held_out, ranked=ranked)[1]
    run_dir, metrics = finished(tmp_path / "two", {"epochs": 5, "groups": "estimated"}, rows, held_out, ranked=ranked)
    for group in ("group_1", "group_2"):
        assert metrics[f"n_{group}"] > 300
        assert metrics[f"accuracy_{group}"] >= alone["eval_accuracy"] + 0.15
        assert metrics[f"accuracy_{group}"] >= metrics[f"accuracy_{group}_others"] + 0.3
    logged = [entry["text"] for entry in tiny.events(run_dir, "log")]
    assert any("5 raters: o0, o1, o2, o3, o4" in text for text in logged)
    assert any("5 raters: r0, r1, r2, r3, r4" in text for text in logged)

    shown = tiny.events(run_dir, "sample")
    assert len(shown) == reward_heads.SHOWN
    assert all(sample["prompt"].startswith("Tell") for sample in shown)  # what is of taste, and nothing else
    assert all("by group 1" in sample["text"] and "by group 2" in sample["text"] for sample in shown)
    assert metrics["prompts_disagreed_on"] == pytest.approx(30, abs=6)


def test_groups_of_one_taste_are_said_to_be_none(tmp_path):
    ranked, _ = simulated.ranked(simulated.tasks(40, texts=3, seed=0), raters=[*RATERS[:5], "q1", "q2"], seed=0)
    context = tiny.open_run(tiny.make_run(tmp_path / "run", "reward", {}, {}))
    groups = rankings.gathered(map(rankings.of_ranking, ranked))
    assert set(grouped(groups, num_groups=2, context=context).values()) == {0, 1}
    assert [warning["code"] for warning in tiny.events(tmp_path / "run", "warning")] == ["groups_alike"]


@pytest.mark.slow
def test_a_campaigns_own_groups_have_a_head_each_and_are_called_by_their_names(tmp_path, of_two_tastes):
    ranked, rows, held_out = of_two_tastes
    named = [row | {"rater_group": "" if row["rater"] == "r4" else WHERE[row["rater"][0]]} for row in ranked]
    run_dir, metrics = finished(tmp_path, {"epochs": 2, "groups": "campaign"}, rows, held_out, ranked=named)
    assert metrics["accuracy_group_1"] > metrics["accuracy_group_1_others"]
    logged = [entry["text"] for entry in tiny.events(run_dir, "log")]
    assert "Group 1 is “country”, and has 5 raters: o0, o1, o2, o3, o4." in logged
    assert "Group 2 is “town”, and has 4 raters: r0, r1, r2, r3." in logged
    assert "1 raters are in no group; their rankings count for all groups alike." in logged
    shown = tiny.events(run_dir, "sample")
    assert shown and all("by group country" in one["text"] and "by group town" in one["text"] for one in shown)
    rule = json.loads((run_dir / contract.OUTPUT / "reward.json").read_text())
    assert rule["heads"] == 2


def test_without_two_named_groups_or_with_too_many_there_are_no_heads_of_them(tmp_path):
    train = simulated.tasks(12, texts=3, seed=0)
    ranked, rows = simulated.ranked(train, raters=[f"r{i}" for i in range(20)], seed=0, a_task=5)
    for number, (name, code) in enumerate(
        [(lambda r: "", "no_groups"), (lambda r: "all", "no_groups"), (str, "many_groups")]
    ):
        told = [row | {"rater_group": name(row["rater"])} for row in ranked]
        inputs = {
            "model": tiny.write_model(tmp_path / f"model{number}"),
            "preferences": tiny.write_dataset(tmp_path / f"data{number}", rows, [], rankings=told),
        }
        recipe = RewardRecipe.presets["tiny"] | {"groups": "campaign"}
        run_dir = tiny.make_run(tmp_path / f"run{number}", "reward", recipe, inputs)
        assert tiny.finish(run_dir) == contract.EXIT_FAILED
        assert tiny.failure(run_dir)["code"] == code
    with pytest.raises(ValueError, match="num_groups is of estimated groups"):
        RewardRecipe(groups="campaign", num_groups=3)


def test_without_raters_on_the_same_texts_there_are_no_groups_to_find(tmp_path):
    ranked, _ = simulated.ranked(simulated.tasks(40, texts=3, seed=0), raters=RATERS, seed=0, a_task=1)
    context = tiny.open_run(tiny.make_run(tmp_path / "run", "reward", {}, {}))
    with pytest.raises(Failure) as failure:
        grouped(rankings.gathered(map(rankings.of_ranking, ranked)), num_groups=2, context=context)
    assert failure.value.code == "no_overlap"


def test_three_groups_are_found_whatever_the_order_of_raters():
    of = np.array([0, 1, 2, 2, 1, 0, 1, 0, 2, 0, 0, 1])
    near = np.where(of[:, None] == of[None], 0.7, 0.1) + np.random.default_rng(0).normal(0, 0.05, (12, 12))
    found = clusters((near + near.T) / 2, 3)
    assert {tuple(sorted(np.flatnonzero(found == g))) for g in range(3)} == {
        tuple(np.flatnonzero(of == g)) for g in range(3)
    }
