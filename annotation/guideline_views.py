"""Pages of guidelines: versions, worked examples and who has read what, for admins; having read it, for raters."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access import requires, signed_in
from accounts.errors import UserError
from accounts.models import Capability
from accounts.paging import page_of
from annotation.forms import ExampleForm, GuidelineForm, tell
from annotation.guides import guide_of, worked
from annotation.models import Assignment, Campaign, Guideline
from annotation.own import own_membership
from annotation.rendering import as_html
from annotation.services.campaigns import revise_guideline
from annotation.services.guidelines import (
    add_example,
    examples_in,
    note_reading,
    readers_of,
    remove_example,
    versions_of,
)
from annotation.views import is_htmx

PAGE = 10


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Capability.MANAGE)
def campaign_guideline(request: HttpRequest, slug: str) -> HttpResponse:
    """All versions with what each changed; posting makes a new one."""
    campaign = get_object_or_404(Campaign, slug=slug)
    form = GuidelineForm(request.POST if request.method == "POST" else None, initial={"text": last_text(campaign)})
    if request.method == "POST" and form.is_valid():
        try:
            made = revise_guideline(campaign, text=form.cleaned_data["text"], user=signed_in(request))
        except UserError as error:
            tell(form, error)
        else:
            said = gettext(
                "Version %(number)s of the guideline is in force for every task that is given out from now on."
            )
            messages.success(request, said % {"number": made.number})
            return redirect("campaign_guideline", slug)
    return show(request, campaign, guideline_form=form)


@require_POST
@requires(Capability.MANAGE)
def campaign_example(request: HttpRequest, slug: str) -> HttpResponse:
    campaign = get_object_or_404(Campaign, slug=slug)
    form = ExampleForm(request.POST)
    if form.is_valid():
        told = {name: form.cleaned_data[name] for name in ("prompt", "order", "why")}
        try:
            made = add_example(campaign, user=signed_in(request), texts=form.texts(), **told)
        except UserError as error:
            tell(form, error)
        else:
            said = gettext("The example is in version %(number)s; raters are told that it is new.")
            messages.success(request, said % {"number": made.number})
            return redirect("campaign_guideline", slug)
    return show(request, campaign, example_form=form)


@require_POST
@requires(Capability.MANAGE)
def campaign_example_remove(request: HttpRequest, slug: str, index: int) -> HttpResponse:
    campaign = get_object_or_404(Campaign, slug=slug)
    made = remove_example(campaign, index=index, user=signed_in(request))
    said = gettext("Version %(number)s is without it; earlier versions keep it.")
    messages.success(request, said % {"number": made.number})
    return redirect("campaign_guideline", slug)


def last_text(campaign: Campaign) -> str:
    last = campaign.guidelines.first()
    return last.text if last else ""


def show(request: HttpRequest, campaign: Campaign, **forms: Form) -> HttpResponse:
    page = page_of(campaign.guidelines.select_related("created_by"), request, by="-number", size=PAGE)
    context: dict[str, Any] = {
        "campaign": campaign,
        "page": page,
        "versions": [(version, as_html(version.guideline.text)) for version in versions_of(page.items)],
        "examples": [worked(example) for example in examples_in(campaign)],
        "readers": readers_of(campaign),
        "guideline_form": GuidelineForm(initial={"text": last_text(campaign)}),
        "example_form": ExampleForm(),
    }
    is_bad = any(form.errors for form in forms.values())
    return render(request, "annotation/guideline.html", context | forms, status=400 if is_bad else 200)


@require_POST
@never_cache
@requires(Capability.RANK)
def rank_guideline_read(request: HttpRequest, slug: str) -> HttpResponse:
    """Keeps that she has read a version that she was shown; for htmx the panel as it is then."""
    rater = signed_in(request)
    campaign = own_membership(slug, rater=rater).campaign
    shown = Assignment.objects.filter(rater=rater, task__campaign=campaign).values("guideline")
    number = request.POST.get("number", "")
    mine = Guideline.objects.filter(campaign=campaign, pk__in=shown)
    guideline = get_object_or_404(mine, number=int(number) if number.isascii() and number.isdigit() else 0)
    note_reading(guideline, rater=rater)
    if not is_htmx(request):
        return redirect("rank", slug)
    context = {"campaign": campaign, "guide": guide_of(guideline, rater=rater), "has_just_read": True}
    return render(request, "annotation/rank_guide.html", context)
