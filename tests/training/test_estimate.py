"""What a probe says that a run would take: its arithmetic by a clock of our own, and methods that are really cut short."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from datasets import Dataset

from tests.training import tiny
from tests.training.constituted import HARMFUL, write_constitution, write_harmful_model, write_prompts
from training import contract
from training.contract import Input
from training.mechanics.estimate import probe as probes
from training.mechanics.estimate.counting import Counter
from training.mechanics.estimate.probe import Probe, Probed, Reading, spread
from training.mechanics.estimate.steps import some_batches
from training.mechanics.parts import probed
from training.mechanics.pretraining.architectures import build_model
from training.recipes import RECIPES


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(probes, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


# The arithmetic


def test_the_rest_of_a_loop_is_owed_at_the_pace_of_what_was_timed(clock):
    probe = Probe(began=0.0)
    loop = probe.loop("training", total=100, unit="steps")
    for seconds in (5.0, 3.0, 1.0, 1.0, 1.0):  # two that warm up
        with loop.one():
            clock.now += seconds
    loop.leave()
    assert probe.now().seconds == pytest.approx(5 + 3 + 98 * 1.0)


def test_units_that_differ_are_owed_by_their_weight(clock):
    probe = Probe(began=0.0)
    loop = probe.loop("training", total=1000, unit="steps")
    loop.warm_up = 0
    for tokens in (10, 50, 40):
        with loop.one(weight=tokens):
            clock.now += 0.1 * tokens
    loop.leave()
    assert probe.now().seconds == pytest.approx(0.1 * 1000)


def test_a_loop_is_left_after_three_seconds_of_steps_or_eight_of_anything(clock):
    probe = Probe(began=0.0)
    fast, slow = (probe.loop(name, total=100, unit="steps") for name in ("fast", "slow"))
    for _ in range(5):
        assert not fast.is_enough()
        with fast.one():
            clock.now += 1.0
    assert fast.is_enough()
    with slow.one():
        clock.now += 9.0
    assert slow.is_enough()


def test_what_comes_back_in_a_loop_is_no_part_of_its_steps(clock):
    probe = Probe(began=0.0)
    loop = probe.loop("training", total=10, unit="steps")
    loop.warm_up = 0
    for number in range(2):
        with loop.one():
            clock.now += 1.0
            if number == 1:
                with probe.timed("evaluation", units=4):
                    clock.now += 8.0
    loop.leave()
    probe.owe("evaluation", total=12, unit="rows")
    assert probe.now().seconds == pytest.approx(10 * 1.0 + 12 * 2.0)


def test_what_an_inner_loop_owes_is_owed_by_each_turn_of_the_outer_one(clock):
    probe = Probe(began=0.0)
    outer = probe.loop("rollouts", total=5, unit="rollouts")
    with outer.one():
        inner = probe.loop("passes", total=10, unit="passes")
        with inner.one():
            clock.now += 2.0
        inner.leave()
    outer.leave()
    assert probe.now().seconds == pytest.approx(5 * 10 * 2.0)
    assert [part.phase for part in probe.parts] == ["rollouts"]


def test_what_was_done_twice_or_for_the_estimate_alone_is_given_back(clock):
    probe = Probe(began=0.0)
    loop = probe.loop("sampling", total=8, unit="completions")
    for places in (2, 8):
        with loop.one(weight=places):
            clock.now += places
    loop.leave()
    with probe.not_counted():
        clock.now += 100.0
    assert probe.now().seconds == pytest.approx(8.0)


def test_a_long_phase_that_nothing_cuts_short_is_left_with_what_it_owes(clock):
    probe = Probe(began=0.0)
    probe.passed("counting", 0, 100, is_paced=True)
    clock.now = 19.0
    probe.passed("counting", 5, 100, is_paced=True)
    clock.now = 40.0
    with pytest.raises(Probed):
        probe.passed("counting", 10, 100, is_paced=True)
    assert (probe.now().seconds, probe.left_in) == (pytest.approx(400.0), "counting")


def test_the_range_grows_with_what_the_timed_units_differ_by(clock):
    widths = []
    for seconds in ((1.0, 1.0, 1.0), (0.2, 1.0, 1.8)):
        began = clock.now
        probe = Probe(began=began)
        loop = probe.loop("training", total=100, unit="steps")
        loop.warm_up = 0
        for some in seconds:
            with loop.one():
                clock.now += some
        loop.leave()
        low, high = probe.range()
        assert low < probe.now().seconds < high
        widths.append(high - low)
    assert widths[0] == pytest.approx(20.0)  # a tenth to either side
    assert widths[1] == pytest.approx(2 * 2 * 97 * 0.8 / 3**0.5)


def test_any_beginning_of_a_spread_order_stands_for_the_whole():
    assert [sorted(spread(n)) for n in range(6)] == [list(range(n)) for n in range(6)]
    assert sum(spread(99)[:3]) / 3 == pytest.approx(49, abs=2)


def test_held_out_rows_stand_for_all_in_whole_batches():
    rows = Dataset.from_dict({"row": list(range(105))})
    begins = [0, 20, 50, 70]  # of ten whole batches
    assert some_batches(rows, 4, size=10)["row"] == [begin + row for begin in begins for row in range(10)]
    assert some_batches(rows, 11, size=10) is rows
    assert some_batches([*range(105)], 2, size=10) == [*range(20)]


def test_readings_add_up_field_by_field():
    assert Reading(1, 2, 3, 4) * 2 - Reading(1, 1, 1, 1) == Reading(1, 3, 5, 7)


# Methods


@pytest.fixture
def hasty(monkeypatch):
    """A probe that has seen enough after a few units: two that warm up, one or two more."""
    monkeypatch.setattr(probes, "SECONDS", 0.0)
    monkeypatch.setattr(probes, "FEWEST", 1)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def model(home) -> Input:
    return tiny.write_model(home / "model")


@pytest.fixture(scope="module")
def instructions(home) -> Input:
    return tiny.write_dataset(home / "instructions", tiny.instruction_rows(96), tiny.instruction_rows(40, first=96))


def estimated(folder: Path, method: str, changes: dict[str, Any], inputs: dict[str, Input]) -> dict[str, Any]:
    recipe = RECIPES[method].preset("tiny", **changes).model_dump(mode="json")
    run_dir = tiny.make_run(folder, method, recipe, inputs)
    spec = contract.read_spec(run_dir)
    (run_dir / contract.SPEC).write_text(replace(spec, is_estimate=True).dump())
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    manifest = contract.read_manifest(run_dir)
    assert (manifest["kind"], list(manifest["files"])) == ("report", ["estimate.json"])
    assert not tiny.events(run_dir, "metric") and not tiny.events(run_dir, "sample")
    report: dict[str, Any] = json.loads((run_dir / "output/estimate.json").read_text())
    assert report["seconds_low"] < report["seconds"] < report["seconds_high"]
    assert sum(part["seconds"] for part in report["parts"]) == pytest.approx(report["seconds"], abs=0.2)
    assert 0 < report["memory"] < report["machine"]["memory"]
    return report


def parts(report: dict[str, Any]) -> dict[str, float]:
    return {part["phase"]: part["total"] for part in report["parts"]}


def test_pretraining_is_foreseen_to_the_token_and_by_six_flops_a_parameter(tmp_path, hasty):
    words = tmp_path / "words"
    tiny.tokenizer().save_pretrained(words)
    rows = [{"id": str(i), "text": "It is so, and so it is. " * 20, "source": ""} for i in range(60)]
    inputs = {
        "tokenizer": tiny.given(words, "tokenizer"),
        "corpus": tiny.write_dataset(tmp_path / "texts", rows[:50], rows[50:]),
    }
    fields = {"steps": 500, "eval_every": 100, "context": 64, "sweep": (0.5, 1.0), "sweep_steps": 10}
    report = estimated(tmp_path / "run", "pretrain", fields, inputs)
    tokens = (500 + 2 * 10) * 8 * 64
    assert report["tokens_learned"] == tokens
    found = parts(report)
    assert (found["training"], found["samples"], found["checkpoints"]) == (520, 5, 5)
    read = report["tokens_read"]
    per_token = (report["flops"] - 2 * read * num_weights(fields)) / tokens
    assert per_token == pytest.approx(6 * num_weights(fields), rel=1e-6)


def num_weights(fields: dict[str, Any]) -> int:
    """Of the tiny preset's Llama, whose embedding is its output matrix too."""
    recipe = RECIPES["pretrain"].preset("tiny", **fields)
    built: int = build_model(recipe, tokenizer=tiny.tokenizer(), seed=0).num_parameters()
    return built


