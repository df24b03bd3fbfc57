"""`manage.py import_rankings`: takes in prompts, completions and rankings that were made elsewhere."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from accounts.commands import UserCommand, acting_user
from annotation.importing.bringing import import_rankings
from annotation.importing.reading import BY_NAME
from annotation.management.commands.simulate_raters import campaign_called
from annotation.models import CampaignState
from annotation.services.campaigns import attributes_told, set_state


class Command(UserCommand):
    help = "Import rankings into a campaign of their own. One bad line, and nothing is imported; the same file twice is as once."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--campaign", required=True, metavar="NAME", help="made as a draft if there is none")
        parser.add_argument("--overlap", type=int, default=1, help="rankings wanted a task, in a new campaign")
        parser.add_argument("--simulated", action="store_true", help="the rankings were made by programs")
        parser.add_argument(
            "--attribute", action="append", default=[], metavar="LINE",
            help="a scale of a new campaign, like \"helpful 1-5: useless .. just what was asked\"; may be given 6 times",
        )  # fmt: skip
        parser.add_argument("--format", default="", choices=["", *BY_NAME], help="without it, told from the first rows")
        parser.add_argument("--leave-bad-out", action="store_true", help="import the other lines where some are bad")
        parser.add_argument("--open", action="store_true", help="open the campaign to raters here")

    def run(self, **options: Any) -> dict[str, Any]:
        user = acting_user(options["username"])
        done = import_rankings(
            options["file"], name=options["campaign"], user=user, overlap=options["overlap"],
            is_simulated=options["simulated"], attributes=attributes_told(options["attribute"]),
            format=options["format"], leaves_bad_out=options["leave_bad_out"],
        )  # fmt: skip
        campaign = campaign_called(done.campaign)
        if options["open"] and campaign.state != CampaignState.OPEN:
            set_state(campaign, to=CampaignState.OPEN, user=user)
        return asdict(done)
