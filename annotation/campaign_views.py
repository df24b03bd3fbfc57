"""Pages of campaigns, for those who run them: what waits, what was ranked, and the next step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.core.cache import cache
from django.db.models import Q, QuerySet
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext, gettext_noop
from django.views.decorators.http import require_GET, require_http_methods

from accounts.access import requires, signed_in
from accounts.errors import UserError
from accounts.models import Capability
from accounts.paging import page_of
from annotation.attributes import attributes_of
from annotation.forms import CampaignForm, CloneForm, CompletionsForm, ImportForm, RatersForm, SnapshotForm, tell
from annotation.models import CAMPAIGN_TRANSITIONS, Campaign, CampaignState, ImportState
from annotation.rendering import as_html
from annotation.rule_forms import PriorityForm, RulesForm
from annotation.services.agreement import agreement_of
from annotation.services.ai_gate import ai_raters
from annotation.services.answers import not_ranked_in
from annotation.services.campaigns import create_campaign
from annotation.services.cloning import clone_campaign
from annotation.services.progress import (
    FRESH,
    LARGE,
    Progress,
    RaterCount,
    campaign_progress,
    progress_of,
    rater_counts,
)
from annotation.services.tariffs import budget_of
from registry.models import DatasetKind, DatasetVersion
from runs.models import Run, RunState

Counted = TypeVar("Counted")

PAGE = 40
MOST_SHOWN = 8
MOST_RATERS = 20
VERBS = {
    CampaignState.OPEN: gettext_noop("Open to raters"),
    CampaignState.PAUSED: gettext_noop("Pause"),
    CampaignState.CLOSED: gettext_noop("Close"),
}
AGAIN: dict[tuple[str, str], str] = {
    (CampaignState.CLOSED, CampaignState.OPEN): gettext_noop("Reopen"),
    (CampaignState.PAUSED, CampaignState.OPEN): gettext_noop("Go on"),
}


@require_GET
@requires(Capability.STUDY)
def campaign_list(request: HttpRequest) -> HttpResponse:
    page = page_of(Campaign.objects.all(), request, by="-pk", size=PAGE)
    progress = progress_of(page.items)
    entries = [(campaign, progress[campaign.pk]) for campaign in page.items]
    return render(request, "annotation/campaigns.html", {"page": page, "entries": entries})


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Capability.MANAGE)
def campaign_new(request: HttpRequest) -> HttpResponse:
    form = CampaignForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            campaign = create_campaign(**form.cleaned_data, user=signed_in(request))
        except UserError as error:
            tell(form, error)
        else:
            return redirect("campaign", campaign.slug)
    return render(request, "annotation/campaign_new.html", {"form": form}, status=400 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Capability.MANAGE)
def campaign_clone(request: HttpRequest, slug: str) -> HttpResponse:
    campaign = get_object_or_404(Campaign, slug=slug)
    initial = {"name": gettext("%(campaign)s, again") % {"campaign": campaign.name[:110]}}
    form = CloneForm(request.POST if request.method == "POST" else None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            made = clone_campaign(campaign, **form.cleaned_data, user=signed_in(request))
        except UserError as error:
            tell(form, error)
        else:
            return redirect("campaign", made.slug)
    context = {"campaign": campaign, "form": form}
    return render(request, "annotation/campaign_clone.html", context, status=400 if form.errors else 200)


def runs_of(campaign: Campaign) -> QuerySet[Run]:
    """Those that it was started for, and those that ask its raters."""
    key = str(campaign.pk)
    return Run.objects.filter(Q(context__campaign=key) | Q(context__voters=key))


@require_GET
@requires(Capability.STUDY)
def campaign_detail(request: HttpRequest, slug: str) -> HttpResponse:
    """The page; for htmx only the part that moves while people rank."""
    return show(request, get_object_or_404(Campaign.objects.select_related("created_by"), slug=slug))


def show(request: HttpRequest, campaign: Campaign, *, status: int = 200, **forms: Form) -> HttpResponse:
    """`forms` are those that were refused, with what is wrong with them."""
    progress = campaign_progress(campaign)
    raters = now_and_then(campaign, progress, busiest)
    context: dict[str, Any] = {
        "campaign": campaign,
        "progress": progress,
        "raters": raters[:MOST_RATERS],
        "rater_groups": sorted({rater.group for rater in raters} - {""}),
        "has_more_raters": len(raters) > MOST_RATERS,
        "runs": runs_of(campaign).order_by("-created_at", "-pk")[:MOST_SHOWN],
        "snapshots": snapshots_of(campaign),
    }
    if "HX-Request" in request.headers:
        return render(request, "annotation/campaign_live.html", context)
    context |= {"costs": budget_of(campaign), "has_ai": ai_raters(campaign).exists()}
    context |= {
        "not_ranked": now_and_then(campaign, progress, not_ranked_in),
        "attributes": attributes_of(campaign.attributes),
    }
    context |= {"agreement": now_and_then(campaign, progress, agreement_of)} | steps_of(campaign, progress) | forms
    return render(request, "annotation/campaign.html", context, status=status)


def busiest(campaign: Campaign) -> list[RaterCount]:
    """One more than are shown: all of them stand on a page of their own."""
    return rater_counts(campaign, most=MOST_RATERS + 1)


def now_and_then(campaign: Campaign, progress: Progress, count: Callable[[Campaign], Counted]) -> Counted:
    """What `count` says; of a large campaign what it said less than `FRESH` ago."""
    if progress.slots < LARGE:
        return count(campaign)
    key = f"annotation.{count.__name__}.{campaign.pk}"
    known: tuple[Counted] | None = cache.get(key)
    if known is None:
        known = (count(campaign),)
        cache.set(key, known, FRESH.total_seconds())
    return known[0]


def steps_of(campaign: Campaign, progress: Progress) -> dict[str, Any]:
    """What can be done, and which of it comes next."""
    guideline = campaign.guidelines.first()
    moves = CAMPAIGN_TRANSITIONS[campaign.state]
    return {
        "moves": [
            (to.value, gettext(AGAIN.get((campaign.state, to), verb))) for to, verb in VERBS.items() if to in moves
        ],
        "next": next_step(campaign, progress),
        "guideline": guideline,
        "guideline_html": as_html(guideline.text) if guideline else "",
        "import_form": ImportForm(),
        "waiting_imports": campaign.imports.filter(state=ImportState.CHECKED)[:MOST_SHOWN],
        "completions_form": CompletionsForm(k=campaign.k),
        "snapshot_form": SnapshotForm(campaign=campaign, initial={"name": next_snapshot_name(campaign)}),
        "raters_form": RatersForm(campaign=campaign),
        "examples": guideline.examples if guideline else [],
        "rules_form": RulesForm.of(campaign),
        "priority_form": PriorityForm(),
    }


def next_step(campaign: Campaign, progress: Progress) -> str:
    """The one thing that a campaign waits for, so that a page has one primary button."""
    if not progress.prompts:
        return "prompts"
    if not progress.tasks:
        waits = Run.objects.filter(context__campaign=str(campaign.pk), state__in=[RunState.QUEUED, RunState.RUNNING])
        return "wait" if waits.exists() else "completions"
    if campaign.state == CampaignState.DRAFT:
        return "open"
    return "snapshot" if progress.rankings else "wait"


def snapshots_of(campaign: Campaign) -> list[DatasetVersion]:
    made = DatasetVersion.objects.filter(kind=DatasetKind.PREFERENCE, query__campaign=campaign.slug)
    return list(made.order_by("-created_at", "-pk")[:MOST_SHOWN])


def next_snapshot_name(campaign: Campaign) -> str:
    taken = set(DatasetVersion.objects.filter(name__startswith=f"{campaign.slug}-").values_list("name", flat=True))
    return next(name for number in range(1, len(taken) + 2) if (name := f"{campaign.slug}-{number}") not in taken)
