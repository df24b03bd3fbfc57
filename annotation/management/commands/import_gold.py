"""`manage.py import_gold`: adds gold and test tasks with their right orders to a campaign."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from accounts.commands import UserCommand, acting_user
from annotation.management.commands.simulate_raters import campaign_called
from annotation.services.gold import import_gold


class Command(UserCommand):
    help = "Add tasks whose right order is known, from JSON lines. One bad line, and nothing is added."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--campaign", required=True, metavar="SLUG")

    def run(self, **options: Any) -> dict[str, Any]:
        campaign = campaign_called(options["campaign"])
        return asdict(import_gold(campaign, path=options["file"], user=acting_user(options["username"])))
