"""Curating a few hundred rows, part by part: a refactor lets the same share of each part pass, a change explains itself."""

from __future__ import annotations

import random
from pathlib import Path

from tests.training import tiny
from tests.training.curated import curate, edited, sentence, texts
from training.mechanics.curation import rows

GOLDEN = Path(__file__).parent / "golden"


def test_what_passes_the_filters_and_what_is_kept_follow_the_stored_curves(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "PART_ROWS", 20)
    lot = random.Random(11)
    base = [sentence(lot, lot.randrange(1, 90)) for _ in range(120)]
    copies = [edited(lot.choice(base), rate, lot) for rate in (0.0, 0.05, 0.1, 0.2) for _ in range(40)]
    broken = [f"# 1 # {text[:20]}" for text in base[:40]]
    made = base + copies + broken
    lot.shuffle(made)
    run_dir = curate(tmp_path, texts(*made), texts(*(edited(text, 0.05, lot) for text in base[:20]), first=1000))
    names = ("passed_filters", "rows_kept", "dropped_quality", "dropped_exact_duplicates", "dropped_near_duplicates")
    tiny.held_to_golden("curate", run_dir, names, folder=GOLDEN)
