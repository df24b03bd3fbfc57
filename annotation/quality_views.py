"""A campaign's quality page: its plan, its right orders, its raters' standing, and what is done to them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Count, Q
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from accounts.access import requires, signed_in
from accounts.errors import UserError
from accounts.models import Capability, User
from accounts.numbers import whole
from accounts.paging import Page, page_of
from annotation.forms import tell
from annotation.models import (
    Campaign,
    GoldAnswer,
    Membership,
    QualityPlan,
    Ranking,
    Standing,
    StandingChange,
    TaskKind,
    plan_of,
)
from annotation.quality.gold import credit_over_answers
from annotation.quality.judgement import Measure, told
from annotation.quality_forms import GoldFileForm, PlanForm
from annotation.rails import Rail, rail_of, review_letters
from annotation.services.evidence import Evidence, evidence_for
from annotation.services.gold import GoldImported, import_gold, retire_gold
from annotation.services.qualification import try_again
from annotation.services.quality_plan import set_plan
from annotation.services.standing import lift, pause

PAGE = 25
MOST_GOLD = 100


@dataclass(frozen=True, slots=True)
class RaterRow:
    """`evidence` is None where the campaign has no plan."""

    member: Membership
    evidence: Evidence | None
    last: StandingChange | None

    @property
    def can_pause(self) -> bool:
        return self.member.standing in (Standing.TRUSTED, Standing.TESTED)


@dataclass(frozen=True, slots=True)
class GoldRow:
    """`credit` is over everybody's first answers: a gold that good raters miss is a bad gold."""

    gold: GoldAnswer
    rail: Rail
    credit: Measure
    num_answers: int

    @property
    def asked(self) -> str:
        last: str = self.gold.task.prompt.messages[-1]["content"]
        return last


@require_GET
@never_cache
@requires(Capability.MANAGE)
def campaign_quality(request: HttpRequest, slug: str) -> HttpResponse:
    return show(request, get_object_or_404(Campaign, slug=slug))


def show(request: HttpRequest, campaign: Campaign, *, status: int = 200, **forms: Form) -> HttpResponse:
    """`forms` are those that were refused, with what is wrong with them."""
    plan = plan_of(campaign)
    members = Membership.objects.filter(campaign=campaign, is_active=True).select_related("user", "campaign")
    page = page_of(members, request, by="pk", size=PAGE)
    active = GoldAnswer.objects.filter(task__campaign=campaign, retired_at=None)
    context: dict[str, Any] = {
        "campaign": campaign,
        "plan": plan,
        "page": page,
        "rows": rater_rows(page, plan=plan),
        "golds": gold_rows(campaign),
        "num": active.aggregate(
            gold=Count("pk", filter=Q(task__kind=TaskKind.GOLD)), tests=Count("pk", filter=Q(task__kind=TaskKind.TEST))
        ),
        "plan_form": PlanForm(initial=PlanForm.initial_of(plan or QualityPlan(campaign=campaign))),
        "gold_form": GoldFileForm(),
    }
    return render(request, "annotation/campaign_quality.html", context | forms, status=status)


def rater_rows(page: Page[Membership], *, plan: QualityPlan | None) -> list[RaterRow]:
    members = list(page.items)
    evidence = evidence_for(members, plan=plan, looks_at_habits=False) if plan else {}
    changes = StandingChange.objects.filter(membership__in=members).select_related("by", "appeal")
    last: dict[int, StandingChange] = {}
    for change in changes:
        last.setdefault(change.membership_id, change)
    return [RaterRow(member, evidence.get(member.pk), last.get(member.pk)) for member in members]


