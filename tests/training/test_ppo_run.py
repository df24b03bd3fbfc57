"""Runs of PPO: the reward rises at a bounded KL, invariants hold in every rollout, what is broken is refused."""

from __future__ import annotations

import pytest

from tests.training import tiny
from tests.training.tiny_reward import ppo_inputs, write_reward_model
from training import contract
from training.recipes import RECIPES

pytestmark = pytest.mark.slow(seconds=1)

TINY = RECIPES["ppo"].presets["tiny"]
SHORT = TINY | {"episodes": 32, "batch_size": 16, "minibatch_size": 8, "max_new_tokens": 8, "epochs": 2}
LORA = {"r": 4, "alpha": 8}


def run(folder, recipe, **poison):
    run_dir = tiny.make_run(folder / "run", "ppo", recipe, ppo_inputs(folder, **poison))
    return run_dir, tiny.finish(run_dir)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    run_dir, code = run(tmp_path_factory.mktemp("ppo"), TINY)
    assert code == contract.EXIT_DONE
    return run_dir


@pytest.fixture(scope="module")
def adapted(tmp_path_factory):
    recipe = SHORT | {"lora": LORA, "episodes": 64, "learning_rate": 1e-2}
    run_dir, code = run(tmp_path_factory.mktemp("ppo_lora"), recipe)
    assert code == contract.EXIT_DONE
    return run_dir


def test_the_reward_rises_by_a_deviation_of_the_reference_within_the_kl_target(trained):
    metrics = contract.read_manifest(trained)["metrics"]
    assert metrics["reward"] > metrics["reward_before"] + 1.0
    assert 0 < metrics["kl"] < TINY["target_kl"]
    assert metrics["episodes"] == TINY["episodes"]


def test_the_first_ratio_of_every_rollout_is_exactly_1(trained, adapted):
    for run_dir in (trained, adapted):
        assert set(tiny.curve(run_dir, "first_ratio_error").values()) == {0.0}
        assert max(tiny.curve(run_dir, "ratio_error").values()) > 0.01  # and not for want of learning


def test_the_first_rollout_is_the_references_own(trained, adapted):
    for run_dir in (trained, adapted):
        assert tiny.curve(run_dir, "kl")[1] == 0.0
        assert max(tiny.curve(run_dir, "kl").values()) > 0.01


def test_scores_are_on_the_scale_of_the_first_rollout_less_what_did_not_end(trained):
    scores, ended = tiny.curve(trained, "reward"), tiny.curve(trained, "ended")
    penalty = RECIPES["ppo"].preset("tiny").missing_eos_penalty
    assert scores[1] == pytest.approx(-penalty * (1 - ended[1]), abs=0.05)  # normalised to 0, but for what is cut


def test_the_learning_rate_falls_in_a_straight_line(trained):
    rates = tiny.curve(trained, "learning_rate")
    total = len(rates)
    assert rates == {i + 1: pytest.approx(TINY["learning_rate"] * (1 - i / total)) for i in range(total)}


