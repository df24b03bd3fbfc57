"""Pretraining: rows and bits are counted right, a run learns more than counting would, and resumes in the same bits."""

from __future__ import annotations

import math
import os
import random
import signal
import time
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from tests.training import tiny
from training import contract
from training.contract import Failure
from training.mechanics import checkpoints
from training.mechanics.corpus import bits
from training.mechanics.corpus.packing import Rows, Stream, encode_documents
from training.mechanics.pretraining import architectures, optimizers
from training.methods import pretrain
from training.recipes.pretrain import PretrainRecipe

PATIENCE = 90
RECIPE = PretrainRecipe.presets["tiny"] | {
    "hidden_size": 32, "num_heads": 2, "context": 32, "batch_size": 8, "steps": 120, "warmup_steps": 4,
    "learning_rate": 1e-2, "eval_every": 40,
}  # fmt: skip


def texts(count: int, *, seed: int) -> list[dict[str, str]]:
    """A letter twelve places back says which letter stands here: more than any pair of letters could tell."""
    lot = random.Random(seed)
    rows = []
    for i in range(count):
        tune = "".join(lot.choice("abcdefgh") for _ in range(3))
        rows.append({"id": f"{seed}-{i}", "text": tune * 16, "source": "test"})
    return rows


def inputs(folder, *, train: int = 300, test: int = 20) -> dict[str, contract.Input]:
    words = folder / "tokenizer"
    tiny.tokenizer().save_pretrained(words)
    corpus = tiny.write_dataset(folder / "corpus", texts(train, seed=1), texts(test, seed=2) if test else None)
    return {"tokenizer": tiny.given(words, "tokenizer"), "corpus": corpus}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("pretrain")
    run_dir = tiny.make_run(folder / "whole", "pretrain", RECIPE, inputs(folder))
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    return run_dir


def weights(run_dir) -> str:
    return contract.file_sha256(run_dir / "output/model.safetensors")


# What is read


def stream_of(tokens: list[int], *, num_bytes: int = 1) -> Stream:
    return Stream((np.asarray(tokens, dtype=np.uint32),), num_bytes, 1)


def test_each_pass_reads_each_row_once_and_each_pass_in_another_order():
    rows = Rows(stream_of(list(range(1000))), length=10, seed=3)
    passes = [rows.batch_BT(start, 99) for start in (0, 99)]
    for read in passes:
        assert (np.diff(read, axis=1) == 1).all()
        assert len(np.unique(read)) == 990
    assert not (passes[0] == passes[1]).all()


def test_a_row_is_a_function_of_its_number_alone():
    first, second = (Rows(stream_of(list(range(1000))), length=10, seed=3) for _ in range(2))
    late = second.batch_BT(150, 8)
    first.batch_BT(0, 150)
    assert (first.batch_BT(150, 8) == late).all()
    assert not (Rows(stream_of(list(range(1000))), length=10, seed=4).batch_BT(150, 8) == late).all()


def test_documents_end_with_the_end_token_and_no_text_can_spell_it():
    words = tiny.tokenizer()
    stream = encode_documents(words, ["ab", "<|im_end|>c"], most=1000)
    assert list(stream.read(0, len(stream))).count(words.eos_token_id) == 2
    assert words.decode(stream.read(0, len(stream)).tolist()) == "ab<|im_end|><|im_end|>c<|im_end|>"
    assert stream.num_bytes == 13


def test_no_more_documents_are_read_than_are_asked_for():
    stream = encode_documents(tiny.tokenizer(), ["abcd"] * 1000, most=12)
    assert (len(stream), stream.num_documents, stream.num_bytes) == (15, 3, 12)


def test_a_corpus_shorter_than_two_rows_is_refused_with_a_sentence():
    with pytest.raises(Failure, match="need at least 64"):
        Rows(stream_of(list(range(50))), length=32, seed=0)


# Bits per byte


def test_a_model_that_knows_nothing_needs_log2_of_the_vocabulary_for_each_token():
    model = tiny_llama(vocab_size=16)
    for weight in model.parameters():
        nn.init.zeros_(weight)
    stream = stream_of([1, 5, 9, 3, 7, 7, 2], num_bytes=12)
    assert measured(model, stream, length=4) == pytest.approx(6 * 4 / 12)


