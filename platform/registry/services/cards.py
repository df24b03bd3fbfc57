"""Dataset cards: README.md with the YAML that tells `datasets.load_dataset` which files are which split."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from registry.models import DatasetKind
from registry.services import labelled

FILE = "README.md"
SIMULATED = (
    "**Simulated.** Rows with `simulated: true`, or models that these rows come from, were judged by simulated raters or by"
    " rules: programs, not people."
)
KNOWN_LICENCES = ("mit", "apache-2.0", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0")  # identifiers of the Hugging Face hub


@dataclass(frozen=True, slots=True)
class Facts:
    """What a card says; nothing of when or where, so that the same rows make the same bytes."""

    name: str
    kind: str
    rows_sha256: str
    splits: dict[str, int]
    licence: str
    text: str
    is_simulated: bool
    profile: str = ""  # what was counted of the rows, in Markdown; a stored folder's card is older than that


Files = dict[str, dict[str, str]]  # configuration -> split -> path or pattern


def data_files(folder: Path) -> Files:
    """The Parquet files of a folder by configuration: `data/` is the default one, any other folder is called as it is."""
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for path in sorted(folder.glob("*/*.parquet"), key=lambda path: (path.parent.name != "data", path)):
        config = "default" if path.parent.name == "data" else path.parent.name
        split = path.name.split("-")[0]
        found[config][split] = f"{path.parent.name}/{split}-*"
    return {config: dict(sorted(splits.items(), reverse=True)) for config, splits in found.items()}


def card(facts: Facts, *, files: Files) -> str:
    tags = ["steadyhand", facts.kind, *(["simulated"] if facts.is_simulated else [])]
    lines = ["---", f"pretty_name: {quoted(facts.name)}"]
    licence = facts.licence.lower()
    if licence in KNOWN_LICENCES:
        lines += [f"license: {licence}"]
    elif licence:
        lines += ["license: other", f"license_name: {quoted(facts.licence)}"]
    tasks = labelled.TASKS if facts.kind == DatasetKind.LABELLED else ("text-generation",)
    lines += ["task_categories:", *(f"- {task}" for task in tasks)]
    lines += ["tags:", *(f"- {tag}" for tag in tags), "configs:"]
    for config, splits in files.items():
        lines += [f"- config_name: {config}", *(["  default: true"] if config == "default" else []), "  data_files:"]
        for split, path in splits.items():
            lines += [f"  - split: {split}", f"    path: {quoted(path)}"]
    return "\n".join([*lines, "---", "", *_body(facts)]) + "\n"


def quoted(text: str) -> str:
    """A JSON string is a YAML string too."""
    return json.dumps(text, ensure_ascii=False)


def _body(facts: Facts) -> list[str]:
    lines = [f"# {facts.name}", ""]
    if facts.is_simulated:
        lines += [SIMULATED, ""]
    if facts.text:
        lines += [facts.text.strip(), ""]
    rows = ", ".join(f"{count} {split}" for split, count in sorted(facts.splits.items(), reverse=True))
    lines += [f"- kind: {facts.kind}", f"- rows: {rows}", f"- licence: {facts.licence or 'not given'}"]
    lines += [f"- sha256 of the rows: `{facts.rows_sha256}`"]
    if facts.profile:
        lines += ["", facts.profile]
    return lines
