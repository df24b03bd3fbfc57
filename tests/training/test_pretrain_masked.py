"""Masked models: gaps fall as they should, a run finds more than counting would, and nobody takes it for a model that writes."""

from __future__ import annotations

import signal

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from transformers import AutoModelForMaskedLM, AutoTokenizer, PreTrainedTokenizerFast

from tests.training import tiny
from tests.training.test_pretrain import inputs, interrupt, weights
from training import contract
from training.contract import Failure
from training.mechanics import models
from training.mechanics.corpus.packing import InOrder, encode_documents
from training.mechanics.pretraining.architectures import add_mask_token
from training.mechanics.pretraining.masking import MaskedRows, Words
from training.recipes.pretrain import Masking, PretrainRecipe

RECIPE = PretrainRecipe.presets["tiny"] | {
    "architecture": "modernbert", "hidden_size": 32, "num_heads": 2, "context": 32, "batch_size": 16, "steps": 150,
    "warmup_steps": 4, "learning_rate": 1e-2, "eval_every": 50,
}  # fmt: skip


@pytest.fixture(scope="module")
def words() -> PreTrainedTokenizerFast:
    tokenizer = tiny.tokenizer()
    add_mask_token(tokenizer)
    return tokenizer


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("masked")
    run_dir = tiny.make_run(folder / "whole", "pretrain", RECIPE, inputs(folder))
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    return run_dir


def masked_rows(tokenizer, masking: Masking, *, texts: int = 400) -> MaskedRows:
    stream = encode_documents(tokenizer, ["One red house, two old trees."] * texts, most=10**6)
    rows = InOrder(stream, length=64, seed=5)
    return MaskedRows(rows, masking, Words.of(tokenizer), tokenizer.eos_token_id, tokenizer.eos_token_id)


# Gaps


def test_fifteen_percent_are_chosen_of_which_most_are_hidden_and_a_tenth_each_changed_or_kept(words):
    rows = masked_rows(words, Masking())
    gaps = rows.batch(0, rows.rows.rows_per_pass)
    before = np.stack([rows.rows.row(n) for n in range(rows.rows.rows_per_pass)]).reshape(-1)
    read = gaps.input_ids.reshape(-1)
    count = len(gaps.targets)

    assert count / np.isin(before, words.all_special_ids, invert=True).sum() == pytest.approx(0.15, abs=0.01)
    assert (before[gaps.places] == gaps.targets).all()
    assert not np.isin(gaps.targets, words.all_special_ids).any()
    assert (read[gaps.places] == words.mask_token_id).mean() == pytest.approx(0.8, abs=0.03)
    assert (read[gaps.places] == gaps.targets).mean() == pytest.approx(0.1, abs=0.03)
    untouched = np.delete(np.arange(len(read)), gaps.places)
    assert (read[untouched] == before[untouched]).all()


def test_gaps_are_a_function_of_the_rows_number(words):
    first, second = (masked_rows(words, Masking(next_sentence=True)) for _ in range(2))
    assert (first.batch(7, 3).input_ids == second.batch(6, 4).input_ids[1:]).all()
    assert not (first.batch(7, 1).places == first.batch(8, 1).places).all()


def test_words_are_hidden_whole(words):
    rows = masked_rows(words, Masking(share=0.3, whole_words=True))
    for number in range(20):
        gaps, ids = rows.batch(number, 1), rows.rows.row(number)
        numbers = rows.words.numbered(ids)
        assert 1 <= len(gaps.places) <= 0.3 * 64
        for word in set(numbers[gaps.places]):
            assert set(np.flatnonzero(numbers == word)) <= set(gaps.places)
    spelled = words("One red house", add_special_tokens=False)["input_ids"]
    assert rows.words.numbered(np.asarray(spelled)).tolist() == [0] * 3 + [1] + [2] * 3 + [3] + [4] * 5


def test_a_tokenizer_that_marks_what_goes_on_with_a_word_is_read_so():
    vocab = ["[UNK]", "[PAD]", "[MASK]", "play", "##ing", "##s", "now"]
    backend = Tokenizer(WordPiece({token: i for i, token in enumerate(vocab)}, unk_token="[UNK]"))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="[UNK]", pad_token="[PAD]", mask_token="[MASK]"
    )
    numbered = Words.of(tokenizer).numbered(np.asarray([3, 4, 6, 3, 5, 2, 4]))
    assert numbered.tolist() == [0, 0, 1, 2, 2, 3, 4]


def test_the_second_half_of_a_row_is_another_rows_by_a_coin(words):
    rows = masked_rows(words, Masking(next_sentence=True))
    gaps = rows.batch(0, rows.rows.rows_per_pass)
    assert gaps.input_ids.shape == gaps.token_type_ids.shape == (rows.rows.rows_per_pass, 64)
    assert gaps.follows.mean() == pytest.approx(0.5, abs=0.1)
    for ids, kinds in zip(gaps.input_ids, gaps.token_type_ids, strict=True):
        ends = np.flatnonzero(kinds == 0)[-1]
        assert ids[0] == ids[ends] == ids[-1] == words.eos_token_id
        assert 64 // 4 - 1 <= ends <= 64 - 64 // 4


# Runs


def test_a_run_finds_what_counting_would_not(whole):
    metrics = contract.read_manifest(whole)["metrics"]
    assert metrics["eval_masked_accuracy"] > metrics["bigram_accuracy"] + 0.1
    assert metrics["eval_masked_accuracy"] > metrics["majority_accuracy"] + 0.1
    assert sorted(tiny.curve(whole, "eval_masked_accuracy")) == [0, 50, 100, 150]
    assert "bits_per_byte" not in tiny.events(whole, "metric")[1]["values"]
    assert "<|mask|>" in tiny.events(whole, "sample")[0]["prompt"]


def test_it_is_published_as_a_masked_model_that_transformers_opens_and_refused_where_a_model_must_write(whole):
    model = AutoModelForMaskedLM.from_pretrained(whole / "output")
    tokenizer = AutoTokenizer.from_pretrained(whole / "output")
    assert model.config.vocab_size == len(tokenizer)
    assert tokenizer.mask_token == "<|mask|>"
    given = tiny.given(whole / "output", "model")
    for load in (models.load_causal, models.load_reward):
        with pytest.raises(Failure, match="masked language model") as caught:
            load(given, dtype=model.dtype)
        assert caught.value.code == "masked_model"
    assert PretrainRecipe.role_of(RECIPE) == "masked"
    assert PretrainRecipe.role_of({"architecture": "gpt2"}) == "base"


@pytest.mark.slow(seconds=3)
def test_stopped_it_resumes_and_ends_in_the_same_bits(whole, tmp_path):
    run_dir = tiny.same_run(whole, tmp_path / "again")
    assert interrupt(run_dir, signal.SIGTERM) == contract.EXIT_STOPPED
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert weights(run_dir) == weights(whole)
    assert tiny.curve(run_dir, "loss") == tiny.curve(whole, "loss")
    assert contract.read_manifest(run_dir)["metrics"] == contract.read_manifest(whole)["metrics"]
