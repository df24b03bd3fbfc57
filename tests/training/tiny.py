"""Models, datasets and runs small enough for a test: 0.1M parameters from a fixed seed, written as real folders."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import subprocess
import sys
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from benchmarks.real_rankings import comparisons_of
from training import __main__ as program
from training import contract
from training.context import RunContext
from training.contract import Input, Spec

ROOT = Path(__file__).parents[2]
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL = ["<|pad|>", "<|im_start|>", "<|im_end|>"]

# One process imports torch and the trainers, once; every fork of it is a run that may be killed.
SERVER = multiprocessing.get_context("forkserver")
FORKED = [f"training.methods.{name}" for name in ("sft", "finetune", "reward", "dpo", "kto")]
SERVER.set_forkserver_preload([*FORKED, "tests.training.settled"])


def tokenizer() -> PreTrainedTokenizerFast:
    """A token a byte, and three special ones."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: i for i, token in enumerate(SPECIAL + alphabet)}
    bpe = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token="<|pad|>", eos_token="<|im_end|>", additional_special_tokens=["<|im_start|>"]
    )
    fast.chat_template = CHATML
    return fast


def write_model(folder: Path, *, seed: int = 0, poison: bool = False, heads: int = 4, positions: int = 256) -> Input:
    """A causal Llama of 2 layers; `poison` makes one of its weights NaN."""
    torch.manual_seed(seed)
    words = tokenizer()
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=heads,
        num_key_value_heads=heads // 2,
        max_position_embeddings=positions,
        tie_word_embeddings=True,
        pad_token_id=words.pad_token_id,
        eos_token_id=words.eos_token_id,
        bos_token_id=words.convert_tokens_to_ids("<|im_start|>"),
    )
    model = LlamaForCausalLM(config)
    if poison:
        model.model.layers[1].mlp.down_proj.weight.data[0, 0] = float("nan")
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return given(folder, "model")


def given(folder: Path, kind: str, *, base: str | None = None, between: tuple[str, ...] = ()) -> Input:
    sha256 = contract.tree_sha256(contract.folder_files(folder))
    return Input(str(folder), kind, sha256, base=base, between=between)


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


# Preferences: of the texts of one prompt, the one with more of the letter "a" is preferred

GOOD, BAD = "a", "z"


def preference_rows(
    prompts: int, *, seed: int = 0, permuted: bool = False, first: int = 0, texts: int = 3
) -> list[dict[str, Any]]:
    """All comparisons of `texts` ranked texts for each prompt; `permuted` ranks them by lot."""
    lot = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for p in range(first, first + prompts):
        counts = lot.sample(range(9), texts)
        said = {n: "".join(lot.sample(GOOD * n + BAD * (8 - n), 8)) for n in counts}
        order = lot.sample(counts, texts) if permuted else sorted(counts, reverse=True)
        pairs = [(a, b) for i, a in enumerate(order) for b in order[i + 1 :]]
        rows += [
            {
                "id": f"{p}-{i}",
                "group_id": f"g{p}",
                "prompt_id": f"p{p}",
                "ranking_id": f"r{p}",
                "rater": "ada",
                "prompt": [user(f"Say {p}")],
                "chosen": [assistant(said[a])],
                "rejected": [assistant(said[b])],
                "margin": 1.0,
                "weight": 1 / len(pairs),
                "simulated": False,
            }
            for i, (a, b) in enumerate(pairs)
        ]
    return rows