def test_bits_are_the_same_however_the_rows_are_batched():
    torch.manual_seed(0)
    model = tiny_llama(vocab_size=16)
    stream = stream_of([(i * i) % 16 for i in range(50)], num_bytes=50)
    one_by_one = measured(model, stream, length=8, batch_size=1)
    assert measured(model, stream, length=8, batch_size=5) == pytest.approx(one_by_one, rel=1e-5)

    tokens = torch.tensor(stream.read(0, len(stream)))[None]
    with torch.no_grad():
        log_probs = model(tokens[:, :-1]).logits.log_softmax(dim=-1)
    exact = -log_probs.gather(-1, tokens[:, 1:, None]).sum().item() / math.log(2) / 50
    assert measured(model, stream, length=49) == pytest.approx(exact, rel=1e-5)


def test_counting_is_worked_by_hand():
    train, held_out = stream_of([0, 1, 0, 1, 0, 1]), stream_of([0, 1, 1], num_bytes=2)
    # Of 6 tokens three are 0 and three are 1; one is added to each: 4/8 and 4/8.
    assert bits.unigram_bits_per_byte(train, held_out, vocab_size=2) == pytest.approx(1.0)
    # 3/4 of a count is taken from each pair. 1 follows 0 three times of three: (3 - 3/4) / 3 + 1/4 of a half; 1 was never
    # seen behind 1, which two tokens stand behind, of one kind: 3/8 of a half.
    by_hand = -(math.log2(0.875) + math.log2(0.1875)) / 2
    assert bits.bigram_bits_per_byte(train, held_out, vocab_size=2) == pytest.approx(by_hand)


def tiny_llama(*, vocab_size: int) -> LlamaForCausalLM:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocab_size, hidden_size=16, intermediate_size=32, num_hidden_layers=1,
            num_attention_heads=2, max_position_embeddings=64, tie_word_embeddings=True, pad_token_id=0,
        )
    )  # fmt: skip


def measured(model, stream, *, length: int, batch_size: int = 4) -> float:
    return bits.bits_per_byte(
        model, stream, length=length, batch_size=batch_size, autocast=nullcontext, tell=lambda done, total: None
    )


# What is trained


@pytest.mark.parametrize(("hidden_size", "num_layers", "vocab_size"), [(64, 2, 512), (256, 6, 4096), (1024, 2, 4096)])
def test_before_training_the_loss_is_the_logarithm_of_the_vocabulary(hidden_size, num_layers, vocab_size):
    recipe = PretrainRecipe(hidden_size=hidden_size, num_layers=num_layers, context=64)
    words = tiny.tokenizer()
    words.add_tokens([f"<{i}>" for i in range(vocab_size - len(words))])
    model = architectures.build_model(recipe, tokenizer=words, seed=0)
    architectures.check_first_loss(model)

    nn.init.normal_(model.model.embed_tokens.weight, std=0.3)
    with pytest.raises(Failure) as caught:
        architectures.check_first_loss(model)
    assert caught.value.code == "first_loss"


def test_decay_is_for_matrices_and_never_for_norms_or_the_embeddings():
    recipe = PretrainRecipe(**RECIPE, weight_decay=0.1)
    model = architectures.build_model(recipe, tokenizer=tiny.tokenizer(), seed=0)
    names = {id(weight): name for name, weight in model.named_parameters()}
    (adamw,) = optimizers.build_optimizers(model, recipe)
    decayed, plain = adamw.param_groups
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    assert all(names[id(weight)].endswith("proj.weight") for weight in decayed["params"])
    assert all("norm" in names[id(weight)] or "embed" in names[id(weight)] for weight in plain["params"])
    assert len(decayed["params"]) + len(plain["params"]) == len(names)


def test_the_rate_rises_to_the_peak_and_falls_to_a_tenth():
    recipe = PretrainRecipe(learning_rate=1.0, warmup_steps=10, steps=110)
    rates = [optimizers.share_at(step, recipe) for step in range(110)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10] == max(rates) == 1.0
    assert rates[60] == pytest.approx(0.55)
    assert rates[-1] == pytest.approx(0.1, abs=1e-3)


def test_a_run_learns_what_counting_pairs_could_not(whole):
    metrics = contract.read_manifest(whole)["metrics"]
    assert metrics["eval_bits_per_byte"] < 0.7 * metrics["bigram_bits_per_byte"]
    assert metrics["bigram_bits_per_byte"] < metrics["unigram_bits_per_byte"] + 0.05
    losses = tiny.curve(whole, "loss")
    assert losses[1] == pytest.approx(math.log(len(tiny.tokenizer())), abs=0.2)
    assert losses[120] < 0.5 * losses[1]


