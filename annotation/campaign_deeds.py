"""What is done to a campaign from its page: one form each; one that is refused comes back with what is wrong."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext, gettext_noop, ngettext
from django.views.decorators.http import require_POST

from accounts.access import requires, signed_in
from accounts.models import Capability, User
from accounts.numbers import whole
from annotation.campaign_views import show
from annotation.form_deeds import done_on
from annotation.forms import CompletionsForm, RatersForm, SnapshotForm
from annotation.models import Campaign, CampaignState
from annotation.services.campaigns import add_raters, remove_rater, set_state
from annotation.services.completions import request_completions
from annotation.services.snapshot import freeze_snapshot

done = partial(done_on, "campaign", show)

STATES_IN_WORDS = {
    CampaignState.OPEN: gettext_noop("%(campaign)s is open: raters find it on their home page."),
    CampaignState.PAUSED: gettext_noop("%(campaign)s is paused: raters get no new task."),
    CampaignState.CLOSED: gettext_noop("%(campaign)s is closed."),
}


@require_POST
@requires(Capability.MANAGE)
def campaign_state(request: HttpRequest, slug: str) -> HttpResponse:
    campaign = get_object_or_404(Campaign, slug=slug)
    moved = set_state(campaign, to=request.POST.get("to", ""), user=signed_in(request))
    messages.success(request, gettext(STATES_IN_WORDS[CampaignState(moved.state)]) % {"campaign": moved.name})
    return redirect("campaign", slug)


@require_POST
@requires(Capability.MANAGE)
def campaign_completions(request: HttpRequest, slug: str) -> HttpResponse:
    campaign = get_object_or_404(Campaign, slug=slug)
    form = CompletionsForm(request.POST, k=campaign.k)

    def ask() -> str:
        recipe = {name: form.cleaned_data[name] for name in ("k", "max_new_tokens")}
        model = form.cleaned_data["model"]
        request_completions(campaign, model=model, user=signed_in(request), recipe=recipe)
        return gettext("%(model)s writes as soon as a worker is free; its completions become tasks by themselves.") % {
            "model": model.name
        }

    return done(request, campaign, form, name="completions_form", do=ask)


@require_POST
@requires(Capability.STUDY)
def campaign_snapshot(request: HttpRequest, slug: str) -> HttpResponse:
    campaign = get_object_or_404(Campaign, slug=slug)
    form = SnapshotForm(request.POST, campaign=campaign)

    def freeze() -> str:
        dataset = freeze_snapshot(
            campaign, name=form.cleaned_data["name"], user=signed_in(request), feedback=form.feedback
        )
        told = ngettext(
            "%(dataset)s is frozen with %(num)s comparison.",
            "%(dataset)s is frozen with %(num)s comparisons.",
            dataset.num_rows,
        ) % {"dataset": dataset.name, "num": whole(dataset.num_rows)}
        return f"{told} {labels_told(dataset.query['ai'])}" if "ai" in dataset.query else told

    return done(request, campaign, form, name="snapshot_form", do=freeze)


def labels_told(ai: dict[str, Any]) -> str:
    if not ai["num_rankings"]:
        return gettext("None is by %(rater)s: no label of it counts where people have no word.") % {
            "rater": ai["rater"]
        }
    told = ngettext(
        "%(num)s of the rankings is by %(rater)s.", "%(num)s of the rankings are by %(rater)s.", ai["num_rankings"]
    )
    return told % {"num": whole(ai["num_rankings"]), "rater": ai["rater"]}


@require_POST
@requires(Capability.MANAGE)
def campaign_raters(request: HttpRequest, slug: str) -> HttpResponse:
    campaign = get_object_or_404(Campaign, slug=slug)
    form = RatersForm(request.POST, campaign=campaign)

    def add() -> str:
        num_new = add_raters(campaign, raters=form.cleaned_data["raters"], user=signed_in(request))
        return ngettext("%(num)s rater added.", "%(num)s raters added.", num_new) % {"num": whole(num_new)}

    return done(request, campaign, form, name="raters_form", do=add)


@require_POST
@requires(Capability.MANAGE)
def campaign_rater_remove(request: HttpRequest, slug: str, username: str) -> HttpResponse:
    campaign = get_object_or_404(Campaign, slug=slug)
    rater = get_object_or_404(User, username=username, memberships__campaign=campaign)
    remove_rater(campaign, rater=rater, user=signed_in(request))
    told = gettext("%(rater)s gets no more tasks here; the rankings so far stay.") % {"rater": rater.username}
    messages.success(request, told)
    return redirect("campaign", slug)
