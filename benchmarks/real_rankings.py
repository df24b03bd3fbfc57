"""People's own judgements of three makes, as rankings and as a dataset's folder: of four with ties, of three raters, of pairs.

They are read from the folder that `STEADYHAND_DATA` names and lie nowhere in the project; shared by a benchmark and a test.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from training import contract
from training.contract import Input

Row = dict[str, Any]
Rankings = list[Row]  # all of one task


def lines_of(path: Path) -> list[Row]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def ranking(
    group: object, prompt: str | Sequence[Row], texts: dict[str, str], tiers: list[list[str]], *, rater: str = "r"
) -> Row:
    """`prompt` is what a user says, or all messages up to the answer."""
    return {
        "group_id": f"g{group}", "ranking_id": f"{group}-{rater}", "rater": rater,
        "prompt": [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt),
        "completions": [{"id": name, "text": text} for name, text in texts.items()], "tiers": tiers,
        "strengths": [1] * (len(tiers) - 1), "seconds": 1.0, "simulated": False,
    }  # fmt: skip


def fine_grained(data: Path) -> Iterator[Rankings]:
    """Six comparisons of four texts (1 first, 2 second, 0 a tie), where they are those of a weak order."""
    for number, row in enumerate(lines_of(data / "finegrained_qa/dev_feedback.jsonl.gz")):
        texts = {str(i): row[f"prediction {i}"] for i in range(1, 5)}
        told = dict(zip(combinations(texts, 2), row["preference"], strict=True))
        wins = dict.fromkeys(texts, 0.0)
        for (one, other), vote in told.items():
            wins[one] += {0: 0.5, 1: 1, 2: 0}[vote]
            wins[other] += {0: 0.5, 1: 0, 2: 1}[vote]
        if all((wins[a] > wins[b]) - (wins[a] < wins[b]) == {0: 0, 1: 1, 2: -1}[v] for (a, b), v in told.items()):
            levels = sorted(set(wins.values()), reverse=True)
            yield [
                ranking(number, row["question"], texts, [[n for n in texts if wins[n] == level] for level in levels])
            ]


def panda(data: Path) -> Iterator[Rankings]:
    """The votes of three raters (0 a tie, 1, 2) on two texts."""
    for number, row in enumerate(lines_of(data / "pandalm/testset-v1.jsonl.gz")):
        texts = {"1": str(row["response1"]), "2": str(row["response2"])}
        prompt = f"{row['instruction']}\n{row['input']}"
        orders = {0: [["1", "2"]], 1: [["1"], ["2"]], 2: [["2"], ["1"]]}
        yield [ranking(number, prompt, texts, orders[row[f"annotator{i}"]], rater=f"r{i}") for i in (1, 2, 3)]


def harmless(data: Path) -> Iterator[Rankings]:
    """Pairs of last answers to a conversation of several turns."""
    for number, row in enumerate(lines_of(data / "hh_harmless/pairs.jsonl.gz")):
        (asked, better), (_, worse) = (row[side].rsplit("\n\nAssistant:", 1) for side in ("chosen", "rejected"))
        turns = re.split(r"\n\n(Human|Assistant): ?", asked)[1:]
        roles = {"Human": "user", "Assistant": "assistant"}
        said = [{"role": roles[who], "content": text} for who, text in zip(turns[::2], turns[1::2], strict=True)]
        yield [ranking(number, said, {"1": better.strip(), "2": worse.strip()}, [["1"], ["2"]])]


SETS: dict[str, Callable[[Path], Iterator[Rankings]]] = {
    "hh_harmless": harmless,
    "finegrained_qa": fine_grained,
    "pandalm": panda,
}


# A split by prompt


def by_prompt(tasks: Sequence[Rankings]) -> list[Rankings]:
    """All rankings that begin with the same words as one task: prompts that come several times stand on one side."""
    of: dict[str, Rankings] = {}
    for task in tasks:
        for one in task:
            said = json.dumps([message["content"].split() for message in one["prompt"]])
            group = f"g{hashlib.sha256(said.encode()).hexdigest()[:16]}"
            one = one | {"group_id": group, "ranking_id": f"{one['ranking_id']}-{group}"}
            of.setdefault(group, []).append(one)
    return list(of.values())


def comparisons(task: Rankings) -> list[Row]:
    """Of all rankings of a prompt, which weigh 1 together; ties give none."""
    return [row for one in task for row in comparisons_of(one, share=1 / len(task))]


def comparisons_of(ranking: Row, *, share: float) -> list[Row]:
    text = {one["id"]: one["text"] for one in ranking["completions"]}
    tiers = ranking["tiers"]
    pairs = [
        (a, b, j - i) for i, tier in enumerate(tiers) for j in range(i + 1, len(tiers)) for a in tier for b in tiers[j]
    ]
    kept = {name: ranking[name] for name in ("group_id", "ranking_id", "prompt", "rater", "simulated")}
    return [
        kept | {
            "id": f"{ranking['ranking_id']}-{n}", "prompt_id": ranking["group_id"], "margin": float(margin),
            "chosen": [{"role": "assistant", "content": text[a]}],
            "rejected": [{"role": "assistant", "content": text[b]}], "weight": share / len(pairs),
        }
        for n, (a, b, margin) in enumerate(pairs)
    ]  # fmt: skip


def write_dataset(folder: Path, train: Sequence[Rankings], test: Sequence[Rankings]) -> Input:
    """A dataset of preferences as snapshots are: `data/` and `rankings/`."""
    for split, tasks in (("train", train), ("test", test)):
        rows = {
            "data": [row for task in tasks for row in comparisons(task)],
            "rankings": [one for task in tasks for one in task],
        }
        for name, some in rows.items():
            (folder / name).mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pylist(some), folder / name / f"{split}-00000-of-00001.parquet")
    return Input(str(folder), "dataset", contract.tree_sha256(contract.folder_files(folder)))
