"""Reward models: separable preferences are learned, prompts count alike, scores are read where they should be."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace

import pytest
import torch
from scipy.stats import kendalltau
from transformers import AutoModelForSequenceClassification

from tests.training import tiny
from training import contract
from training.mechanics import datasets
from training.mechanics.people import rankings
from training.mechanics.people.batches import RankingCollator
from training.mechanics.shared_prefix import READ
from training.methods import reward
from training.recipes.reward import RewardRecipe

pytestmark = pytest.mark.slow(seconds=1)

RECIPE = RewardRecipe.presets["tiny"] | {"epochs": 6, "eval_every": 10, "max_length": 96, "batch_size": 4}


def given(folder, *, permuted: bool = False) -> dict[str, contract.Input]:
    rows = tiny.preference_rows(40, permuted=permuted)
    held_out = tiny.preference_rows(16, seed=9, first=40, permuted=permuted)
    return {
        "model": tiny.write_model(folder / "model"),
        "preferences": tiny.write_dataset(folder / "data", rows, held_out),
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reward")
    run_dir = tiny.make_run(folder / "run", "reward", RECIPE, given(folder))
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    return run_dir


# A run


def test_separable_preferences_are_learned_and_held_to_the_length_baseline(trained):
    metrics = contract.read_manifest(trained)["metrics"]
    assert metrics["eval_accuracy"] > 0.95
    assert metrics["eval_accuracy_low"] <= metrics["eval_accuracy"] <= metrics["eval_accuracy_high"]
    assert metrics["eval_n"] == metrics["held_out_pairs"] == 48
    assert metrics["length_accuracy"] == 0.5  # all texts are of one length
    assert metrics["eval_loss"] < 0.4


def test_an_untrained_head_begins_near_ln_2(trained):
    losses = tiny.curve(trained, "eval_loss")
    assert losses[0] == pytest.approx(math.log(2), abs=0.1)


def test_held_out_accuracy_and_its_interval_are_told_at_every_interval(trained):
    last = max(tiny.curve(trained, "loss"))
    for name in ("eval_accuracy", "eval_accuracy_low", "eval_accuracy_high", "eval_ece", "eval_n"):
        assert sorted(tiny.curve(trained, name)) == sorted({0, *range(10, last, 10), last})


def test_labels_by_lot_are_not_learned(tmp_path):
    run_dir = tiny.make_run(tmp_path / "run", "reward", RECIPE | {"epochs": 3}, given(tmp_path, permuted=True))
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    metrics = contract.read_manifest(run_dir)["metrics"]
    assert metrics["eval_accuracy_low"] < 0.5 < metrics["eval_accuracy_high"]


def doubtful(rows, *, seed: int):
    """The rows as raters would have it who are the less sure the closer two texts are; and the share that they got wrong."""
    lot, wrong, told = random.Random(seed), 0, []
    for row in rows:
        gap = row["chosen"][0]["content"].count(tiny.GOOD) - row["rejected"][0]["content"].count(tiny.GOOD)
        is_wrong = lot.random() < 1 / (1 + math.exp(0.5 * gap))
        told.append(row | {"chosen": row["rejected"], "rejected": row["chosen"]} if is_wrong else row)
        wrong += is_wrong
    return told, wrong / len(rows)


@pytest.mark.slow
def test_from_raters_who_err_the_truth_is_learned_and_how_often_they_err(tmp_path):
    """The utility is the number of a's in a text; labels come from the Bradley-Terry model."""
    train, test = tiny.preference_rows(120), tiny.preference_rows(350, seed=9, first=120)
    judged, rate = doubtful(test, seed=5)
    assert 0.15 < rate < 0.3
    inputs = {
        "model": tiny.write_model(tmp_path / "model"),
        "preferences": tiny.write_dataset(tmp_path / "data", doubtful(train, seed=4)[0], judged),
    }
    run_dir = tiny.make_run(tmp_path / "run", "reward", RECIPE | {"epochs": 3, "eval_every": 90}, inputs)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    metrics = contract.read_manifest(run_dir)["metrics"]
    assert metrics["eval_n"] == 1050
    assert metrics["eval_accuracy"] >= 0.95 * (1 - rate)
    assert metrics["ece_calibrated"] <= 0.05

    model = AutoModelForSequenceClassification.from_pretrained(run_dir / contract.OUTPUT).eval()
    talks = {row[side][0]["content"]: [*row["prompt"], *row[side]] for row in test for side in ("chosen", "rejected")}
    some = dict(list(talks.items())[:150])
    with torch.no_grad():
        scores = [
            model(torch.tensor([datasets.render_conversation(tiny.tokenizer(), talk)])).logits.item()
            for talk in some.values()
        ]
    assert kendalltau(scores, [text.count(tiny.GOOD) for text in some]).statistic >= 0.8


