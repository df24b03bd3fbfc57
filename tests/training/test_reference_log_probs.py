"""The reference is asked once for every text, and what it said is taken for no other model, text or arithmetic."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from safetensors import safe_open

from tests.training import tiny
from training import contract
from training.context import Stopped
from training.mechanics.preference.reference import NAME, fingerprint, kept, take
from training.mechanics.shared_prefix import Text
from training.methods import dpo
from training.recipes.dpo import DpoRecipe

A, B, C = Text((1, 2, 3), 1, "g"), Text((1, 4), 1, "g"), Text((7, 8), 1, "h")
BATCHES = [[A, B], [B, C], [A]]


@pytest.fixture
def context(tmp_path):
    return tiny.open_run(tiny.make_run(tmp_path / "run", "dpo", {}, {}))


class Asked:
    """Says of a text the sum of its ids, and remembers what it was asked."""

    def __init__(self) -> None:
        self.batches: list[list[Text]] = []

    def __call__(self, texts: list[Text]) -> list[torch.Tensor]:
        self.batches.append(texts)
        return [torch.tensor([float(sum(text.ids))]) for text in texts]


def test_a_text_is_read_in_the_first_batch_that_holds_it_and_in_no_other(context):
    asked = Asked()
    found = take(BATCHES, read=asked, fingerprint="f", context=context)
    assert asked.batches == [[A, B], [C]]
    assert [found.total(text) for text in (A, B, C)] == [6, 5, 15]


def test_a_second_attempt_asks_for_nothing_and_finds_the_same(context):
    take(BATCHES, read=Asked(), fingerprint="f", context=context)
    again = Asked()
    found = take(BATCHES, read=again, fingerprint="f", context=context)
    assert again.batches == []
    assert [found.total(text) for text in (A, B, C)] == [6, 5, 15]


def test_under_another_fingerprint_everything_is_asked_for_anew(context):
    take(BATCHES, read=Asked(), fingerprint="f", context=context)
    again = Asked()
    take(BATCHES, read=again, fingerprint="other", context=context)
    assert again.batches == [[A, B], [C]]
    assert kept(context.dir / NAME, fingerprint="f") == ([], 0)


@pytest.mark.parametrize("damage", ["cut", "a byte flipped", "empty"])
def test_a_damaged_file_is_no_answer(context, damage):
    take(BATCHES, read=Asked(), fingerprint="f", context=context)
    path = context.dir / NAME
    raw = bytearray(path.read_bytes())
    raw[-20] ^= 1
    path.write_bytes({"cut": bytes(raw[:-7]), "a byte flipped": bytes(raw), "empty": b""}[damage])
    again = Asked()
    assert take(BATCHES, read=again, fingerprint="f", context=context).total(C) == 15
    assert again.batches == [[A, B], [C]]


def test_stopped_half_way_it_keeps_what_it_knows(context):
    def read(texts: list[Text]) -> list[torch.Tensor]:
        context.stop_requested = True
        return Asked()(texts)

    with pytest.raises(Stopped):
        take(BATCHES, read=read, fingerprint="f", context=context)
    context.stop_requested = False
    again = Asked()
    assert take(BATCHES, read=again, fingerprint="f", context=context).total(A) == 6
    assert again.batches == [[C]]


def test_the_fingerprint_is_of_the_models_files_the_texts_and_the_arithmetic(tmp_path):
    given = tiny.write_model(tmp_path / "model")
    found = [
        fingerprint(given, BATCHES, bf16=False),
        fingerprint(given, BATCHES, bf16=True),
        fingerprint(given, [[A, B]], bf16=False),
        fingerprint(given, [[B, A], [B, C], [A]], bf16=False),
        fingerprint(tiny.write_model(tmp_path / "other", seed=1), BATCHES, bf16=False),
        fingerprint(dataclasses.replace(given, base=str(tmp_path / "other")), BATCHES, bf16=False),
    ]
    assert len(set(found)) == len(found)
    assert fingerprint(given, BATCHES, bf16=False) == found[0]


# In a run

RECIPE = DpoRecipe.presets["tiny"] | {
    "epochs": 2,
    "batch_size": 6,
    "max_length": 96,
    "sample_tokens": 0,
    "eval_every": 4,
}


def built(folder, *, rows, **changes):
    run_dir = folder / "run"
    if not run_dir.exists():
        inputs = {"model": tiny.write_model(folder / "model"), "preferences": tiny.write_dataset(folder / "data", rows)}
        tiny.make_run(run_dir, "dpo", RECIPE | changes, inputs)
    context = tiny.open_run(run_dir)
    trainer = dpo.build(context, context.recipe, rows=rows, held_out=[], tokenizer=tiny.tokenizer())
    trainer.asked = []
    ask = trainer.ask_reference

    def counted(texts):
        trainer.asked += texts
        return ask(texts)

    trainer.ask_reference = counted
    return trainer


def test_a_run_reads_each_text_once_and_a_resumed_one_none(tmp_path):
    rows = tiny.preference_rows(7)  # 21 comparisons in batches of 6: some prompts stand in two batches
    first = built(tmp_path, rows=rows, batch_size=5)
    first.take_reference()
    texts = {(row["prompt"][0]["content"], row[side][0]["content"]) for row in rows for side in ("chosen", "rejected")}
    assert len(first.asked) == len(set(first.asked)) == len(texts) < 2 * len(rows)

    again = built(tmp_path, rows=rows)
    again.take_reference()
    assert again.asked == []
    for name in ("ref_chosen_logps", "ref_rejected_logps"):
        assert again.train_dataset[name] == first.train_dataset[name]
    again.train_to_the_end()
    assert tiny.curve(tmp_path / "run", "loss")[1] == pytest.approx(math.log(2), abs=1e-6)


def test_a_model_that_was_exchanged_behind_the_runs_back_is_asked_anew(tmp_path):
    rows = tiny.preference_rows(4)
    built(tmp_path, rows=rows).take_reference()
    tiny.write_model(tmp_path / "model", seed=5)
    again = built(tmp_path, rows=rows)
    again.take_reference()
    assert len(again.asked) == 12


def test_a_whole_run_keeps_it_outside_of_its_output_and_its_checkpoints(tmp_path):
    rows = tiny.preference_rows(4)
    inputs = {"model": tiny.write_model(tmp_path / "model"), "preferences": tiny.write_dataset(tmp_path / "data", rows)}
    run_dir = tiny.make_run(tmp_path / "run", "dpo", RECIPE, inputs)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert (run_dir / NAME).is_file()
    assert NAME not in contract.read_manifest(run_dir)["files"]


def test_with_ld_alpha_the_reference_is_asked_token_by_token_and_all_margins_begin_at_0(tmp_path):
    rows = tiny.preference_rows(4)
    for row in rows:
        row["chosen"][0]["content"] = row["chosen"][0]["content"][:3]
    trainer = built(tmp_path, rows=rows, ld_alpha=0.3)
    trainer.take_reference()
    trainer.train_to_the_end()
    assert tiny.curve(tmp_path / "run", "loss")[1] == pytest.approx(math.log(2), abs=1e-6)
    assert abs(tiny.curve(tmp_path / "run", "rewards/margins")[1]) < 1e-5
    lengths = {len(values) for values in kept(tmp_path / "run" / NAME, fingerprint=found_in(trainer))[0]}
    assert lengths == {5, 10}  # of three letters and of eight, with the end of the turn and its newline


def found_in(trainer) -> str:
    with safe_open(trainer.context.dir / NAME, framework="pt") as file:
        return file.metadata()["fingerprint"]
