"""Rewards of completions that are there: each one's own, of the prompts that are asked about, the same after a stop."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.training import tiny, tiny_reward
from training import contract
from training.contract import Input
from training.methods import score
from training.recipes import RECIPES

RECIPE = RECIPES["score"].presets["tiny"] | {"batch_size": 4}
GOLDEN = Path(__file__).parents[1] / "invariant/golden"


def completions(folder: Path, text: str, *, prompts: int = 6, first: int = 0) -> Input:
    """Two a prompt, of more capitals from prompt to prompt; the second has one more."""
    rows = [
        {
            "id": f"{folder.name}-{p}-{i}",
            "prompt_id": f"p{p}",
            "index": i,
            "text": text + f" number {p}" + " X" * (i + p),
        }
        for p in range(first, first + prompts)
        for i in range(2)
    ]
    return tiny.write_dataset(folder, rows)


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    prompts = [{"id": f"p{p}", "messages": [tiny.user(f"Say {p}")]} for p in range(6)]
    return {
        "reward": tiny_reward.write_reward_model(folder / "reward"),
        "prompts": tiny.write_dataset(folder / "prompts", [], prompts),
        "completions": completions(folder / "low", "it is said quietly"),
        "completions_2": completions(folder / "high", "IT IS SAID LOUDLY"),
    }


@pytest.fixture(scope="module")
def whole(given, tmp_path_factory):
    run_dir = tiny.make_run(tmp_path_factory.mktemp("runs") / "whole", "score", RECIPE, given)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    return run_dir


def test_each_text_has_its_own_reward_and_each_set_its_mean(whole):
    metrics = contract.read_manifest(whole)["metrics"]
    rows = pq.read_table(whole / "output/rows.parquet").to_pylist()
    rewards = {row["id"]: row["reward"] for row in rows}
    assert len(rewards) == 24 and all(rewards[f"low-{p}-1"] > rewards[f"low-{p}-0"] for p in range(6))
    for name in ("completions", "completions_2"):
        own = [row["reward"] for row in rows if row["input"] == name]
        assert metrics[f"{name}_reward"] == pytest.approx(sum(own) / 12)
        assert metrics[f"{name}_reward_low"] < metrics[f"{name}_reward"] < metrics[f"{name}_reward_high"]
        assert (metrics[f"{name}_num_prompts"], metrics[f"{name}_num_completions"]) == (6, 12)
    assert metrics["completions_2_reward_low"] > metrics["completions_reward_high"]
    assert tiny.curve(whole, "reward") == {1: metrics["completions_reward"], 2: metrics["completions_2_reward"]}
    assert json.loads((whole / "output/report.json").read_text())["figures"] == metrics
    shown = [one["reward"] for one in tiny.events(whole, "sample")[:4]]
    assert shown == sorted(shown, reverse=True), "the best of a set, and its worst"


def test_its_curve_is_the_stored_one(whole):
    tiny.held_to_golden("score", whole, ("reward",), folder=GOLDEN)


def test_stopped_in_a_set_it_ends_with_the_same_rewards(whole, tmp_path):
    run_dir = tiny.same_run(whole, tmp_path / "again")
    context = tiny.open_run(run_dir)
    emit, seen = context.events.emit, []

    def stop_in_the_second(kind, payload):
        emit(kind, payload)
        seen.append(payload.get("phase"))
        context.stop_requested = seen.count("completions_2 rewards") == 2

    context.events.emit = stop_in_the_second
    with pytest.raises(tiny.program.Stopped):
        score.run(context)
    assert len(list((run_dir / "checkpoints/completions_2-rewards").iterdir())) == 2, "of three parts"
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert contract.read_manifest(run_dir)["sha256"] == contract.read_manifest(whole)["sha256"]


def test_completions_of_other_prompts_are_left_out_and_nothing_else_is_refused(given, tmp_path):
    one = {name: given[name] for name in ("reward", "prompts")}
    some = tiny.make_run(
        tmp_path / "some", "score", RECIPE, one | {"completions": completions(tmp_path / "s", "so", first=4)}
    )
    assert tiny.finish(some) == contract.EXIT_DONE
    assert contract.read_manifest(some)["metrics"]["completions_num_prompts"] == 2
    assert tiny.events(some, "warning")[0]["code"] == "other_prompts"
    none = tiny.make_run(
        tmp_path / "none", "score", RECIPE, one | {"completions": completions(tmp_path / "n", "so", first=9)}
    )
    assert tiny.finish(none) == contract.EXIT_FAILED
    assert tiny.failure(none)["code"] == "other_prompts"


def test_what_it_would_take_is_found_out_by_reading_a_few(given, tmp_path):
    run_dir = tiny.make_run(tmp_path / "probe", "score", RECIPE, given)
    spec = contract.read_spec(run_dir)
    (run_dir / contract.SPEC).write_text(replace(spec, is_estimate=True).dump())
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert list(contract.read_manifest(run_dir)["files"]) == ["estimate.json"]
    report = json.loads((run_dir / "output/estimate.json").read_text())
    assert {one["phase"] for one in report["parts"]} >= {"completions rewards", "completions_2 rewards"}
