"""A campaign's quality plan: set as a whole, with bounds told in words."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils.translation import gettext, gettext_noop, ngettext

from accounts.errors import UserError
from accounts.models import User
from annotation.models import Campaign, GoldAnswer, QualityPlan, TaskKind
from annotation.models.quality import FEWEST_TESTS, as_facts
from audit.services import record

MOST_CHECKS = 0.5  # of a rater's stream, gold and repeats together
SHARES = {
    "gold_share": gettext_noop("Gold are 0 to 50 % of the tasks."),
    "repeat_share": gettext_noop("Repeats are 0 to 50 % of the tasks."),
}
MARKS = {  # field: the most that it may be, and what is said of others
    "pass_mark": (
        1.0,
        gettext_noop("The pass mark is more than 50 %, which guessing gives, and at most 100 %."),
    ),
    "floor": (
        0.95,
        gettext_noop("The honest credit is more than 50 %, which guessing gives, and at most 95 %."),
    ),
}


class BadPlan(UserError):
    code = "bad_plan"


def set_plan(campaign: Campaign, *, user: User | None, **fields: Any) -> QualityPlan:
    """Fields that are not given stay as they are. Raises `BadPlan`, which names the field and its bound.

    Whoever is a rater already keeps her standing: a test is asked of those who join from then on.
    """
    with transaction.atomic():
        Campaign.objects.select_for_update().get(pk=campaign.pk)
        plan = QualityPlan.objects.filter(campaign=campaign).first() or QualityPlan(campaign=campaign)
        before = as_facts(plan) if plan.pk else {}
        for name, value in fields.items():
            setattr(plan, name, value)
        check(plan)
        plan.save()
        if (after := as_facts(plan)) != before:
            record("campaign.quality_plan", actor=user, target=campaign, before=before, after=after)
    return plan


def check(plan: QualityPlan) -> None:
    for name, sentence in SHARES.items():
        if not 0 <= getattr(plan, name) <= MOST_CHECKS:
            raise BadPlan(gettext(sentence), field=name)
    if plan.gold_share + plan.repeat_share > MOST_CHECKS:
        raise BadPlan(gettext("Gold and repeats together are at most half of the tasks."), field="repeat_share")
    if not 1 <= plan.repeat_after <= 1000:
        raise BadPlan(gettext("Between a task and its repeat lie 1 to 1,000 others."), field="repeat_after")
    for name, (most, sentence) in MARKS.items():
        if not 0.5 < getattr(plan, name) <= most:
            raise BadPlan(gettext(sentence), field=name)
    if not 0 < plan.false_alarm <= 0.2:
        raise BadPlan(gettext("The rate of false alarms is above 0 and at most 20 %."), field="false_alarm")
    if plan.num_tests and not FEWEST_TESTS <= plan.num_tests <= 100:
        raise BadPlan(
            gettext("A test has %(fewest)s to 100 tasks, or there is none (0): fewer can't be told from luck.")
            % {"fewest": FEWEST_TESTS},
            field="num_tests",
        )
    here = GoldAnswer.objects.filter(task__campaign=plan.campaign, task__kind=TaskKind.TEST, retired_at=None).count()
    if plan.num_tests > here:
        raise BadPlan(
            ngettext(
                "There is %(num)s test task, fewer than %(wanted)s. Add some first.",
                "There are %(num)s test tasks, fewer than %(wanted)s. Add some first.",
                here,
            )
            % {"num": here, "wanted": plan.num_tests},
            field="num_tests",
        )