def test_the_published_model_scores_by_itself_as_the_trainer_did(trained):
    model = AutoModelForSequenceClassification.from_pretrained(trained / contract.OUTPUT).eval()
    assert model.config.num_labels == 1
    words = tiny.tokenizer()
    texts = {
        words.apply_chat_template([*row["prompt"], *row[side]], tokenize=False)
        for row in tiny.preference_rows(40)
        for side in ("chosen", "rejected")
    }
    with torch.no_grad():
        scores = torch.tensor(
            [model(**words(text, return_tensors="pt", add_special_tokens=False)).logits.item() for text in texts]
        )

    scale = json.loads((trained / contract.OUTPUT / "reward.json").read_text())
    assert scale["mean"] == pytest.approx(scores.mean().item(), abs=1e-4)
    assert scale["std"] == pytest.approx(scores.std(correction=0).item(), rel=1e-4)
    metrics = contract.read_manifest(trained)["metrics"]
    assert (metrics["reward_mean"], metrics["reward_std"]) == (scale["mean"], scale["std"])


# The loss


@pytest.fixture
def trainer(tmp_path):
    context = tiny.open_run(tiny.make_run(tmp_path / "run", "reward", RECIPE, given(tmp_path)))
    groups = rankings.of_comparisons(tiny.preference_rows(6))
    return reward.build(context, context.recipe, groups=groups, held_out=[], tokenizer=tiny.tokenizer())


def score_alone(trainer, ids: list[int]) -> float:
    """By the published model's own rule: the head on the last token's hidden state."""
    with torch.no_grad():
        hidden = trainer.model.base_model(input_ids=torch.tensor([list(ids)])).last_hidden_state[0, -1]
        return trainer.model.score(hidden).item()


def test_the_loss_of_comparisons_is_the_weighted_bradley_terry_likelihood_and_the_centring(trainer):
    groups = [weighing(group, weight) for group, weight in zip(trainer.train_dataset, (0.5, 1.0, 2.0), strict=False)]
    by_hand = 0.0
    for group, weight in zip(groups, (0.5, 1.0, 2.0), strict=True):
        for order in group.orders:
            (better,), (worse,) = order.tiers
            c, r = score_alone(trainer, group.ids[better]), score_alone(trainer, group.ids[worse])
            by_hand += weight * (math.log(1 + math.exp(-(c - r))) + 0.01 * (c + r) ** 2)
    batch = trainer.data_collator(groups)
    assert trainer.compute_loss(trainer.model, batch).item() == pytest.approx(by_hand / 3, rel=1e-5)


def weighing(group, weight):
    return replace(group, orders=tuple(replace(order, weight=weight) for order in group.orders))


@pytest.mark.parametrize("shares", [True, False])
def test_a_score_does_not_depend_on_padding_or_company(trainer, shares):
    trainer.model.eval()
    groups = trainer.train_dataset[:3]
    batch = RankingCollator(replace(trainer.data_collator.reader, shares=shares))(groups)
    with torch.no_grad():
        scores = trainer.model(**{name: batch[name] for name in (*READ, "last_places")}).logits.squeeze(-1)
    alone = [score_alone(trainer, ids) for group in groups for ids in group.ids]
    assert scores.tolist() == pytest.approx(alone, abs=1e-5)


