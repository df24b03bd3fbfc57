"""What PPO has to move, and what it must not: ends, the price of KL, and a reward that has nothing to do with the aim."""

from __future__ import annotations

import statistics

import pytest
import torch
from transformers import LlamaConfig, LlamaForSequenceClassification

from tests.training import tiny
from tests.training.tiny_reward import ppo_inputs, write_reward_model
from training import contract
from training.mechanics import models
from training.mechanics.generation import sampling
from training.recipes import RECIPES

TINY = RECIPES["ppo"].presets["tiny"]
SHORT = {"max_new_tokens": 8, "target_kl": None}
SAMPLES = 1024


def trained(folder, recipe, **inputs):
    run_dir = tiny.make_run(folder / "run", "ppo", TINY | recipe, ppo_inputs(folder) | inputs)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    return run_dir


def write_other_reward(folder):
    """A reward model of random weights: it wants something, and that is not capitals."""
    torch.manual_seed(5)
    words = tiny.tokenizer()
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=256, num_labels=1, pad_token_id=words.pad_token_id,
    )  # fmt: skip
    LlamaForSequenceClassification(config).save_pretrained(folder)
    words.save_pretrained(folder)
    models.write_reward_scale(folder, 0.0, 0.1)
    return tiny.given(folder, "model")


def capitals(given) -> list[float]:
    """The aim itself, of samples: how many of a completion's 8 tokens are capital letters."""
    model, words = models.load_causal(given, dtype=torch.float32), models.load_tokenizer(given)
    samples = sampling.sample(
        model, words, [[5, 6, 7]] * SAMPLES, seeds=list(range(SAMPLES)), temperatures=[1.0] * SAMPLES, top_p=1.0,
        max_new_tokens=8, batch_size=256,
    )  # fmt: skip
    return [sum("A" <= letter <= "Z" for letter in sample.text) for sample in samples]


def gain(folder, run_dir) -> float:
    """In standard deviations of the reference's samples; of two equal models within 0.09, in 95 of 100 draws."""
    before = capitals(ppo_inputs(folder / "again")["model"])
    after = capitals(tiny.given(run_dir / contract.OUTPUT, "model"))
    return (statistics.mean(after) - statistics.mean(before)) / statistics.stdev(before)


@pytest.mark.slow
def test_a_dearer_nat_of_kl_buys_less_of_it(tmp_path):
    reached = []
    for price in (0.0, 0.05, 0.2):
        recipe = SHORT | {"episodes": 640, "kl_coefficient": price, "learning_rate": 2e-3}
        reached.append(contract.read_manifest(trained(tmp_path / str(price), recipe))["metrics"]["kl"])
    assert reached[0] > 1.1 * reached[1] > 1.1**2 * reached[2]


@pytest.mark.slow
def test_completions_learn_to_end(tmp_path):
    blind = write_reward_model(tmp_path / "blind", blind=True)
    recipe = {"episodes": 512, "learning_rate": 1e-3, "missing_eos_penalty": 3.0, "kl_coefficient": 0.01}
    ended = list(tiny.curve(trained(tmp_path / "ends", recipe, reward=blind), "ended").values())
    assert ended[0] < 0.5
    assert statistics.mean(ended[-4:]) >= 0.95


@pytest.mark.slow
def test_the_aim_of_the_reward_is_reached_and_no_other(tmp_path):
    recipe = SHORT | {"episodes": 384, "learning_rate": 1e-3}
    assert gain(tmp_path, trained(tmp_path / "true", recipe)) >= 1.0
    other = write_other_reward(tmp_path / "other_reward")
    assert abs(gain(tmp_path / "b", trained(tmp_path / "other", recipe, reward=other))) < 0.15
