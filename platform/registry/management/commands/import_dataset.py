"""`manage.py import_dataset NAME FILE --kind KIND`: a dataset from a .jsonl, .json, .parquet, .csv or .txt file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from accounts.commands import UserCommand, acting_user
from registry.services.datasets import import_dataset
from registry.services.importing import KINDS


class Command(UserCommand):
    help = "Import a dataset from a file; one bad row keeps all of them out."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("file", type=Path)
        parser.add_argument("--kind", required=True, choices=[str(kind) for kind in KINDS])
        parser.add_argument("--licence", default="")

    def run(self, **options: Any) -> dict[str, Any]:
        user = acting_user(options["username"])
        dataset = import_dataset(
            options["name"], options["file"], kind=options["kind"], user=user, licence=options["licence"]
        )
        return {
            "dataset": dataset.name,
            "id": str(dataset.pk),
            "kind": dataset.kind,
            "rows": dataset.num_rows,
            "splits": dataset.splits,
            "rows_sha256": dataset.rows_sha256,
            "columns_left_out": dataset.query.get("columns_left_out", []),
        }
