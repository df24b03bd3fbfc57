"""A campaign's quality page: its plan, its right orders, its raters' standing, and what is done to them."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from accounts.access import requires, signed_in
from accounts.models import Capability, User
from accounts.numbers import whole
from accounts.paging import page_of
from annotation.form_deeds import done_on
from annotation.models import (
    Campaign,
    GoldAnswer,
    Membership,
    QualityPlan,
    Standing,
    plan_of,
)
from annotation.quality_forms import GoldFileForm, PlanForm
from annotation.services.gold import import_upload, retire_gold
from annotation.services.qualification import try_again
from annotation.services.quality_plan import set_plan
from annotation.services.quality_rows import gold_rows, num_golds, rater_rows
from annotation.services.standing import lift, pause

PAGE = 25
MOST_GOLD = 100


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
    golds = GoldAnswer.objects.filter(task__campaign=campaign, retired_at=None).select_related("task__prompt")
    newest = golds.prefetch_related("task__entries").order_by("-created_at", "-pk")[:MOST_GOLD]
    context: dict[str, Any] = {
        "campaign": campaign,
        "plan": plan,
        "page": page,
        "rows": rater_rows(page.items, plan=plan),
        "golds": gold_rows(list(newest)),
        "num": num_golds(campaign),
        "plan_form": PlanForm(initial=PlanForm.initial_of(plan or QualityPlan(campaign=campaign))),
        "gold_form": GoldFileForm(),
    }
    return render(request, "annotation/campaign_quality.html", context | forms, status=status)


done = partial(done_on, "campaign_quality", show)


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