def test_the_critic_explains_a_third_of_the_returns_by_half_way(trained):
    explained = list(tiny.curve(trained, "explained_variance").values())
    assert sum(explained[len(explained) // 2 :]) / len(explained[len(explained) // 2 :]) > 0.3


def test_the_price_of_kl_follows_its_controller(trained):
    kl, price = tiny.curve(trained, "kl"), tiny.curve(trained, "kl_coefficient")
    recipe = RECIPES["ppo"].preset("tiny")
    for step in range(1, len(price)):
        error = min(max(kl[step] / recipe.target_kl - 1, -0.2), 0.2)
        assert price[step + 1] == pytest.approx(price[step] * (1 + error * recipe.batch_size / recipe.kl_horizon))


def test_completions_are_shown_with_what_they_scored_and_progress_tells_the_time_left(trained):
    samples = tiny.events(trained, "sample")
    assert {"prompt", "text", "reward", "kl", "ended"} <= samples[0].keys()
    assert len({sample["step"] for sample in samples}) > 1
    progress = tiny.events(trained, "progress")
    assert progress[-1]["step"] == progress[-1]["total"] == TINY["episodes"]
    assert "eta_s" in progress[1]


def test_every_metric_that_tells_a_sick_run_is_there(trained):
    values = tiny.events(trained, "metric")[-1]["values"]
    wanted = (
        "reward raw_score kl entropy ratio ratio_error clip_fraction approx_kl explained_variance length ended "
        "kl_coefficient objective policy_loss value_loss grad_norm critic_grad_norm"
    )
    assert set(wanted.split()) <= values.keys()
    assert values["objective"] == pytest.approx(values["reward"] - values["kl_coefficient"] * values["kl"])


def test_a_whole_model_is_published_without_its_critic(trained):
    names = contract.read_manifest(trained)["files"].keys()
    assert {"model.safetensors", "tokenizer.json", "chat_template.jinja"} <= names
    assert not [name for name in names if "critic" in name or "adapter" in name]


def test_an_adapter_is_published_alone_where_the_model_was_one_too(adapted, tmp_path):
    names = contract.read_manifest(adapted)["files"].keys()
    assert "adapter_model.safetensors" in names and "model.safetensors" not in names

    inputs = ppo_inputs(tmp_path)
    on_top = tiny.given(adapted / contract.OUTPUT, "model", base=inputs["model"].path)
    run_dir = tiny.make_run(tmp_path / "run", "ppo", SHORT | {"lora": LORA}, inputs | {"model": on_top})
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    names = contract.read_manifest(run_dir)["files"].keys()
    assert "adapter_model.safetensors" in names and "model.safetensors" not in names


def test_a_dearer_kl_keeps_the_policy_nearer(tmp_path):
    reached = []
    for price in (0.0, 1.0):
        recipe = SHORT | {"episodes": 128, "learning_rate": 3e-3, "target_kl": None, "kl_coefficient": price}
        run_dir, code = run(tmp_path / str(price), recipe)
        assert code == contract.EXIT_DONE
        reached.append(contract.read_manifest(run_dir)["metrics"]["kl"])
    assert reached[0] > reached[1]


def test_passes_end_where_the_policy_has_moved_too_far(tmp_path):
    run_dir, code = run(tmp_path, SHORT | {"learning_rate": 1e-2, "stop_kl": 1e-4})
    assert code == contract.EXIT_DONE
    assert set(tiny.curve(run_dir, "passes").values()) == {1.0}  # the first step moved it; the second was not taken


def test_a_run_far_from_its_reference_ends_early_and_says_so(tmp_path):
    recipe = SHORT | {"episodes": 160, "learning_rate": 1e-2, "target_kl": 0.01, "kl_coefficient": 0.0}
    run_dir, code = run(tmp_path, recipe)
    assert code == contract.EXIT_DONE
    metrics = contract.read_manifest(run_dir)["metrics"]
    assert metrics["ended_early"] and metrics["episodes"] < 160
    assert [warning["code"] for warning in tiny.events(run_dir, "warning")] == ["far_from_reference"]


@pytest.mark.parametrize("poison", ["model", "reward"])
def test_a_number_that_is_not_finite_ends_the_run_before_a_checkpoint(tmp_path, poison):
    run_dir, code = run(tmp_path, SHORT, poison=poison)
    assert code == contract.EXIT_FAILED
    assert tiny.failure(run_dir)["code"] == "not_finite"
    assert not list((run_dir / contract.CHECKPOINTS).glob("*"))


def test_a_reward_model_without_a_scale_is_refused(tmp_path):
    inputs = ppo_inputs(tmp_path)
    (tmp_path / "reward" / "reward.json").unlink()
    run_dir = tiny.make_run(tmp_path / "run", "ppo", SHORT, inputs)
    assert tiny.finish(run_dir) == contract.EXIT_FAILED
    assert tiny.failure(run_dir)["code"] == "no_reward_scale"


def test_prompts_that_leave_no_room_are_left_out_and_counted(tmp_path):
    rows = [{"id": str(i), "messages": [tiny.user("x" * (400 if i == 0 else 2))]} for i in range(4)]
    inputs = ppo_inputs(tmp_path) | {"prompts": tiny.write_dataset(tmp_path / "long", rows)}
    run_dir = tiny.make_run(tmp_path / "run", "ppo", SHORT, inputs)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    (warning,) = tiny.events(run_dir, "warning")
    assert warning["code"] == "left_out_long" and warning["sentence"].startswith("1 of 4 prompts")


def test_a_reward_that_says_nothing_of_the_text_teaches_nothing(tmp_path):
    """The control: at a reward model of one and the same score, only the end is paid for."""
    recipe = TINY | {"episodes": 128, "missing_eos_penalty": 0.0}
    inputs = ppo_inputs(tmp_path)
    constant = tmp_path / "constant"
    inputs["reward"] = write_reward_model(constant, blind=True)
    run_dir = tiny.make_run(tmp_path / "run", "ppo", recipe, inputs)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert set(tiny.curve(run_dir, "reward").values()) == {0.0}
    assert contract.read_manifest(run_dir)["metrics"]["kl"] < 0.5


# A corpus beside the reward


@pytest.mark.slow
def test_with_a_corpus_the_policy_stays_likelier_to_write_it(tmp_path):
    rows = [{"text": "the cat sat on the mat. " * 8} for _ in range(8)]
    told = {}
    for weight in (0.0, 1.0):
        folder = tmp_path / str(weight)
        inputs = ppo_inputs(folder) | {"corpus": tiny.write_dataset(folder / "corpus", rows)}
        recipe = SHORT | {"episodes": 128, "ptx_weight": weight, "ptx_length": 32}
        run_dir = tiny.make_run(folder / "run", "ppo", recipe, inputs)
        assert tiny.finish(run_dir) == contract.EXIT_DONE
        told[weight] = list(tiny.curve(run_dir, "ptx_loss").values())
    assert told[0.0][0] == pytest.approx(5.6, abs=0.3)  # a fresh model finds all 259 tokens alike
    assert told[1.0][-1] < told[0.0][-1] - 1.0


def test_a_corpus_of_too_few_tokens_is_refused(tmp_path):
    inputs = ppo_inputs(tmp_path) | {"corpus": tiny.write_dataset(tmp_path / "corpus", [{"text": "Short."}])}
    run_dir = tiny.make_run(tmp_path / "run", "ppo", SHORT, inputs)
    assert tiny.finish(run_dir) == contract.EXIT_FAILED
    assert tiny.failure(run_dir)["code"] == "too_few_tokens"
