"""What feedback models said of a campaign, for those who run or study it: how much, how surely, and what of it counts."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.db.models import Case, Count, Q, When
from django.utils.translation import gettext

from accounts.errors import Conflict, UserError
from accounts.models import User
from annotation.models import Campaign
from annotation.quality.ai_gate import Gate
from annotation.services.ai_gate import (
    ai_raters,
    gate_for,
    is_held_back,
    live_preferences,
    rankings_of,
    send_to_people,
    sort_by,
    waiting,
)
from audit.services import record


class HasTasks(Conflict):
    code = "has_tasks"


class BadShare(UserError):
    code = "bad_share"


@dataclass(frozen=True, slots=True)
class Judge:
    """One feedback model here. Shares are of its judgements, a pair of texts each; `is_by_rules`: no model, a list of words.

    Tasks: those whose every label counts, those that are for people, and of these the ones that nobody is given yet.
    """

    rater: User
    num_judgements: int
    abstained: float
    flipped: float
    is_by_rules: bool
    gate: Gate
    num_counted: int
    num_for_people: int
    num_waiting: int

    @property
    def num_tasks(self) -> int:
        return self.num_counted + self.num_for_people


def judges_of(campaign: Campaign) -> list[Judge]:
    return [judge_of(campaign, rater=rater) for rater in ai_raters(campaign)]


def judge_of(campaign: Campaign, *, rater: User) -> Judge:
    said = live_preferences(campaign, rater=rater).order_by().aggregate(
        num=Count("pk"), abstained=Count("pk", filter=Q(is_abstained=True)), flipped=Count("pk", filter=Q(is_flipped=True)),
        by_rules=Count("pk", filter=Q(critic="rules")),
    )  # fmt: skip
    gate = gate_for(campaign, rater=rater)
    held = Case(When(is_held_back(gate, campaign, rater=rater), then=True), default=False)
    told = rankings_of(campaign, rater=rater).annotate(
        is_held=held, is_waiting=Case(When(task__in=waiting(campaign), then=True), default=False)
    )
    num = told.aggregate(
        counted=Count("pk", filter=Q(is_held=False)), for_people=Count("pk", filter=Q(is_held=True)),
        waiting=Count("pk", filter=Q(is_held=True, is_waiting=True)),
    )  # fmt: skip
    whole = max(1, said["num"])
    return Judge(
        rater, said["num"], said["abstained"] / whole, said["flipped"] / whole, said["by_rules"] > 0, gate,
        num["counted"], num["for_people"], num["waiting"],
    )  # fmt: skip


def send_rest(campaign: Campaign, *, rater: User, user: User | None) -> int:
    """What the gate holds back and what was abstained from, to people; says how many tasks they get."""
    gate = gate_for(campaign, rater=rater)
    return send_to_people(campaign, sort_by(gate, campaign, rater=rater).for_people, user=user)


def set_people_share(campaign: Campaign, *, share: int, user: User | None) -> None:
    """Per cent of training prompts that people rank from the start. The lot is drawn when tasks are made, so it is set
    before. Raises `BadShare`, `HasTasks`."""
    if not 0 <= share <= 100:
        raise BadShare(gettext("People rank 0 to 100 percent, not %(share)s.") % {"share": share}, field="people_share")
    with transaction.atomic():
        locked = Campaign.objects.select_for_update(no_key=True).get(pk=campaign.pk)
        if locked.tasks.exists():
            raise HasTasks(
                gettext("%(name)s has tasks already: who ranks them is drawn.") % {"name": campaign.name},
                field="people_share",
            )
        if locked.people_share != share:
            Campaign.objects.filter(pk=campaign.pk).update(people_share=share)
            record("campaign.people_share", actor=user, target=campaign, people_share=share)
