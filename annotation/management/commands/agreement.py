"""`manage.py agreement`: how far the raters of a campaign agree, and what they say of its models."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from accounts.commands import UserCommand
from annotation.management.commands.simulate_raters import campaign_called
from annotation.quality.bootstrap import RESAMPLES
from annotation.services.report import as_json, report_of
from annotation.services.report_words import lines_of


class Command(UserCommand):
    help = "Agreement, reliability, bias, and scores of models, for those who run a campaign: rankings of work alone."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("campaign", metavar="CAMPAIGN", help="its slug")
        parser.add_argument("--resamples", type=int, default=RESAMPLES, help="of tasks, for intervals")

    def run(self, **options: Any) -> dict[str, Any]:
        report = report_of(campaign_called(options["campaign"]), num_resamples=options["resamples"])
        return as_json(report) if options["json"] else dict(lines_of(report))
