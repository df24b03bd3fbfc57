"""Files for tests of imports: written here, in the shapes that other tools export."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from annotation.importing.bringing import Report, bring, dry_run
from annotation.models import Campaign
from annotation.services.campaigns import create_campaign


def a_draft(name: str = "Theirs", *, k: int = 3, overlap: int = 2, attributes=()) -> Campaign:
    return create_campaign(name, k=k, overlap=overlap, guideline="Be fair.", user=None, attributes=attributes)


def lines(path: Path, *rows: object) -> Path:
    text = "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def listed(path: Path, *rows: object) -> Path:
    path.write_text(json.dumps(list(rows), indent=1), encoding="utf-8")
    return path


def a_table(path: Path, rows: list[dict[str, object]]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
        return path
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def imported(path: Path, *, k: int = 3, **fields: object) -> tuple[Campaign, Report]:
    """A new campaign and what an import into it came to; the dry run before it said the same and wrote nothing."""
    campaign = a_draft(f"From {path.name}", k=k)
    said = dry_run(path, campaign=campaign)
    assert not campaign.prompts.exists()
    assert not campaign.tasks.exists()
    report = bring(path, campaign=campaign, user=None, **fields)
    assert said.counts == report.counts
    assert (said.num_rows, said.num_bad, said.lines) == (report.num_rows, report.num_bad, report.lines)
    return campaign, report


def orders(campaign: Campaign) -> list[list[list[str]]]:
    """Every ranking as tiers of texts, in the order of the prompts."""
    from annotation.models import Completion, Ranking

    texts = {str(pk): text for pk, text in Completion.objects.values_list("pk", "text")}
    found = Ranking.objects.filter(task__campaign=campaign).order_by("task__prompt__external_id", "created_at", "pk")
    return [[sorted(texts[name] for name in tier) for tier in ranking.tiers] for ranking in found]


def told(path: Path, **fields: object) -> list[tuple[int, str]]:
    """What a dry run says is wrong: lines and codes."""
    report = dry_run(path, campaign=Campaign(name="Nobody's"), **fields)
    return [(line.line, line.code) for line in report.lines]