def test_supervised_fine_tuning_counts_evaluations_by_rows(tmp_path, hasty, model, instructions):
    fields = {"epochs": 10, "eval_every": 12, "packing": False}
    report = estimated(tmp_path / "run", "sft", fields, {"model": model, "instructions": instructions})
    found = parts(report)
    assert (found["training"], found["checkpoints"]) == (120, 10)
    # All 40 before the first step and after each of 10 stretches; the one behind the last step is the last of these.
    assert found["evaluation"] == 40 * 11 - 32
    assert found["samples"] == 10


def test_what_fine_tuning_learns_from_is_foreseen(tmp_path, hasty, model, instructions):
    fields = {"epochs": 2, "eval_every": 12, "packing": False, "sample_tokens": 0}
    inputs = {"model": model, "instructions": instructions}
    report = estimated(tmp_path / "probe", "sft", fields, inputs)
    recipe = RECIPES["sft"].preset("tiny", **fields).model_dump(mode="json")
    run_dir = tiny.make_run(tmp_path / "run", "sft", recipe, inputs)
    whole = Probe()
    counter = Counter(whole)
    try:
        assert tiny.finish(run_dir) == contract.EXIT_DONE
    finally:
        counter.close()
    assert report["tokens_learned"] == pytest.approx(whole.counted.learned, rel=0.05)
    assert report["flops"] == pytest.approx(whole.counted.flops, rel=0.1)
    used = contract.read_manifest(run_dir)["used"]
    assert used["memory"] > 0 and used["seconds"] > 0
    said = [event["used"] for event in tiny.events(run_dir, "log") if "used" in event]
    assert len(said) == 1 and 0 < said[0]["memory"] <= used["memory"]


