"""What was counted of a dataset's rows, and what was done to them before: kept beside the rows, read for pages and cards."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

from registry.models import Artifact, DatasetProfile, DatasetVersion

REPORT = "report.json"
CURATION = "curation.json"
VERSION = 1  # of profiles, as they are read here


def keep_profile(dataset: DatasetVersion, *, artifact: Artifact, run: uuid.UUID) -> None:
    """The newer of two holds: rows never change, but what is counted of them may. Call it in a transaction."""
    DatasetProfile.objects.update_or_create(
        rows_sha256=dataset.rows_sha256, defaults={"artifact": artifact, "run": run}
    )


def find_profile(dataset: DatasetVersion) -> DatasetProfile | None:
    return DatasetProfile.objects.select_related("artifact").filter(rows_sha256=dataset.rows_sha256).first()


def read_profile(profile: DatasetProfile) -> dict[str, Any] | None:
    found = read_object(profile.artifact.folder / REPORT)
    return found if found is not None and found.get("version") == VERSION else None


def read_curation(dataset: DatasetVersion) -> dict[str, Any] | None:
    """What the rows went through before they were frozen, where that is known."""
    if CURATION not in dataset.artifact.files:
        return None
    found = read_object(dataset.artifact.folder / CURATION)
    return found if found is not None and isinstance(found.get("steps"), list) else None


def read_object(path: Path) -> dict[str, Any] | None:
    """None for what is lost or damaged, which `manage.py verify` tells: a page is no place to fall over it."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def short_of(dataset: DatasetVersion) -> str:
    """The profile as a few lines of a dataset card; empty for a dataset that has none. English, as cards are."""
    kept = find_profile(dataset)
    profile = read_profile(kept) if kept is not None else None
    if profile is None:
        return ""
    lines = ["## Profile", "", "Counted from the rows, all splits together unless said otherwise.", ""]
    for name, split in profile["splits"].items():
        of_row = split["lengths"]["row"]
        lines.append(
            f"- {name}: {split['rows']:,} rows, {split['words']:,} words, {split['bytes']:,} bytes; a row has"
            f" {of_row['median']:,} words in the median, 5 to 95 % {of_row['low']:,} to {of_row['high']:,}"
        )
        most = list(split["languages"].items())[:3]
        lines.append(f"- {name}, languages: {', '.join(f'{code} {rows:,}' for code, rows in most)}")
    lines.append(f"- rows that repeat another one word for word: {profile['num_repeated']:,}")
    lines.append(f"- rows with rough words, by a short list: {profile['rough']['rows']:,} of {profile['num_rows']:,}")
    if profile["groups"]:
        lines += ["", *table_of(profile)]
    return "\n".join(lines)


def table_of(profile: dict[str, Any]) -> list[str]:
    everything = profile["sentiment"]
    told = f" All sentences: {in_range(everything)}." if everything else ""
    rows = [
        f"| {group['name']} | {group['sentences']:,} | {group['rows']:,} | {in_range(group['sentiment'])} |"
        for group in profile["groups"]
    ]
    return [
        "Groups of people that sentences name, by lists of English words, and the sentiment of those sentences by VADER's"
        f" lexicon, -1 to 1, with 95 % intervals over rows.{told} A lexicon knows no irony and no quotation.",
        "",
        "| group | sentences | rows | sentiment |",
        "|---|--:|--:|---|",
        *rows,
    ]


def in_range(ratio: dict[str, Any]) -> str:
    if ratio["low"] is None:
        return f"{ratio['value']:+.2f} (too few rows for an interval)"
    return f"{ratio['value']:+.2f} ({ratio['low']:+.2f} to {ratio['high']:+.2f})"
