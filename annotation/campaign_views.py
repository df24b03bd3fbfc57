"""Pages of campaigns, for those who run them: what waits, what was ranked, and the next step."""

from __future__ import annotations

from typing import Any

from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from accounts.access import requires, signed_in
from accounts.errors import UserError
from accounts.models import Capability
from accounts.paging import page_of
from annotation.attributes import attributes_of
from annotation.forms import CampaignForm, CompletionsForm, GuidelineForm, PromptsForm, RatersForm, SnapshotForm, tell
from annotation.models import CAMPAIGN_TRANSITIONS, Campaign, CampaignState
from annotation.rendering import as_html
from annotation.rule_forms import PriorityForm, RulesForm
from annotation.services.agreement import agreement_of
from annotation.services.answers import not_ranked_in
from annotation.services.campaigns import create_campaign
from annotation.services.progress import Progress, campaign_progress, progress_of, rater_counts
from registry.models import DatasetKind, DatasetVersion
from runs.models import Run, RunState

PAGE = 40
MOST_SHOWN = 8
VERBS = {CampaignState.OPEN: "Open to raters", CampaignState.PAUSED: "Pause", CampaignState.CLOSED: "Close"}


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


@require_GET
@requires(Capability.STUDY)
def campaign_detail(request: HttpRequest, slug: str) -> HttpResponse:
    """The page; for htmx only the part that moves while people rank."""
    return show(request, get_object_or_404(Campaign.objects.select_related("created_by"), slug=slug))


def show(request: HttpRequest, campaign: Campaign, *, status: int = 200, **forms: Form) -> HttpResponse:
    """`forms` are those that were refused, with what is wrong with them."""
    progress = campaign_progress(campaign)
    context: dict[str, Any] = {
        "campaign": campaign,
        "progress": progress,
        "raters": rater_counts(campaign),
        "runs": Run.objects.filter(context__campaign=str(campaign.pk)).order_by("-created_at", "-pk")[:MOST_SHOWN],
        "snapshots": snapshots_of(campaign),
    }
    if "HX-Request" in request.headers:
        return render(request, "annotation/campaign_live.html", context)
    context |= {"not_ranked": not_ranked_in(campaign), "attributes": attributes_of(campaign.attributes)}
    context |= {"agreement": agreement_of(campaign)} | steps_of(campaign, progress) | forms
    return render(request, "annotation/campaign.html", context, status=status)


def steps_of(campaign: Campaign, progress: Progress) -> dict[str, Any]:
    """What can be done, and which of it comes next."""
    guideline = campaign.guidelines.first()
    moves = CAMPAIGN_TRANSITIONS[campaign.state]
    return {
        "moves": [(to.value, verb) for to, verb in VERBS.items() if to in moves],
        "next": next_step(campaign, progress),
        "guideline": guideline,
        "guideline_html": as_html(guideline.text) if guideline else "",
        "prompts_form": PromptsForm(),
        "completions_form": CompletionsForm(k=campaign.k),
        "snapshot_form": SnapshotForm(initial={"name": next_snapshot_name(campaign)}),
        "raters_form": RatersForm(campaign=campaign),
        "rules_form": RulesForm.of(campaign),
        "priority_form": PriorityForm(),
        "guideline_form": GuidelineForm(initial={"text": guideline.text if guideline else ""}),
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
