"""What a snapshot says of itself: what was asked of the database, and a card in words."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from annotation.models import AssignmentState
from annotation.services.ai_labels import told_of

if TYPE_CHECKING:
    from annotation.services.snapshot import Snapshot

SETTLED = "settled"  # where the state of an assignment stands: this order is a reviewer's


def people_in(snapshot: Snapshot, chosen: list[Any]) -> int:
    """A feedback model is one rater more, and nobody."""
    return len({row[2] for row in chosen}) - snapshot.has_ai


def query_of(snapshot: Snapshot, chosen: list[Any]) -> dict[str, Any]:
    """What was asked of the database, so that a lineage can say it and a second freeze can be compared."""
    return {
        "campaign": snapshot.campaign.slug,
        "campaign_name": snapshot.campaign.name,
        "num_rankings": len(chosen),
        "num_raters": people_in(snapshot, chosen),
        "num_simulated": sum(row[3] for row in chosen),
        "num_surplus": sum(row[4] == AssignmentState.SURPLUS for row in chosen),
        "num_cannot_rank": sum(row[6] != "" for row in chosen),
        "num_edits": sum(row[7] is not None for row in chosen),
        "num_settled": sum(row[4] == SETTLED for row in chosen),
        "attributes": snapshot.campaign.attributes,
        **({"rater_groups": sorted(set(snapshot.groups.values()))} if snapshot.groups else {}),
        "guidelines": sorted({row[5] for row in chosen if row[5] is not None}),
        "rankings_sha256": hashlib.sha256("\n".join(sorted(str(row[0]) for row in chosen)).encode()).hexdigest(),
        "shuffled_seed": snapshot.shuffled_seed,
    }


def card_of(snapshot: Snapshot, chosen: list[Any], *, ai: Mapping[str, Any]) -> str:
    simulated = sum(row[3] for row in chosen)
    lines = [
        f"Comparisons from {len(chosen):,} rankings by {people_in(snapshot, chosen):,} raters of the campaign"
        f" \u201c{snapshot.campaign.name}\u201d. One row a comparison; ties give none, and neither do texts that a rater left"
        " out of the order, or two that are the same. `margin` adds up the strengths (1 to 4) between the two tiers. The"
        " weights of a prompt's rows sum to 1. `rankings/` has the rankings as they were given. A rater's name is made for"
        " this dataset alone.",
    ]
    if cannot := sum(row[6] != "" for row in chosen):
        lines.append(f"{cannot:,} of the rankings say that their texts cannot be ranked, and give no comparison.")
    if edits := sum(row[7] is not None for row in chosen):
        lines.append(f"In {edits:,} rankings the first text is the rater's own better version of one of the others.")
    if settled := sum(row[4] == SETTLED for row in chosen):
        lines.append(
            f"{settled:,} of the orders were settled by a reviewer, and stand in place of all rankings of their tasks."
        )
    if ai:
        lines.append(told_of(ai))
    if snapshot.groups:
        names = ", ".join(sorted(set(snapshot.groups.values())))
        lines.append(f"`rater_group` in `rankings/` is the group that the campaign put a rater in: {names}.")
    if simulated:
        lines.append(f"{simulated:,} of the rankings are by simulated raters: `simulated` marks their rows.")
    if snapshot.shuffled_seed is not None:
        lines.append(
            f"**Shuffled control (seed {snapshot.shuffled_seed}).** In the training rows the completions of each ranking"
            " have changed places at random, so nothing should be learned from them. Held-out rows are as raters gave them."
        )
    return "\n\n".join(lines)
