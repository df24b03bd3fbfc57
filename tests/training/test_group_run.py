"""Runs of RLOO, GRPO and online DPO: the reward rises at a bounded KL, invariants hold, what is broken is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.training import tiny
from tests.training.tiny_reward import ppo_inputs, write_reward_model
from training import contract
from training.mechanics import models
from training.mechanics.generation import sampling
from training.mechanics.online.judge import Judge
from training.recipes import RECIPES

pytestmark = pytest.mark.slow(seconds=1)

METHODS = ("rloo", "grpo", "online_dpo")
SHORT = {"episodes": 32, "batch_size": 16, "minibatch_size": 8, "max_new_tokens": 8, "epochs": 2, "bf16": False}
LORA = {"r": 4, "alpha": 8}


def run(folder, method, recipe, inputs=None):
    run_dir = tiny.make_run(folder / "run", method, recipe, inputs or ppo_inputs(folder))
    return run_dir, tiny.finish(run_dir)


def tiny_of(method):
    return RECIPES[method].presets["tiny"]


@pytest.fixture(scope="module", params=METHODS)
def trained(request, tmp_path_factory):
    run_dir, code = run(tmp_path_factory.mktemp(request.param), request.param, tiny_of(request.param))
    assert code == contract.EXIT_DONE
    return run_dir


def test_the_reward_rises_by_a_deviation_of_the_reference_within_the_kl_target(trained):
    metrics = contract.read_manifest(trained)["metrics"]
    assert metrics["reward"] > metrics["reward_before"] + 1.0
    assert 0 < metrics["kl"] < RECIPES["rloo"].preset("tiny").target_kl
    assert metrics["episodes"] == tiny_of("rloo")["episodes"]


def test_the_first_ratio_of_every_rollout_is_exactly_1(trained):
    assert set(tiny.curve(trained, "first_ratio_error").values()) == {0.0}
    assert max(tiny.curve(trained, "ratio_error").values()) > 0.01  # and not for want of learning


def test_the_first_rollout_is_the_references_own(trained):
    assert tiny.curve(trained, "kl")[1] == 0.0
    assert tiny.curve(trained, "reward")[1] == pytest.approx(0, abs=1e-5)  # on the scale of the first rollout


def test_every_metric_that_tells_a_sick_run_is_there(trained):
    wanted = (
        "reward raw_score reward_std kl entropy length ended zero_std_groups masked clip_fraction approx_kl ratio "
        "ratio_error policy_loss grad_norm learning_rate passes"
    )
    assert set(wanted.split()) <= tiny.events(trained, "metric")[-1]["values"].keys()
    assert set(tiny.curve(trained, "masked").values()) == {0.0}


def test_the_published_model_writes(trained, tmp_path):
    published = tiny.given(trained / contract.OUTPUT, "model")
    model, tokenizer = models.load_causal(published, dtype=torch.float32), models.load_tokenizer(published)
    prompt = tokenizer.apply_chat_template([tiny.user("a1?")], add_generation_prompt=True, return_dict=False)
    (answer,) = sampling.sample(
        model, tokenizer, [prompt], seeds=[1], temperatures=[1.0], top_p=1.0, max_new_tokens=24, batch_size=1
    )
    assert answer.ids


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_shuffled_rewards_gain_nothing(method, tmp_path, monkeypatch):
    """The control: the same scores, each given to another completion."""
    real = Judge.score
    true = []

    def shuffled(self, context, answers, *, batch_size):
        found = real(self, context, answers, batch_size=batch_size)
        true.append(found.final_B)
        order = torch.randperm(len(answers), generator=torch.Generator().manual_seed(len(true)))
        return replace(found, final_B=found.final_B[order])

    monkeypatch.setattr(Judge, "score", shuffled)
    _, code = run(tmp_path, method, tiny_of(method))
    assert code == contract.EXIT_DONE
    first, last = true[0], torch.cat(true[-3:])
    assert last.mean() - first.mean() < 0.5 * first.std()


@pytest.mark.parametrize("method", METHODS)
def test_an_adapter_is_trained_on_a_shared_trunk_and_published_alone(method, tmp_path):
    run_dir, code = run(tmp_path, method, SHORT | {"lora": LORA, "learning_rate": 1e-2})
    assert code == contract.EXIT_DONE
    assert set(tiny.curve(run_dir, "first_ratio_error").values()) == {0.0}
    assert tiny.curve(run_dir, "kl")[1] == 0.0 and tiny.curve(run_dir, "kl")[2] != 0.0
    names = contract.read_manifest(run_dir)["files"].keys()
    assert "adapter_model.safetensors" in names and "model.safetensors" not in names


@pytest.mark.parametrize("method", METHODS)
def test_equal_rewards_move_nothing_but_towards_the_reference(method, tmp_path):
    inputs = ppo_inputs(tmp_path) | {"reward": write_reward_model(tmp_path / "blind", blind=True)}
    run_dir, code = run(
        tmp_path, method, SHORT | {"lora": None} | ({} if method == "online_dpo" else {"kl_coefficient": 0}), inputs
    )
    assert code == contract.EXIT_DONE
    assert set(tiny.curve(run_dir, "zero_std_groups").values()) == {1.0}
    assert set(tiny.curve(run_dir, "kl").values()) == {0.0}


@pytest.mark.parametrize(
    "changes",
    [
        {"scale": "none", "loss": "dr_grpo"},
        {"ratio": "sequence", "loss": "grpo"},
        {"loss": "bnpo", "scale": "batch", "clip_high": 0.28},
    ],
)
def test_every_kind_of_grpo_takes_its_steps_from_a_first_ratio_of_1(changes, tmp_path):
    run_dir, code = run(tmp_path, "grpo", SHORT | {"lora": None, "learning_rate": 1e-3} | changes)
    assert code == contract.EXIT_DONE
    assert set(tiny.curve(run_dir, "first_ratio_error").values()) == {0.0}
    assert tiny.curve(run_dir, "kl")[2] != 0.0


def test_a_run_far_from_its_reference_ends_early_and_names_what_would_hold_it(tmp_path):
    recipe = SHORT | {"lora": None, "episodes": 160, "learning_rate": 1e-2, "target_kl": 0.01, "beta": 0.01}
    run_dir, code = run(tmp_path, "online_dpo", recipe)
    assert code == contract.EXIT_DONE
    assert contract.read_manifest(run_dir)["metrics"]["ended_early"]
    (warning,) = (w for w in tiny.events(run_dir, "warning") if w["code"] == "far_from_reference")
    assert "beta" in warning["advice"]


def test_without_a_reward_model_and_without_votes_a_run_is_refused(tmp_path):
    inputs = ppo_inputs(tmp_path)
    del inputs["reward"]
    run_dir, code = run(tmp_path, "rloo", SHORT, inputs)
    assert code == contract.EXIT_FAILED
    assert tiny.failure(run_dir)["code"] == "no_reward"


@pytest.mark.parametrize("poison", ["model", "reward"])
def test_a_number_that_is_not_finite_ends_the_run_before_a_checkpoint(tmp_path, poison):
    run_dir, code = run(tmp_path, "grpo", SHORT | {"lora": None}, ppo_inputs(tmp_path, poison=poison))
    assert code == contract.EXIT_FAILED
    assert tiny.failure(run_dir)["code"] == "not_finite"
    assert not list((run_dir / contract.CHECKPOINTS).glob("*"))


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("rloo", {"batch_size": 32, "minibatch_size": 5}),
        ("grpo", {"batch_size": 32, "k": 5}),
        ("online_dpo", {"batch_size": 27, "minibatch_size": 3, "k": 3}),
        ("rloo", {"k": 1}),
        ("grpo", {"votes": {"deadline_minutes": 0}}),
    ],
)
def test_recipes_that_do_not_fit_together_are_refused(method, fields):
    with pytest.raises(ValueError, match=r"must (divide|be even)|greater than"):
        RECIPES[method].model_validate(fields)
