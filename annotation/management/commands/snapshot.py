"""`manage.py snapshot`: freezes the rankings of a campaign as a preference dataset."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from accounts.commands import UserCommand, acting_user
from annotation.management.commands.simulate_raters import campaign_called
from annotation.services.ai_labels import feedback_named
from annotation.services.snapshot import freeze_snapshot


class Command(UserCommand):
    help = "Freeze the rankings of a campaign as a dataset of comparisons."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("campaign", metavar="CAMPAIGN", help="its slug")
        parser.add_argument("name", metavar="NAME", help="of the dataset")
        parser.add_argument("--shuffled-seed", type=int, help="a control: orders shuffled by this seed")

        parser.add_argument(
            "--ai-rater",
            metavar="NAME",
            help="a feedback model, such as ai:model:my-judge, whose labels that count come along",
        )

    def run(self, **options: Any) -> dict[str, Any]:
        campaign = campaign_called(options["campaign"])
        made = freeze_snapshot(
            campaign, name=options["name"], user=acting_user(options["username"]),
            shuffled_seed=options["shuffled_seed"], feedback=feedback_named(campaign, options["ai_rater"]),
        )  # fmt: skip
        return {
            "dataset": made.name, "comparisons": made.num_rows, "splits": made.splits, "rows_sha256": made.rows_sha256,
            "simulated": made.is_simulated, **{name: made.query[name] for name in ("num_rankings", "num_raters")},
            **({"ai": made.query["ai"]} if "ai" in made.query else {}),
        }  # fmt: skip
