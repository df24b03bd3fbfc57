"""Pages of campaigns, for those who run them: what waits, what was ranked, and the next step."""

from __future__ import annotations

import tempfile
from pathlib import Path

from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.access import requires
from accounts.errors import UserError
from accounts.models import Capability, User
from accounts.paging import page_of
from annotation.forms import CampaignForm, CompletionsForm, PromptsForm, SnapshotForm
from annotation.models import CAMPAIGN_TRANSITIONS, Campaign, CampaignState
from annotation.services.campaigns import create_campaign, set_state
from annotation.services.completions import request_completions
from annotation.services.progress import campaign_progress, rater_counts
from annotation.services.prompts import import_prompts
from annotation.services.snapshot import freeze_snapshot
from registry.models import DatasetKind, DatasetVersion
from runs.models import Run

PAGE = 40
VERBS = {CampaignState.OPEN: "Open to raters", CampaignState.PAUSED: "Pause", CampaignState.CLOSED: "Close"}


@require_GET
@requires(Capability.STUDY)
def campaign_list(request: HttpRequest) -> HttpResponse:
    page = page_of(Campaign.objects.select_related("created_by"), request, by="-created_at", size=PAGE)
    entries = [(campaign, campaign_progress(campaign)) for campaign in page.items]
    return render(request, "annotation/campaigns.html", {"page": page, "entries": entries})


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Capability.MANAGE)
def campaign_new(request: HttpRequest) -> HttpResponse:
    form = CampaignForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            campaign = create_campaign(**form.cleaned_data, user=person(request))
        except UserError as error:
            form.add_error(None, error.sentence)
        else:
            return redirect("campaign", campaign.slug)
    return render(request, "annotation/campaign_new.html", {"form": form}, status=400 if form.errors else 200)


@require_GET
@requires(Capability.STUDY)
def campaign_detail(request: HttpRequest, slug: str) -> HttpResponse:
    """The page; with `HX-Request`, only the part that moves while people rank."""
    campaign = get_object_or_404(Campaign.objects.select_related("created_by"), slug=slug)
    context = {"campaign": campaign, "progress": campaign_progress(campaign), "raters": rater_counts(campaign)}
    if request.headers.get("HX-Request"):
        return render(request, "annotation/campaign_live.html", context)
    return render(request, "annotation/campaign.html", context | steps_of(campaign))


def steps_of(campaign: Campaign) -> dict[str, object]:
    """What an admin can do next, and what was done."""
    return {
        "moves": [(to, VERBS[CampaignState(to)]) for to in VERBS if to in CAMPAIGN_TRANSITIONS[campaign.state]],
        "guideline": campaign.guidelines.first(),
        "prompts_form": PromptsForm(),
        "completions_form": CompletionsForm(),
        "snapshot_form": SnapshotForm(initial={"name": next_snapshot_name(campaign)}),
        "snapshots": snapshots_of(campaign),
        "runs": Run.objects.filter(context__campaign=str(campaign.pk)).order_by("-created_at", "-pk")[:8],
    }


def snapshots_of(campaign: Campaign) -> list[DatasetVersion]:
    made = DatasetVersion.objects.filter(kind=DatasetKind.PREFERENCE, query__campaign=campaign.slug)
    return list(made.order_by("-created_at", "-pk")[:20])


def next_snapshot_name(campaign: Campaign) -> str:
    taken = set(DatasetVersion.objects.filter(name__startswith=f"{campaign.slug}-").values_list("name", flat=True))
    return next(name for number in range(1, len(taken) + 2) if (name := f"{campaign.slug}-{number}") not in taken)


@require_POST
@requires(Capability.MANAGE)
def campaign_state(request: HttpRequest, slug: str) -> HttpResponse:
    campaign = get_object_or_404(Campaign, slug=slug)
    set_state(campaign, to=request.POST.get("to", ""), user=person(request))
    return redirect("campaign", slug)


@require_POST
@requires(Capability.MANAGE)
def campaign_prompts(request: HttpRequest, slug: str) -> HttpResponse:
    campaign = get_object_or_404(Campaign, slug=slug)
    form = PromptsForm(request.POST, request.FILES)
    if not form.is_valid():
        raise UserError("Choose a file with prompts first.", code="no_file")
    with tempfile.TemporaryDirectory() as folder:
        path = saved(form.cleaned_data["file"], folder=Path(folder))
        added = import_prompts(campaign, path=path, user=person(request))
    messages.success(request, f"{added.num_added} prompts were added; {added.num_known} were here already.")
    return redirect("campaign", slug)


def saved(file: UploadedFile, *, folder: Path) -> Path:
    """The upload under a name of ours; of its own name only the ending is kept, which says how to read it."""
    path = folder / f"prompts{Path(file.name or '').suffix[:8].lower()}"
    with path.open("wb") as out:
        for chunk in file.chunks():
            out.write(chunk)
    return path


@require_POST
@requires(Capability.MANAGE)
def campaign_completions(request: HttpRequest, slug: str) -> HttpResponse:
    campaign = get_object_or_404(Campaign, slug=slug)
    form = CompletionsForm(request.POST)
    if not form.is_valid():
        raise UserError("Choose the model that should write the completions.", code="no_model")
    run = request_completions(campaign, model=form.cleaned_data["model"], user=person(request))
    return redirect("run", run.pk)


@require_POST
@requires(Capability.STUDY)
def campaign_snapshot(request: HttpRequest, slug: str) -> HttpResponse:
    campaign = get_object_or_404(Campaign, slug=slug)
    form = SnapshotForm(request.POST)
    if not form.is_valid():
        raise UserError("Give the snapshot a name.", code="no_name")
    dataset = freeze_snapshot(campaign, name=form.cleaned_data["name"], user=person(request))
    messages.success(request, f"{dataset.name} was frozen with {dataset.num_rows} comparisons.")
    return redirect("campaign", slug)


def person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user
