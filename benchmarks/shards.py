"""Tokenising a corpus into token files of fixed size, beside `datasets.map` with the same tokenizer: tokens a second and memory.

`make bench-shards`; with TINY=1 in seconds. Each side runs in a process of its own, whose peak memory is told: the corpus lies in
Parquet, and the tokens come to lie on the disk. Both may use all cores in the way that their documentation has it: ours by the
threads of the tokenizers library, the peer by batches of the same library (`batched=True`), whose threads are on as well.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import bench
from rlhf.demo import corpus

TINY = bool(os.environ.get("TINY"))
TEXTS, VOCABULARY, RUNS = (300, 512, 1) if TINY else (10**6, 4096, 5)
COPIES = 1 if TINY else 8  # of the addresses: about 100 MB of text


def main() -> None:
    rates, told = beside_map()
    bench.report("shards", ours=rates["ours"], peer=rates["peer"], at_least=1.0, tiny=TINY, **told)


def beside_map(runs: int = RUNS) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Tokens a second of each side, run by run; medians and peaks of memory."""
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        found: dict[str, list[dict[str, float]]] = {"ours": [], "peer": []}
        for number in range(runs):
            for side in found:
                found[side].append(measured(side, Path(folder), number))
    assert found["ours"][0]["tokens"] == found["peer"][0]["tokens"], "not the same tokens"
    rates = {side: [one["tokens_per_second"] for one in some] for side, some in found.items()}
    told = {f"{side}_tokens_per_second": round(statistics.median(one)) for side, one in rates.items()}
    for side, some in found.items():
        told[f"{side}_peak_mib"] = round(statistics.median(one["mib"] for one in some))
    return rates, told


def prepare(folder: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    texts = [row["text"] for row, _ in zip(corpus.rows("train"), range(TEXTS), strict=False)]
    (folder / "corpus/data").mkdir(parents=True)
    with pq.ParquetWriter(
        folder / "corpus/data/train-00000-of-00001.parquet", pa.schema([("text", pa.string())])
    ) as file:
        for _ in range(COPIES):
            file.write_table(pa.table({"text": texts}), row_group_size=2000)
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=["<|end|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    bpe.train_from_iterator(texts[:2000], trainer)
    PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|end|>").save_pretrained(folder / "tokenizer")


def measured(side: str, folder: Path, number: int) -> dict[str, float]:
    """What a process of its own says of itself."""
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "true", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "benchmarks.shards", side, str(folder), str(number)]
    answer = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    read: dict[str, float] = json.loads(answer.splitlines()[-1])
    return read


def one_side(side: str, folder: Path, number: int) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    work = {"ours": ours, "peer": peer}[side]
    work(tokenizer, folder, folder / f"warm-{side}-{number}", "train[:10]")  # imports and first calls
    began = time.perf_counter()
    tokens = work(tokenizer, folder, folder / f"{side}-{number}", "train")
    seconds = time.perf_counter() - began
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"tokens": tokens, "tokens_per_second": tokens / seconds, "mib": mib}))


def ours(tokenizer: Any, folder: Path, out: Path, split: str) -> int:
    from training.contract import Input
    from training.mechanics.corpus.shards import open_shards

    most = 10 if split != "train" else 10**12
    given = Input(str(folder / "corpus"), "dataset", "corpus")
    return len(open_shards(out, tokenizer=tokenizer, given=given, split="train", most=most))


def peer(tokenizer: Any, folder: Path, out: Path, split: str) -> int:
    """Documents as pretraining reads them: each with its end token, stored as lists of numbers in Arrow files."""
    from datasets import disable_progress_bars, load_dataset

    disable_progress_bars()

    def encode(batch: dict[str, list[str]]) -> dict[str, Any]:
        ids = tokenizer(batch["text"], add_special_tokens=False, return_attention_mask=False)["input_ids"]
        return {"input_ids": [[*one, tokenizer.eos_token_id] for one in ids]}

    files = str(folder / "corpus/data/train-*.parquet")
    data = load_dataset("parquet", data_files={"train": files}, split=split, cache_dir=str(out))
    encoded = data.map(encode, batched=True, remove_columns=["text"])
    lists = encoded.with_format("arrow").data.column("input_ids").chunks
    return sum(len(chunk.flatten()) for chunk in lists)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        one_side(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