def test_a_run_shows_curves_and_samples_as_it_learns(whole):
    assert sorted(tiny.curve(whole, "eval_bits_per_byte")) == [0, 40, 80, 120]
    assert sorted(tiny.curve(whole, "bits_per_byte")) == list(range(1, 121))
    assert {sample["step"] for sample in tiny.events(whole, "sample")} == {0, 40, 80, 120}
    assert all(sample["prompt"] for sample in tiny.events(whole, "sample"))
    last = [progress for progress in tiny.events(whole, "progress") if progress["phase"] == "training"][-1]
    assert (last["step"], last["total"]) == (120, 120)
    assert last["rate"] > 0


def test_what_is_published_is_a_model_that_transformers_opens(whole):
    model = AutoModelForCausalLM.from_pretrained(whole / "output")
    words = AutoTokenizer.from_pretrained(whole / "output")
    assert model.config.vocab_size == len(words)
    assert model.generation_config.eos_token_id == words.eos_token_id != words.pad_token_id
    assert words.model_max_length == RECIPE["context"]
    ids = words("abcabcabcabcabc", return_tensors="pt", add_special_tokens=False)["input_ids"]
    written = model.generate(ids, max_new_tokens=6, do_sample=False)
    assert words.decode(written[0, -6:]) == "abcabc"


def test_a_corpus_without_held_out_text_trains_and_claims_no_number_about_it(tmp_path):
    recipe = RECIPE | {"steps": 2, "eval_every": 2}
    run_dir = tiny.make_run(tmp_path / "run", "pretrain", recipe, inputs(tmp_path, test=0))
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert "eval_bits_per_byte" not in contract.read_manifest(run_dir)["metrics"]
    assert "no_held_out" in [warning["code"] for warning in tiny.events(run_dir, "warning")]


def test_a_rate_that_breaks_the_model_ends_the_run_and_keeps_the_good_checkpoint(tmp_path, monkeypatch):
    run_dir = tiny.make_run(tmp_path / "run", "pretrain", RECIPE | {"steps": 9, "eval_every": 2}, inputs(tmp_path))
    true_share = optimizers.share_at
    monkeypatch.setattr(pretrain, "share_at", lambda step, recipe: 1e38 if step == 4 else true_share(step, recipe))
    assert tiny.finish(run_dir) == contract.EXIT_FAILED
    assert tiny.failure(run_dir)["code"] == "not_finite"
    assert checkpoints.newest(run_dir / "checkpoints").name == "checkpoint-4"


# Going on


def interrupt(run_dir, how: signal.Signals) -> int | None:
    """Sends the signal to a process of its own, once its first checkpoint stands; gives the exit code."""
    process = tiny.fork(run_dir)
    patience = time.monotonic() + PATIENCE
    while checkpoints.newest(run_dir / contract.CHECKPOINTS) is None and process.is_alive():
        assert time.monotonic() < patience
        time.sleep(0.002)
    os.kill(process.pid, how)
    process.join(PATIENCE)
    return process.exitcode


@pytest.mark.slow(seconds=3)
@pytest.mark.parametrize(("how", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, contract.EXIT_STOPPED)])
def test_killed_or_stopped_it_resumes_and_ends_in_the_same_bits(whole, tmp_path, how, code):
    run_dir = tiny.same_run(whole, tmp_path / "again")
    assert interrupt(run_dir, how) == code
    assert not (run_dir / contract.MANIFEST).exists()

    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert any(entry["text"].startswith("Resuming from") for entry in tiny.events(run_dir, "log"))
    assert weights(run_dir) == weights(whole)
    assert contract.read_manifest(run_dir)["metrics"] == contract.read_manifest(whole)["metrics"]
    for name in ("loss", "eval_bits_per_byte"):
        assert tiny.curve(run_dir, name) == tiny.curve(whole, name)


def test_another_seed_gives_another_model(whole, tmp_path):
    other = tiny.make_run(tmp_path / "other", "pretrain", RECIPE | {"steps": 1, "seed": 1}, inputs(tmp_path))
    assert tiny.finish(other) == contract.EXIT_DONE
    assert weights(other) != weights(whole)
    assert tiny.curve(other, "loss")[1] != tiny.curve(whole, "loss")[1]