def gold_rows(campaign: Campaign) -> list[GoldRow]:
    """The newest `MOST_GOLD`."""
    here = GoldAnswer.objects.filter(task__campaign=campaign, retired_at=None).order_by("-created_at", "-pk")
    golds = list(here.select_related("task__prompt").prefetch_related("task__entries")[:MOST_GOLD])
    answers: dict[Any, list[list[list[str]]]] = {gold.task_id: [] for gold in golds}
    first = Ranking.objects.filter(task__in=list(answers), supersedes=None)
    for ranking in first:
        answers[ranking.task_id].append(ranking.shown_tiers)
    return [
        GoldRow(
            gold=gold, rail=rail_of(gold.tiers, letters=review_letters(gold.task)),
            credit=told(credit_over_answers((tiers, gold.tiers) for tiers in answers[gold.task_id])),
            num_answers=len(answers[gold.task_id]),
        )
        for gold in golds
    ]  # fmt: skip


@require_POST
@requires(Capability.MANAGE)
def quality_plan(request: HttpRequest, slug: str) -> HttpResponse:
    campaign = get_object_or_404(Campaign, slug=slug)
    form = PlanForm(request.POST)

    def save() -> str:
        set_plan(campaign, user=signed_in(request), **form.cleaned_data)
        return gettext("The plan is in force from the next tasks on that are drawn for each rater.")

    return done(request, campaign, form, name="plan_form", do=save)


@require_POST
@requires(Capability.MANAGE)
def quality_gold(request: HttpRequest, slug: str) -> HttpResponse:
    campaign = get_object_or_404(Campaign, slug=slug)
    form = GoldFileForm(request.POST, request.FILES)

    def add() -> str:
        made = import_upload(campaign, form.cleaned_data["file"], user=signed_in(request))
        return gettext("Gold tasks added: %(gold)s; test tasks: %(tests)s; here already: %(known)s.") % {
            "gold": whole(made.num_gold), "tests": whole(made.num_tests), "known": whole(made.num_known),
        }  # fmt: skip

    return done(request, campaign, form, name="gold_form", do=add)


def import_upload(campaign: Campaign, file: UploadedFile[bytes], *, user: User) -> GoldImported:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gold.jsonl"
        with path.open("wb") as out:
            for chunk in file.chunks():
                out.write(chunk)
        return import_gold(campaign, path=path, user=user)


def done(request: HttpRequest, campaign: Campaign, form: Form, *, name: str, do: Callable[[], str]) -> HttpResponse:
    status = 400
    if form.is_valid():
        try:
            messages.success(request, do())
        except UserError as error:
            tell(form, error)
            status = error.status
        else:
            return redirect("campaign_quality", campaign.slug)
    return show(request, campaign, status=status, **{name: form})


@require_POST
@requires(Capability.MANAGE)
def quality_retire(request: HttpRequest, slug: str, gold_id: int) -> HttpResponse:
    campaign = get_object_or_404(Campaign, slug=slug)
    gold = get_object_or_404(GoldAnswer.objects.select_related("task__campaign"), pk=gold_id, task__campaign=campaign)
    retire_gold(gold, user=signed_in(request))
    messages.success(request, gettext("It is given to nobody any more, and its answers count for nobody."))
    return redirect("campaign_quality", slug)


@require_POST
@requires(Capability.MANAGE)
def quality_standing(request: HttpRequest, slug: str, username: str) -> HttpResponse:
    """Pauses a rater, lets her go on, or lets her take the test again."""
    campaign = get_object_or_404(Campaign, slug=slug)
    rater = get_object_or_404(User, username=username, memberships__campaign=campaign)
    to, reason, user = request.POST.get("to", ""), request.POST.get("reason", ""), signed_in(request)
    if to == Standing.PAUSED:
        pause(campaign, rater=rater, reason=reason, user=user)
        told = gettext("%(rater)s gets no more tasks here, and reads your reason on My work.")
    elif to == Standing.TESTED:
        try_again(campaign, rater=rater, user=user)
        told = gettext("%(rater)s may take the test again, with tasks that are new to her.")
    else:
        lift(campaign, rater=rater, user=user, reason=reason)
        told = gettext("%(rater)s goes on, and the checks begin anew.")
    messages.success(request, told % {"rater": rater.username})
    return redirect("campaign_quality", slug)
