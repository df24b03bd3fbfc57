"""AI feedback of a campaign, for those who run or study it: never for a rater, who is not to know what a model said."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from accounts.access import requires, signed_in
from accounts.models import Capability
from accounts.numbers import whole
from annotation.ai_forms import AskFeedbackForm, PeopleShareForm
from annotation.form_deeds import done_on
from annotation.models import Campaign, RankingTask, TaskKind
from annotation.services.ai_gate import ai_raters
from annotation.services.ai_judgements import request_judgements
from annotation.services.ai_overview import judges_of, send_rest, set_people_share
from runs.models import Run

MOST_RUNS = 8


@require_GET
@never_cache
@requires(Capability.STUDY)
def campaign_ai_feedback(request: HttpRequest, slug: str) -> HttpResponse:
    """The page; for htmx only what the gates say, a line each."""
    campaign = get_object_or_404(Campaign, slug=slug)
    if "HX-Request" in request.headers:
        return render(request, "annotation/ai_gate_lines.html", {"judges": judges_of(campaign), "campaign": campaign})
    return show(request, campaign)


def show(request: HttpRequest, campaign: Campaign, *, status: int = 200, **forms: Form) -> HttpResponse:
    """`forms` are those that were refused, with what is wrong with them."""
    context: dict[str, Any] = {
        "campaign": campaign,
        "judges": judges_of(campaign),
        "has_tasks": RankingTask.objects.filter(campaign=campaign, kind=TaskKind.WORK).exists(),
        "runs": Run.objects.filter(method="judge", context__campaign=str(campaign.pk))[:MOST_RUNS],
        "ask_form": AskFeedbackForm(),
        "share_form": PeopleShareForm(initial={"people_share": campaign.people_share}),
    }
    return render(request, "annotation/campaign_ai_feedback.html", context | forms, status=status)


done = partial(done_on, "campaign_ai_feedback", show)


@require_POST
@requires(Capability.MANAGE)
def campaign_ai_ask(request: HttpRequest, slug: str) -> HttpResponse:
    campaign = get_object_or_404(Campaign, slug=slug)
    form = AskFeedbackForm(request.POST)

    def ask() -> str:
        run = request_judgements(campaign, user=signed_in(request), **form.asked())
        return gettext("%(run)s starts as soon as a worker is free; what it says is shown here then.") % {
            "run": run.title
        }

    return done(request, campaign, form, name="ask_form", do=ask)


@require_POST
@requires(Capability.MANAGE)
def campaign_people_share(request: HttpRequest, slug: str) -> HttpResponse:
    campaign = get_object_or_404(Campaign, slug=slug)
    form = PeopleShareForm(request.POST)

    def save() -> str:
        share = form.cleaned_data["people_share"]
        set_people_share(campaign, share=share, user=signed_in(request))
        return gettext("People rank %(share)s %% of the training prompts, and every held-out one.") % {"share": share}

    return done(request, campaign, form, name="share_form", do=save)


@require_POST
@requires(Capability.MANAGE)
def campaign_ai_rest(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    campaign = get_object_or_404(Campaign, slug=slug)
    rater = get_object_or_404(ai_raters(campaign), pk=pk)
    num = send_rest(campaign, rater=rater, user=signed_in(request))
    told = ngettext("%(num)s task more is given to people.", "%(num)s tasks more are given to people.", num)
    messages.success(request, told % {"num": whole(num)})
    return redirect("campaign_ai_feedback", slug)