def ranked(
    prompts: int, *, seed: int = 0, first: int = 0, texts: int = 4, raters: tuple[str, ...] = ("ada",)
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rankings by each rater, with ties, and their comparisons; a rater whose name begins with "x" ranks by lot."""
    lot = random.Random(seed)
    rankings: list[dict[str, Any]] = []
    for p in range(first, first + prompts):
        said = {f"{p}-{i}": "".join(lot.sample(GOOD * n + BAD * (8 - n), 8)) + "bcdefgh"[i]
                for i in range(texts) for n in [lot.randrange(9)]}  # fmt: skip
        for rater in raters:
            worth = {name: lot.random() if rater.startswith("x") else text.count(GOOD) for name, text in said.items()}
            tiers = [sorted(n for n in said if worth[n] == w) for w in sorted(set(worth.values()), reverse=True)]
            rankings.append(
                {
                    "group_id": f"g{p}", "ranking_id": f"r{p}-{rater}", "prompt": [user(f"Say {p}")],
                    "completions": [{"id": name, "text": text} for name, text in said.items()], "tiers": tiers,
                    "strengths": [1] * (len(tiers) - 1), "rater": rater, "seconds": 1.0, "simulated": True,
                }
            )  # fmt: skip
    return rankings, [row for ranking in rankings for row in comparisons_of(ranking, share=1 / len(raters))]


def instruction_rows(count: int, *, first: int = 0) -> list[dict[str, Any]]:
    """One question and one answer, or two of each; an answer repeats a letter of its question."""
    rows = []
    for i in range(first, first + count):
        letter = "abcdefgh"[i % 8]
        talk = [user(f"{letter}{i}?"), assistant(letter * (2 + i % 5))]
        if i % 3 == 0:
            talk += [user("More."), assistant(letter * 3)]
        rows.append({"id": str(i), "messages": talk})
    return rows


def write_dataset(
    folder: Path,
    train: list[dict[str, Any]],
    test: list[dict[str, Any]] | None = None,
    *,
    rankings: list[dict[str, Any]] | None = None,
) -> Input:
    (folder / "data").mkdir(parents=True)
    if rankings:
        (folder / "rankings").mkdir()
        pq.write_table(pa.Table.from_pylist(rankings), folder / "rankings/train-00000-of-00001.parquet")
    schema = None if train else pa.Table.from_pylist(test).schema  # an empty file has its columns, too
    pq.write_table(pa.Table.from_pylist(train, schema=schema), folder / "data/train-00000-of-00001.parquet")
    if test:
        pq.write_table(pa.Table.from_pylist(test), folder / "data/test-00000-of-00001.parquet")
    (folder / "README.md").write_text("A dataset of a test.")
    return given(folder, "dataset")


# Runs


def make_run(folder: Path, method: str, recipe: dict[str, Any], inputs: dict[str, Input], *, seed: int = 0) -> Path:
    folder.mkdir(parents=True)
    spec = Spec(run=folder.name, method=method, recipe=recipe, inputs=inputs, seed=seed)
    (folder / contract.SPEC).write_text(spec.dump())
    return folder


def same_run(run_dir: Path, folder: Path) -> Path:
    """A fresh folder with the same spec."""
    folder.mkdir(parents=True)
    spec = contract.read_spec(run_dir)
    (folder / contract.SPEC).write_text(replace(spec, run=folder.name).dump())
    return folder


def open_run(run_dir: Path) -> RunContext:
    torch.set_num_threads(1)
    return RunContext.open(run_dir)


def finish(run_dir: Path) -> int:
    """Runs the folder in this process, as the program does, and gives its exit code."""
    torch.set_num_threads(1)
    return program.run(run_dir)


def fork(run_dir: Path) -> BaseProcess:
    """Runs the folder in a process of its own that has imported everything: it may be killed, and it starts at once."""
    process = SERVER.Process(target=_forked, args=(run_dir,))
    process.start()
    return process


def _forked(run_dir: Path) -> None:
    sys.exit(finish(run_dir))


def start(run_dir: Path) -> subprocess.Popen[str]:
    """The real program, in a process of its own, as the platform starts it."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "training", "run", str(run_dir)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def events(run_dir: Path, kind: str) -> list[dict[str, Any]]:
    return [event["payload"] for event in contract.read_events(run_dir / contract.EVENTS) if event["kind"] == kind]


def curve(run_dir: Path, name: str) -> dict[int, float]:
    """Step -> value of one metric."""
    return {m["step"]: m["values"][name] for m in events(run_dir, "metric") if name in m["values"]}


def failure(run_dir: Path) -> dict[str, str]:
    read: dict[str, str] = json.loads((run_dir / contract.FAILURE).read_text())
    return read


def held_to_golden(name: str, run_dir: Path, metrics: tuple[str, ...], *, folder: Path) -> None:
    """Compares curves with the stored ones; `STEADYHAND_GOLDEN=write` stores them, for a change that explains itself."""
    found = {metric: {str(step): value for step, value in curve(run_dir, metric).items()} for metric in metrics}
    path = folder / f"{name}.json"
    if os.environ.get("STEADYHAND_GOLDEN") == "write":
        path.write_text(json.dumps(found, indent=1) + "\n")
    stored = json.loads(path.read_text())
    assert found.keys() == stored.keys()
    for metric in metrics:
        # Looser than a bit: another build of torch sums in another order.
        assert found[metric] == pytest.approx(stored[metric], rel=2e-3, abs=2e-4), metric
