"""`manage.py import_prompts`: adds the prompts of a file to a campaign."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from accounts.commands import UserCommand, acting_user
from annotation.management.commands.simulate_raters import campaign_called
from annotation.services.prompts import import_prompts


class Command(UserCommand):
    help = "Add prompts from JSON lines, or from a .txt with one prompt a line. One bad line, and nothing is added."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--campaign", required=True, metavar="SLUG")

    def run(self, **options: Any) -> dict[str, Any]:
        campaign = campaign_called(options["campaign"])
        return asdict(import_prompts(campaign, path=options["file"], user=acting_user(options["username"])))
