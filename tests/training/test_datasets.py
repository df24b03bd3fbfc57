"""Rows come from the split that was asked for, and conversations become the tokens that training saw."""

from __future__ import annotations

import pytest

from tests.training import tiny
from training.contract import Failure
from training.mechanics import datasets


def test_rows_of_a_split_come_in_order_and_other_splits_stay_out(tmp_path):
    given = tiny.write_dataset(tmp_path / "d", tiny.instruction_rows(5), tiny.instruction_rows(2, first=5))
    assert [row["id"] for row in datasets.read_rows(given, split="train")] == list("01234")
    assert [row["id"] for row in datasets.read_rows(given, split="test")] == list("56")
    assert [row["id"] for row in datasets.read_rows(given, split="train", limit=2)] == list("01")


def test_a_split_that_is_not_there_has_no_rows(tmp_path):
    assert datasets.read_rows(tiny.write_dataset(tmp_path / "d", tiny.instruction_rows(1)), split="test") == []


def test_a_file_that_is_no_parquet_is_a_failure(tmp_path):
    given = tiny.write_dataset(tmp_path / "d", tiny.instruction_rows(1))
    (tmp_path / "d/data/train-00000-of-00001.parquet").write_text("rows")
    with pytest.raises(Failure) as refused:
        datasets.read_rows(given, split="train")
    assert refused.value.code == "bad_dataset"


def test_a_prompt_ends_where_the_assistant_speaks_and_a_conversation_with_its_last_turns_end():
    words = tiny.tokenizer()
    asked = [tiny.user("Hi")]
    prompt = datasets.render_prompt(words, asked)
    whole = datasets.render_conversation(words, [*asked, tiny.assistant("Yes.")])
    assert words.decode(prompt) == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert whole[: len(prompt)] == prompt
    assert words.decode(whole[len(prompt) :]) == "Yes.<|im_end|>\n"


def test_without_a_chat_template_a_model_goes_on_from_the_words():
    words = tiny.tokenizer()
    words.chat_template = None
    words.bos_token = "<|im_start|>"
    assert (
        words.decode(datasets.render_prompt(words, [tiny.user("Once"), tiny.user("upon")])) == "<|im_start|>Once\nupon"
    )
    assert datasets.render_conversation(words, [tiny.user("Once")])[-1] == words.eos_token_id
