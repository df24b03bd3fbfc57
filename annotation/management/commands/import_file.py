"""`manage.py import_file`: brings prompts, completions and rankings of a file into a campaign, or says what would come of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from accounts.commands import UserCommand, acting_user
from annotation.importing.bringing import as_dict, bring, dry_run
from annotation.importing.reading import BY_NAME
from annotation.management.commands.simulate_raters import campaign_called


class Command(UserCommand):
    help = "Import a file: JSON lines, a JSON list, CSV, Parquet or .txt. One bad line, and nothing is imported."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--campaign", required=True, metavar="SLUG")
        parser.add_argument("--format", default="", choices=["", *BY_NAME], help="without it, told from the first rows")
        parser.add_argument("--dry-run", action="store_true", help="say what would be made, and make nothing")
        parser.add_argument("--leave-bad-out", action="store_true", help="import the other lines where some are bad")
        parser.add_argument("--simulated", action="store_true", help="the rankings were made by programs")

    def run(self, **options: Any) -> dict[str, Any]:
        campaign, path = campaign_called(options["campaign"]), options["file"]
        told = {"format": options["format"], "is_simulated": options["simulated"]}
        if options["dry_run"]:
            return as_dict(dry_run(path, campaign=campaign, **told))
        user = acting_user(options["username"])
        return as_dict(bring(path, campaign=campaign, user=user, leaves_bad_out=options["leave_bad_out"], **told))