def test_every_scored_text_ends_with_its_end_of_turn(trainer):
    words = trainer.processing_class
    for ids in [ids for group in trainer.train_dataset for ids in group.ids]:
        assert words.decode(ids).rstrip("\n").endswith("<|im_end|>")


def test_centring_keeps_the_rewards_around_zero(tmp_path):
    sums = {}
    for weight in (0.0, 1.0):
        folder = tmp_path / str(weight)
        recipe = RECIPE | {"center_rewards": weight, "epochs": 2}
        run_dir = tiny.make_run(folder / "run", "reward", recipe, given(folder))
        assert tiny.finish(run_dir) == contract.EXIT_DONE
        sums[weight] = abs(contract.read_manifest(run_dir)["metrics"]["reward_mean"])
    assert sums[1.0] < 0.25
    assert sums[1.0] < sums[0.0]


# Adapters


@pytest.mark.slow
def test_lora_publishes_an_adapter_with_its_head_and_a_second_round_one_that_stands_on_it(tmp_path):
    recipe = RECIPE | {"lora": {"r": 8}, "learning_rate": 5e-3, "epochs": 4}
    inputs = given(tmp_path)
    first = tiny.make_run(tmp_path / "first", "reward", recipe, inputs)
    assert tiny.finish(first) == contract.EXIT_DONE
    assert (first / contract.OUTPUT / "adapter_model.safetensors").exists()
    assert not (first / contract.OUTPUT / "model.safetensors").exists()
    before = contract.read_manifest(first)["metrics"]
    assert before["eval_accuracy"] > 0.9

    adapter = tiny.given(first / contract.OUTPUT, "model", base=inputs["model"].path)
    second = tiny.make_run(
        tmp_path / "second", "reward", recipe | {"epochs": 1, "learning_rate": 1e-9}, inputs | {"model": adapter}
    )
    assert tiny.finish(second) == contract.EXIT_DONE
    assert not (second / contract.OUTPUT / "model.safetensors").exists()
    # Nothing to speak of was trained: the second adapter begins and ends as the adapter ended, its head included.
    assert contract.read_manifest(second)["metrics"]["eval_loss"] == pytest.approx(before["eval_loss"], rel=1e-3)


# Refusals


@pytest.mark.parametrize(
    ("rows", "code"),
    [([], "no_rows"), (tiny.preference_rows(3), "no_rows"), ("weightless", "no_weight")],
    ids=["no row", "all too long", "no weight"],
)
def test_nothing_to_learn_is_one_clear_failure(tmp_path, rows, code):
    recipe = RECIPE | {"max_length": 16} if code == "no_rows" else RECIPE
    if rows == "weightless":
        rows = [row | {"weight": 0.0} for row in tiny.preference_rows(3)]
    inputs = {
        "model": tiny.write_model(tmp_path / "model"),
        "preferences": tiny.write_dataset(tmp_path / "data", rows, tiny.preference_rows(2, first=50)),
    }
    run_dir = tiny.make_run(tmp_path / "run", "reward", recipe, inputs)

    assert tiny.finish(run_dir) == contract.EXIT_FAILED
    assert tiny.failure(run_dir)["code"] == code
    assert tiny.failure(run_dir)["advice"]


def test_without_held_out_comparisons_a_run_trains_and_warns(tmp_path):
    inputs = {
        "model": tiny.write_model(tmp_path / "model"),
        "preferences": tiny.write_dataset(tmp_path / "data", tiny.preference_rows(6)),
    }
    run_dir = tiny.make_run(tmp_path / "run", "reward", RECIPE | {"epochs": 1}, inputs)

    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert "no_held_out" in {w["code"] for w in tiny.events(run_dir, "warning")}
    metrics = contract.read_manifest(run_dir)["metrics"]
    assert metrics["held_out_pairs"] == 0 and "eval_accuracy" not in metrics
