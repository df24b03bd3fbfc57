"""The seam: events in one sequence, a manifest last of all, failures in a sentence, one process a folder."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.training import tiny
from training import contract
from training.__main__ import num_parameters
from training.contract import EventLog, Failure, Input, Spec, read_events
from training.recipes import RECIPES


def test_a_spec_comes_back_as_it_was():
    spec = Spec(
        "r1", "dpo", {"beta": 0.1}, {"model": Input("m", "model", "abc", base="b", between=("c",))}, seed=3, attempt=2
    )
    assert Spec.load(spec.dump()) == spec


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"run": "r", "method": "dpo", "recipe": {}, "more": 1}'])
def test_a_broken_spec_is_a_failure(tmp_path, text):
    (tmp_path / contract.SPEC).write_text(text)
    with pytest.raises(Failure) as refused:
        contract.read_spec(tmp_path)
    assert refused.value.code == "no_spec"


def test_attempts_share_one_sequence_of_events_and_a_torn_line_is_passed_over(tmp_path):
    path = tmp_path / contract.EVENTS
    first = EventLog(path)
    first.emit("log", {"text": "one"})
    first.emit("log", {"text": "two"})
    first.close()
    with path.open("a") as file:
        file.write('{"seq": 3, "kind": "lo')  # a killed writer
    assert [event["seq"] for event in read_events(path)] == [1, 2]
    second = EventLog(path)
    second.emit("log", {"text": "three"})
    second.close()
    assert [event["seq"] for event in read_events(path)] == [1, 2, 3]
    assert [event["payload"]["text"] for event in read_events(path, after=2)] == ["three"]


def test_a_number_that_is_not_finite_is_not_written(tmp_path):
    log = EventLog(tmp_path / contract.EVENTS)
    with pytest.raises(ValueError, match="JSON"):
        log.emit("metric", {"step": 1, "values": {"loss": float("nan")}})


def test_a_manifest_tells_when_an_output_was_changed(tmp_path):
    (tmp_path / "output").mkdir()
    (tmp_path / "output/report.json").write_text("{}")
    written = contract.write_manifest(tmp_path, kind="report", metrics={"kl": 1.0})
    assert contract.read_manifest(tmp_path) == written
    (tmp_path / "output/report.json").write_text("{ }")
    with pytest.raises(Failure) as refused:
        contract.read_manifest(tmp_path)
    assert refused.value.code == "output_differs"


def test_the_identity_of_a_folder_is_that_of_its_files_and_their_names(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x").write_text("1")
    before = contract.tree_sha256(contract.folder_files(tmp_path))
    (tmp_path / "a/x").rename(tmp_path / "a/y")
    assert contract.tree_sha256(contract.folder_files(tmp_path)) != before


# The program


def test_a_folder_that_another_process_holds_is_left_alone(tmp_path):
    run_dir = tiny.make_run(tmp_path / "run", "generate", {}, {})
    with (run_dir / contract.LOCK).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert tiny.finish(run_dir) == contract.EXIT_BUSY
    assert not (run_dir / contract.FAILURE).exists()


def test_a_finished_run_is_not_run_again(tmp_path):
    run_dir = tiny.make_run(tmp_path / "run", "generate", {}, {})
    (run_dir / contract.MANIFEST).write_text("{}")
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert not (run_dir / contract.EVENTS).exists()


@pytest.mark.parametrize(
    ("method", "recipe", "code"),
    [("no such", {}, "no_method"), ("dpo", {"bta": 1}, "bad_recipe"), ("dpo", {"beta": -1}, "bad_recipe"),
     ("generate", {}, "no_input")],
)  # fmt: skip
def test_what_cannot_be_begun_fails_in_a_sentence(tmp_path, method, recipe, code):
    run_dir = tiny.make_run(tmp_path / "run", method, recipe, {})
    assert tiny.finish(run_dir) == contract.EXIT_FAILED
    assert tiny.failure(run_dir)["code"] == code and tiny.failure(run_dir)["sentence"]


def test_an_old_failure_does_not_outlive_a_new_attempt(tmp_path):
    run_dir = tiny.make_run(tmp_path / "run", "generate", {}, {})
    contract.write_failure(run_dir, Failure("old", "Something else."))
    tiny.finish(run_dir)
    assert tiny.failure(run_dir)["code"] == "no_input"


# Recipes


@pytest.mark.parametrize("method", RECIPES)
def test_presets_are_recipes_and_every_field_says_what_it_is(method):
    recipe = RECIPES[method]
    assert recipe.summary and recipe.inputs
    assert {"tiny", "demo"} <= set(recipe.presets)
    for name in recipe.presets:
        dumped = recipe.preset(name).model_dump(mode="json")
        assert recipe.model_validate(json.loads(json.dumps(dumped))).model_dump(mode="json") == dumped
    assert not [name for name, field in recipe.model_fields.items() if not field.description]


def test_recipes_and_the_seam_do_without_torch():
    code = (
        "import sys, training.recipes, training.recipes.utility, training.contract; "
        "sys.exit(bool({'torch', 'transformers', 'numpy', 'django'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tiny.ROOT, check=False).returncode == 0


def test_parameters_are_counted_from_what_is_stored(tmp_path):
    save_file({"a": np.zeros((3, 4), np.float32), "b": np.zeros(5, np.float16)}, tmp_path / "model-1.safetensors")
    save_file({"c": np.zeros((), np.float32)}, tmp_path / "model-2.safetensors")
    assert num_parameters(tmp_path) == 18
