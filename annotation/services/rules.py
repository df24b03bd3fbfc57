"""How work is given out, changed by an admin: a campaign's rules, a rater's own limit, which tasks go first."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from django.utils.translation import gettext

from accounts.errors import NotFound
from accounts.hints import hint
from accounts.models import User
from accounts.numbers import whole
from annotation.models import Campaign, Membership, Prompt, Queue, RankingTask, Slot
from annotation.rules import BadRules, check_limit, rules_of
from annotation.services.campaigns import BadCampaign, checked_rules
from annotation.services.completions import SHUFFLE_BITS, in_batches
from annotation.services.prompts import LOWEST_PRIORITY
from annotation.services.queues import begin_anew
from audit.services import record

MOST_IDS = 100_000
BATCH = 500


def change_rules(campaign: Campaign, *, user: User | None, **changes: Any) -> Campaign:
    """Those named change, from the next task on; returns the campaign as it is then. Raises `BadCampaign`."""
    with transaction.atomic():
        locked = Campaign.objects.select_for_update(no_key=True).get(pk=campaign.pk)
        before = rules_of(locked)
        after = checked_rules(before.changed(changes), overlap=locked.overlap)
        if changed := after.differing(before):
            Campaign.objects.filter(pk=campaign.pk).update(**changed)
            record("campaign.rules", actor=user, target=campaign, **changed)
            hint(f"campaign:{campaign.pk}")
    campaign.refresh_from_db()
    return campaign


def set_limit(campaign: Campaign, *, rater: User, most: int | None, user: User | None) -> Membership:
    """A rater's own limit, in place of the campaign's; None takes it away. Raises `BadCampaign`, `NotFound`."""
    try:
        check_limit(most)
    except BadRules as error:
        raise BadCampaign(str(error), field=error.field) from error
    with transaction.atomic():
        member = locked_member(campaign, rater=rater)
        if member.most_rankings != most:
            member.most_rankings = most
            member.save(update_fields=["most_rankings"])
            record("campaign.rater_limit", actor=user, target=campaign, rater=rater.username, most_rankings=most)
    return member


def locked_member(campaign: Campaign, *, rater: User) -> Membership:
    """Inside a transaction. Raises `NotFound`."""
    member = Membership.objects.select_for_update(of=("self",)).filter(campaign=campaign, user=rater).first()
    if member is None:
        raise NotFound(
            gettext("%(name)s is no rater of %(campaign)s.") % {"name": rater.username, "campaign": campaign.name},
            code="not_a_rater",
        )
    return member


def set_priority(campaign: Campaign, *, of: Iterable[str], priority: int, user: User | None) -> int:
    """Moves tasks, named by their own ids or by their prompts' ids from outside; says how many. Smaller goes first.

    What is ranked now stays where it is. Tasks that come of the same prompts later have the priority too. Raises
    `BadCampaign` for a bad number and for a name that is not there, and moves nothing then.
    """
    names = [name for given in of if (name := given.strip())]
    if not 0 <= priority <= LOWEST_PRIORITY:
        raise BadCampaign(
            gettext("A priority is 0, which goes first, to %(lowest)s, not %(num)s.")
            % {"lowest": LOWEST_PRIORITY, "num": priority},
            field="priority",
        )
    if not 1 <= len(names) <= MOST_IDS:
        raise BadCampaign(gettext("Name 1 to %(most)s tasks or prompts.") % {"most": whole(MOST_IDS)}, field="ids")
    with transaction.atomic():
        Campaign.objects.select_for_update(no_key=True).get(pk=campaign.pk)  # one admin at a time
        named = [found for some in in_batches(names, BATCH) for found in tasks_named(campaign, some)]
        begin_anew(Queue.objects.filter(campaign=campaign))  # before slots are locked, like everybody
        for some in in_batches(named, BATCH):
            move(some, priority=priority)
        record("campaign.priority", actor=user, target=campaign, num_tasks=len(named), priority=priority)
    return len(named)


def tasks_named(campaign: Campaign, names: list[str]) -> list[uuid.UUID]:
    """Raises `BadCampaign` where one is not there, or has no task yet."""
    by_id = {str(pk): pk for name in names if (pk := as_uuid(name)) is not None}
    tasks = RankingTask.objects.filter(campaign=campaign)
    found = tasks.filter(Q(pk__in=by_id.values()) | Q(prompt__external_id__in=names))
    rows = list(found.order_by("pk").values_list("pk", "prompt__external_id"))
    known = {str(pk) for pk, _ in rows} | {external for _, external in rows}
    if missing := [name for name in names if name not in known and str(as_uuid(name)) not in known]:
        raise BadCampaign(
            gettext("There is no task or prompt %(name)s with a task here.") % {"name": missing[0][:80]}, field="ids"
        )
    return [pk for pk, _ in rows]


def as_uuid(name: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(name)
    except ValueError:
        return None


def move(tasks: list[uuid.UUID], *, priority: int) -> None:
    RankingTask.objects.filter(pk__in=tasks).update(priority=priority)
    Prompt.objects.filter(tasks__in=tasks).update(priority=priority)
    # The lower bits are the stored shuffle.
    Slot.objects.filter(task__in=tasks).update(
        order_key=F("order_key") % (1 << SHUFFLE_BITS) + (priority << SHUFFLE_BITS)
    )
