"""`manage.py export DATASET --format FORMAT --out FOLDER`: a dataset with its card, as a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from accounts.commands import UserCommand, acting_user
from accounts.errors import NotFound
from registry.models import DatasetVersion
from registry.services.export import FORMATS, export_dataset, record_export


class Command(UserCommand):
    help = "Export a dataset as a folder that datasets.load_dataset opens."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("dataset", help="its name")
        parser.add_argument("--format", dest="fmt", required=True, choices=FORMATS)
        parser.add_argument("--out", type=Path, required=True, help="a folder that does not exist yet")

    def run(self, **options: Any) -> dict[str, Any]:
        dataset = DatasetVersion.objects.filter(name=options["dataset"]).first()
        if dataset is None:
            raise NotFound(f"There is no dataset called {options['dataset']}.", code="no_dataset")
        out = export_dataset(dataset, fmt=options["fmt"], out=options["out"])
        record_export(dataset, fmt=options["fmt"], user=acting_user(options["username"]))
        return {"dataset": dataset.name, "format": options["fmt"], "out": str(out), "splits": dataset.splits}
