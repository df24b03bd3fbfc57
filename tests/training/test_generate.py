"""Completions are the same rows however often the run was killed, and each can be sampled again from what it says."""

from __future__ import annotations

import signal
import time

import pyarrow.parquet as pq
import pytest
import torch

from tests.training import tiny
from training import contract
from training.mechanics import datasets, models
from training.mechanics.generation import completions, sampling
from training.recipes.generate import GenerateRecipe

RECIPE = {"k": 3, "temperatures": (0.7, 1.0), "max_new_tokens": 16, "batch_size": 4, "bf16": False, "seed": 5}


def prompt_rows(count: int):
    return [{"id": f"p{i}", "messages": [tiny.user("Say " + "x" * (i % 5))]} for i in range(count)]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    return {
        "model": tiny.write_model(folder / "model"),
        "prompts": tiny.write_dataset(folder / "prompts", prompt_rows(10), prompt_rows(12)[10:]),
    }


def rows_of(run_dir):
    return pq.read_table(run_dir / "output/data/train-00000-of-00001.parquet").to_pylist()


@pytest.fixture(scope="module")
def whole(inputs, tmp_path_factory):
    run_dir = tiny.make_run(tmp_path_factory.mktemp("runs") / "whole", "generate", RECIPE, inputs)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    return run_dir


def test_every_prompt_gets_its_completions_in_order(whole):
    rows = rows_of(whole)
    assert [(row["prompt_id"], row["index"]) for row in rows] == [(f"p{p}", i) for p in range(12) for i in range(3)]
    assert [row["temperature"] for row in rows[:3]] == [0.7, 1.0, 0.7]
    assert len({row["id"] for row in rows}) == len({row["seed"] for row in rows}) == 36
    assert pq.read_schema(whole / "output/data/train-00000-of-00001.parquet").equals(completions.SCHEMA)
    metrics = contract.read_manifest(whole)["metrics"]
    assert metrics["num_prompts"] == 12 and metrics["num_completions"] == 36
    assert metrics["mean_tokens"] == pytest.approx(sum(row["num_tokens"] for row in rows) / 36)


def test_a_completion_can_be_sampled_again_from_what_its_row_says(whole, inputs):
    row = rows_of(whole)[7]
    words = models.load_tokenizer(inputs["model"])
    prompt = datasets.render_prompt(words, prompt_rows(3)[2]["messages"])
    (again,) = sampling.sample(
        models.load_causal(inputs["model"], dtype=torch.float32), words, [prompt],
        seeds=[row["seed"]], temperatures=[row["temperature"]], top_p=row["top_p"], max_new_tokens=16, batch_size=1,
    )  # fmt: skip
    assert row["prompt_id"] == "p2" and again.text == row["text"]
    assert again.logprob == pytest.approx(row["logprob"], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("how", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, contract.EXIT_STOPPED)])
def test_killed_or_stopped_it_keeps_what_is_done_and_ends_in_the_same_bits(inputs, tmp_path, how, code):
    recipe = RECIPE | {"max_new_tokens": 100, "batch_size": 1}
    left_alone = tiny.make_run(tmp_path / "one/run", "generate", recipe, inputs)
    assert tiny.finish(left_alone) == contract.EXIT_DONE
    run_dir = tiny.make_run(tmp_path / "two/run", "generate", recipe, inputs)
    process = tiny.fork(run_dir)
    parts = run_dir / "checkpoints/sampling"
    patience = time.monotonic() + 60
    while len(list(parts.glob("part-*"))) < 3 and process.is_alive() and time.monotonic() < patience:
        time.sleep(0.002)
    tiny.os.kill(process.pid, how)
    process.join(60)
    assert process.exitcode == code
    kept = {path: path.stat().st_mtime_ns for path in parts.glob("part-*")}
    assert 3 <= len(kept) < 12

    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert all(path.stat().st_mtime_ns == at for path, at in kept.items())
    assert contract.read_manifest(run_dir)["sha256"] == contract.read_manifest(left_alone)["sha256"]


def test_progress_and_samples_are_told(whole):
    told = [event for event in tiny.events(whole, "progress") if event["phase"] == "sampling"]
    assert told[0]["step"] == 0 and told[-1]["step"] == told[-1]["total"] == 36
    assert len(tiny.events(whole, "sample")) == 10  # of each part every fourth


@pytest.mark.parametrize(
    ("rows", "code"),
    [([], "no_rows"), ([{"id": "p", "messages": [tiny.user("long " * 60)]}], "prompt_too_long")],
    ids=["no prompt", "too long"],
)
def test_what_cannot_be_answered_is_one_clear_failure(inputs, tmp_path, rows, code):
    given = inputs | {"prompts": tiny.write_dataset(tmp_path / "data", rows, None if rows else prompt_rows(1))}
    if not rows:
        (tmp_path / "data/data/test-00000-of-00001.parquet").unlink()
    run_dir = tiny.make_run(tmp_path / "run", "generate", RECIPE, given)
    assert tiny.finish(run_dir) == contract.EXIT_FAILED
    assert tiny.failure(run_dir)["code"] == code and tiny.failure(run_dir)["advice"]


def test_completions_end_where_the_recipe_says(inputs, tmp_path):
    recipe = RECIPE | {"min_new_tokens": 4, "stop_strings": ("e", "t", "\x1b")}
    run_dir = tiny.make_run(tmp_path / "run", "generate", recipe, inputs)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    rows = rows_of(run_dir)
    words = models.load_tokenizer(inputs["model"])
    for row in rows:
        assert row["ended"] or row["num_tokens"] == 16
        kept = len(words(row["text"], add_special_tokens=False)["input_ids"])
        assert "\ufffd" in row["text"] or kept in (
            row["num_tokens"],
            row["num_tokens"] - 1,
        )  # a token a byte, or the end
        assert row["num_tokens"] >= 4
    assert any(row["ended"] for row in rows)
    assert '"\\u001b"' in (run_dir / "output/README.md").read_text()


@pytest.mark.parametrize("changes", [{"min_new_tokens": 17}, {"stop_strings": ("",)}])
def test_a_recipe_by_which_nothing_could_end_is_refused(changes):
    with pytest.raises(ValueError, match=r"min_new_tokens|stop string"):
        GenerateRecipe(**(RECIPE | changes))