def test_dpo_asks_its_reference_for_some_texts_alone(tmp_path, hasty, model):
    preferences = tiny.write_dataset(
        tmp_path / "preferences", tiny.preference_rows(40), tiny.preference_rows(12, first=40)
    )
    report = estimated(tmp_path / "run", "dpo", {"epochs": 4}, {"model": model, "preferences": preferences})
    found = parts(report)
    assert found["training"] == 4 * 8  # 120 comparisons, 16 at a time
    assert found["reference"] > 4 and report["tokens_learned"] > 0


def test_generation_samples_some_and_foresees_all(tmp_path, hasty, model):
    rows = [{"id": str(i), "messages": [tiny.user(f"Say {i}")]} for i in range(120)]
    prompts = tiny.write_dataset(tmp_path / "prompts", rows)
    fields = {"k": 4, "batch_size": 8, "max_new_tokens": 8}
    report = estimated(tmp_path / "run", "generate", fields, {"model": model, "prompts": prompts})
    assert parts(report)["sampling"] == 480
    assert report["tokens_learned"] == 0
    assert 480 * 2 < report["tokens_read"] < 480 * 8 + 120 * 40


@pytest.mark.slow(seconds=3)
def test_one_round_of_revisions_stands_for_all(tmp_path, hasty):
    rows = [f"{asked} {number}" for number in range(40) for asked in HARMFUL]
    inputs = {
        "model": write_harmful_model(tmp_path / "model"), "constitution": write_constitution(tmp_path / "rules"),
        "prompts": write_prompts(tmp_path / "prompts", rows),
    }  # fmt: skip
    changes = {"critic": "model", "max_new_tokens": 8, "critique_tokens": 8, "batch_size": 4}
    reports = {
        rounds: estimated(tmp_path / f"run-{rounds}", "constitutional", changes | {"rounds": rounds}, inputs)
        for rounds in (1, 8)
    }
    assert parts(reports[8])["rounds"] == 8 and parts(reports[8])["answers"] == len(rows)
    of_answers, of_one = (reports[rounds]["tokens_read"] for rounds in (1, 8))
    per_round = 8 * len(rows) * 2  # at least: a token read and up to 8 written, twice a round
    assert of_one - of_answers > 7 * per_round / 8


def test_what_takes_long_is_timed_by_a_sixteenth(clock):
    def timed(seconds: float) -> tuple[int, float]:
        """How many of 160 places are done at so many seconds each, and how long all of them should take."""
        done: list[int] = []

        def work(places: list[int], tell: Any) -> list[dict[str, Any]]:
            done.extend(places)
            clock.now += seconds * len(places)
            return [{"at": place} for place in places]

        probe = Probe(began=clock.now)
        rows = probed(probe, "texts", [list(range(160))], work, unit="texts")
        assert len(rows) == 160
        return len(done), probe.now().seconds

    assert timed(2.0) == (10, 320.0)  # 20 s are enough
    num, seconds = timed(0.01)
    assert num == 10 + 40 + 160 and seconds == pytest.approx(1.6)


def test_a_probe_that_is_started_again_finds_nothing_done(tmp_path, hasty, model):
    prompts = tiny.write_dataset(tmp_path / "prompts", [{"id": "0", "messages": [tiny.user("Say")]}])
    folder = tmp_path / "run"
    (folder / "checkpoints/sampling").mkdir(parents=True)
    (folder / "reference.safetensors").write_text("of an attempt that was killed")
    recipe = RECIPES["generate"].preset("tiny", max_new_tokens=4).model_dump(mode="json")
    spec = contract.Spec("run", "generate", recipe, {"model": model, "prompts": prompts}, attempt=2, is_estimate=True)
    (folder / contract.SPEC).write_text(spec.dump())
    assert tiny.finish(folder) == contract.EXIT_DONE
    assert not (folder / "reference.safetensors").exists()


def test_what_does_not_fit_is_refused_as_the_run_refuses_it(tmp_path, model, instructions):
    recipe = RECIPES["sft"].preset("tiny", max_length=16).model_dump(mode="json")
    run_dir = tiny.make_run(tmp_path / "run", "sft", recipe, {"model": model, "instructions": instructions})
    spec = contract.read_spec(run_dir)
    (run_dir / contract.SPEC).write_text(replace(spec, is_estimate=True).dump())
    assert tiny.finish(run_dir) == contract.EXIT_FAILED
    assert not (run_dir / contract.MANIFEST).exists()
