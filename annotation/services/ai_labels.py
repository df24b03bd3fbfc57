"""What of AI feedback goes into a dataset of preferences, and what the dataset says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext

from accounts.errors import NotFound
from accounts.models import User
from annotation.models import Adjudication, Campaign, Ranking
from annotation.quality.ai_gate import Gate
from annotation.services.ai_gate import ai_raters, gate_for, is_held_back, rankings_of


class NoFeedback(NotFound):
    code = "no_ai_feedback"


def feedback_named(campaign: Campaign, username: str | None) -> User | None:
    """The feedback model whose labels are to be frozen, too; None where none is named. Raises `NoFeedback`."""
    if not username:
        return None
    rater = ai_raters(campaign).filter(username=username).first()
    if rater is None:
        raise NoFeedback(
            gettext("%(rater)s is no feedback model that judged %(campaign)s.")
            % {"rater": username, "campaign": campaign.name},
            field="ai_rater",
        )
    return rater


def labels_of(
    campaign: Campaign,
    feedback: User | None,
    gate: Gate | None,
    *,
    live: QuerySet[Ranking],
    settled: QuerySet[Adjudication],
) -> tuple[Gate | None, QuerySet[Ranking]]:
    """Of tasks on which people have no word, as far as the gate lets them through. Held-out prompts are people's alone:
    what is learned from a feedback model is never measured by it."""
    if feedback is None:
        return None, Ranking.with_ai.none()
    gate = gate or gate_for(campaign, rater=feedback)
    task = OuterRef("task")
    found = rankings_of(campaign, rater=feedback).filter(
        ~is_held_back(gate, campaign, rater=feedback),
        ~Exists(live.filter(task=task)),
        ~Exists(settled.filter(task=task)),
        task__prompt__split="train",
    )
    return gate, found


def facts_of(gate: Gate | None, feedback: User | None, *, num: int) -> dict[str, Any]:
    """Of the feedback model, for the query and the card: nothing where none was asked for."""
    if gate is None or feedback is None:
        return {}
    overall = gate.overall
    return {
        "rater": feedback.username, "num_rankings": num, "num_overlap": overall.num, "passes": overall.passes,
        "accuracy": [overall.accuracy.value, overall.accuracy.low, overall.accuracy.high],
        "kappa": [overall.kappa.value, overall.kappa.low, overall.kappa.high],
        "rule": {"accuracy": gate.rule.accuracy, "kappa": gate.rule.kappa, "fewest": gate.rule.fewest},
    }  # fmt: skip


def told_of(ai: Mapping[str, Any]) -> str:
    value, low, high = ai["accuracy"]
    agreed = "no pair was judged by people and by it"
    if value is not None:
        ends = f" ({low:.2f} to {high:.2f})" if low is not None else ""
        agreed = (
            f"it agrees with {value:.2f}{ends} of {ai['num_overlap']:,} judgements of people on pairs that both judged"
        )
    return (
        f"**AI feedback.** {ai['num_rankings']:,} of the rankings, for training alone, are by a feedback model: their rater is"
        f" `{ai['rater']}`, and `label` is how sure it is that `chosen` is the better text. {agreed[0].upper()}{agreed[1:]}."
    )
