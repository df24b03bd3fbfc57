"""`manage.py import_constitution`: brings a constitution from a JSON file, as a draft or published at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from accounts.commands import UserCommand, acting_user
from accounts.errors import NotFound
from rlhf.services.constitutions.documents import LARGEST, import_document, read_bytes
from rlhf.services.constitutions.publishing import publish


class Command(UserCommand):
    help = "Bring a constitution from a JSON file: a new one, or the next version of the one that has its name."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--publish", action="store_true", help="freeze it as a dataset at once")

    def run(self, **options: Any) -> dict[str, Any]:
        path: Path = options["file"]
        if not path.is_file():
            raise NotFound(f"There is no file at {path}.", code="no_file")
        user = acting_user(options["username"])
        with path.open("rb") as file:
            document = read_bytes(file.read(LARGEST + 1))
        brought = import_document(document, user=user)
        version = brought.version
        if options["publish"] and version.is_draft:
            version = publish(version, seen=version.edits, user=user)
        return {
            "constitution": version.constitution.slug, "version": version.number, "state": version.state,
            "is_new": brought.is_new, "num_principles": version.principles.count(),
            "dataset": version.dataset.name if version.dataset else None,
        }  # fmt: skip
