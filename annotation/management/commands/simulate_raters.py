"""`manage.py simulate_raters`: lets programs rank a campaign over HTTP, by a utility that is stated."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from accounts.commands import UserCommand, acting_user
from accounts.errors import NotFound
from annotation.models import Campaign
from annotation.simulation import simulate_raters


class Command(UserCommand):
    help = "Rank a campaign by simulated raters. Everything that they do is marked as simulated."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("--campaign", required=True, metavar="SLUG")
        parser.add_argument("--raters", type=int, default=2)
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--noise", type=float, default=0.3, help="standard deviation added to each utility")
        parser.add_argument("--likes", default="brief", help="the utility they rank by: brief, harmless or careful")
        parser.add_argument("--limit", type=int, help="rankings a rater; without it, all that wait")
        parser.add_argument("--url", default="", help="a running server; without it, one is started for the time")

    def run(self, **options: Any) -> dict[str, Any]:
        done = simulate_raters(
            campaign_called(options["campaign"]), num_raters=options["raters"], seed=options["seed"],
            noise=options["noise"], likes=options["likes"], url=options["url"],
            limit=options["limit"], user=acting_user(options["username"]),
        )  # fmt: skip
        return {"simulated": True, **asdict(done)}


def campaign_called(slug: str) -> Campaign:
    try:
        return Campaign.objects.get(slug=slug)
    except Campaign.DoesNotExist:
        raise NotFound(f"There is no campaign {slug}.", code="no_campaign") from None
