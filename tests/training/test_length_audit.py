"""What of the preferences is length is told before the first step, and warned of where it is most of them."""

from __future__ import annotations

import pytest

from tests.training import tiny
from training import contract
from training.mechanics.preference.length_audit import audit
from training.recipes.dpo import DpoRecipe


def by_length(prompts: int, *, sign: int = 1):
    """The longer text is preferred, or, with -1, the shorter one."""
    rows = tiny.preference_rows(prompts)
    for row in rows:
        long, short = [tiny.assistant("abc" * 4)], [tiny.assistant("abc")]
        row["chosen"], row["rejected"] = (long, short) if sign > 0 else (short, long)
    return rows


def run_on(folder, rows, **changes):
    inputs = {"model": tiny.write_model(folder / "model"), "preferences": tiny.write_dataset(folder / "data", rows)}
    recipe = DpoRecipe.presets["tiny"] | {"epochs": 1, "batch_size": 24, "max_length": 96, "sample_tokens": 0}
    run_dir = tiny.make_run(folder / "run", "dpo", recipe | changes, inputs)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    return run_dir


def warned(run_dir) -> list[str]:
    return [one["sentence"] for one in tiny.events(run_dir, "warning") if one["code"] == "mostly_length"]


def test_it_counts_what_a_look_at_length_alone_gets_right():
    found = audit([(9, 3), (8, 4), (2, 6), (5, 5)], ["a", "b", "c", "d"])
    assert (found.longer, found.difference, found.right, found.n) == (0.625, 1.5, 0.625, 4)
    assert found.low <= found.right <= found.high
    shorter = audit([(3, 9)] * 3 + [(4, 2)], ["a", "b", "c", "d"])
    assert (shorter.longer, shorter.right) == (0.25, 0.75)


def test_repeated_comparisons_of_few_prompts_are_no_proof():
    lengths = [(9, 3)] * 40 + [(3, 9)] * 10
    few = audit(lengths, [f"g{i // 10}" for i in range(50)])
    many = audit(lengths, [f"g{i}" for i in range(50)])
    assert few.right == many.right == 0.8
    assert many.is_mostly_length and not few.is_mostly_length


@pytest.mark.parametrize(("sign", "way"), [(1, "longer"), (-1, "shorter")])
def test_preferences_for_length_are_told_before_the_first_step_with_advice(tmp_path, sign, way):
    run_dir = run_on(tmp_path, by_length(8, sign=sign))
    told = tiny.events(run_dir, "metric")[0]
    assert told["step"] == 0
    assert told["values"]["length_accuracy"] == 1.0
    assert told["values"]["length_difference"] == sign * 9
    assert contract.read_manifest(run_dir)["metrics"]["chosen_longer"] == (sign > 0)
    assert len(warned(run_dir)) == 1 and f"picks the {way} text" in warned(run_dir)[0]
    assert "sigmoid_norm" in warned(run_dir)[0] and "ld_alpha" in warned(run_dir)[0]


@pytest.mark.parametrize("changes", [{"loss": "sigmoid_norm", "beta": 5.0}, {"ld_alpha": 0.5}], ids=str)
def test_where_something_is_done_about_it_there_is_no_warning(tmp_path, changes):
    assert warned(run_on(tmp_path, by_length(6), **changes)) == []


def test_texts_of_one_length_give_none(tmp_path):
    run_dir = run_on(tmp_path, tiny.preference_rows(6))
    assert warned(run_dir) == []
    assert tiny.curve(run_dir, "length_accuracy")[0] == 0.5
