"""Whole rankings teach a reward model what TRL's RewardTrainer learns from all their pairs: held-out accuracy within a point."""

from __future__ import annotations

import pytest
import torch
from datasets import Dataset
from trl import RewardConfig, RewardTrainer

from benchmarks import simulated_rankings as simulated
from tests.training import tiny
from training import contract
from training.mechanics import models, scoring
from training.recipes import RECIPES

PROMPTS, TEXTS, HELD_OUT, EPOCHS, RATE = 80, 4, 170, 3, 1e-3
PAIRS = TEXTS * (TEXTS - 1) // 2
TOGETHER = 4  # prompts a step
FLIPPED = 0.2


@pytest.fixture(scope="module")
def told():
    train = simulated.tasks(PROMPTS, texts=TEXTS, seed=0, fill=False)
    test = simulated.tasks(HELD_OUT, texts=TEXTS, seed=1, first=PROMPTS, fill=False)
    return simulated.flipped(train, rate=FLIPPED, seed=1), simulated.flipped(test, rate=FLIPPED, seed=2)


def accuracy_of(model, rows) -> float:
    def scores(side):
        talks = [[*row["prompt"], *row[side]] for row in rows]
        plain = models.RewardScale(0.0, 1.0)
        return scoring.rewards(model.eval(), tiny.tokenizer(), talks, scale=plain, batch_size=128)

    return sum(c > r for c, r in zip(scores("chosen"), scores("rejected"), strict=True)) / len(rows)


def ours(folder, given, train):
    recipe = RECIPES["reward"].presets["tiny"] | {
        "batch_size": TOGETHER, "epochs": EPOCHS, "learning_rate": RATE, "max_length": 96, "eval_every": 90
    }  # fmt: skip
    inputs = {"model": given, "preferences": tiny.write_dataset(folder / "data", train)}
    run_dir = tiny.make_run(folder / "run", "reward", recipe, inputs)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    return models.load_reward(tiny.given(run_dir / contract.OUTPUT, "model"), dtype=torch.float32)


def trls(folder, given, train):
    torch.manual_seed(0)
    model = models.load_reward(given, dtype=torch.float32)
    arguments = RewardConfig(
        output_dir=str(folder / "trl"), use_cpu=True, bf16=False, per_device_train_batch_size=TOGETHER * PAIRS,
        num_train_epochs=EPOCHS, learning_rate=RATE, activation_checkpointing=False, report_to="none", disable_tqdm=True,
        save_strategy="no",
    )  # fmt: skip
    rows = Dataset.from_list([{name: row[name] for name in ("prompt", "chosen", "rejected")} for row in train])
    trainer = RewardTrainer(model=model, args=arguments, processing_class=tiny.tokenizer(), train_dataset=rows)
    trainer.train()
    return trainer.accelerator.unwrap_model(trainer.model)


@pytest.mark.slow
def test_held_out_accuracy_is_within_a_point_of_trls_on_all_pairs(tmp_path, told):
    torch.set_num_threads(1)
    train, test = told
    given = tiny.write_model(tmp_path / "model")
    found, peer = (accuracy_of(learn(tmp_path, given, train), test) for learn in (ours, trls))
    assert len(test) == HELD_OUT * PAIRS
    assert found >= 0.95 * (1 - FLIPPED)
    assert abs(found - peer) <= 0.01, (found, peer)
