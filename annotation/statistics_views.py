"""Pages of a campaign's statistics, its raters and its costs, for those who run it. Figures are counted by a worker."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_http_methods

from accounts.access import requires, signed_in
from accounts.errors import UserError
from accounts.models import Capability
from annotation import statistics_charts as charts
from annotation import statistics_pages as pages
from annotation.forms import tell
from annotation.models import Campaign, Membership
from annotation.money_form import TariffForm
from annotation.services.figures import Shown, figures_of
from annotation.services.progress import rater_counts
from annotation.services.tariffs import costs_of, set_tariff
from annotation.wall_pages import wall_page

WHO = ("people", "programs")


@require_GET
@requires(Capability.STUDY)
def campaign_statistics(request: HttpRequest, slug: str) -> HttpResponse:
    """The page; for htmx only what a new count changes."""
    campaign = get_object_or_404(Campaign, slug=slug)
    shown = figures_of(campaign)
    who, part = part_asked(request, shown)
    context: dict[str, Any] = {"campaign": campaign, "shown": shown, "who": who, "parts": parts_of(shown)}
    if shown.report:
        context["wall"] = wall_page(shown.report["wall"])
    if part:
        context |= context_of(part)
    template = "annotation/statistics_live.html" if "HX-Request" in request.headers else "annotation/statistics.html"
    return render(request, template, context)


def parts_of(shown: Shown) -> list[str]:
    return [who for who in WHO if shown.report and shown.report[who]]


def part_asked(request: HttpRequest, shown: Shown) -> tuple[str, dict[str, Any] | None]:
    """People where they said anything; programs where they are asked for, or nobody else did."""
    known = parts_of(shown)
    asked = request.GET.get("who", "")
    who = asked if asked in known else (known[0] if known else WHO[0])
    return who, (shown.report or {}).get(who)


def context_of(part: dict[str, Any]) -> dict[str, Any]:
    scale, models = pages.models_of_part(part)
    return {
        "part": pages.in_words(part),
        "figures": pages.figures_of_part(part),
        "groups": pages.groups_of_part(part),
        "days": charts.chart_of_days(part),
        "pace": charts.chart_of_pace(part),
        "hours": charts.chart_of_hours(part),
        "seconds": pages.seconds_of_part(part),
        "biases": pages.biases_of_part(part),
        "model_scale": scale,
        "models": models,
        "terms": pages.terms_of_part(part),
    }


@require_GET
@requires(Capability.STUDY)
def campaign_rater_figures(request: HttpRequest, slug: str) -> HttpResponse:
    campaign = get_object_or_404(Campaign, slug=slug)
    shown = figures_of(campaign)
    known: dict[str, pages.RaterRow] = {}
    for who in parts_of(shown):
        known |= pages.raters_of_part((shown.report or {})[who])
    standings = dict(Membership.objects.filter(campaign=campaign).values_list("user__username", "standing"))
    words = dict(Membership._meta.get_field("standing").choices or ())
    rows = [
        (
            count,
            known.get(count.username),
            standings.get(count.username, ""),
            words.get(standings.get(count.username), ""),
        )
        for count in rater_counts(campaign)
    ]
    template = (
        "annotation/rater_figures_live.html" if "HX-Request" in request.headers else "annotation/rater_figures.html"
    )
    return render(request, template, {"campaign": campaign, "shown": shown, "rows": rows, "scales": pages})


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Capability.MANAGE)
def campaign_costs(request: HttpRequest, slug: str) -> HttpResponse:
    campaign = get_object_or_404(Campaign, slug=slug)
    costs = costs_of(campaign)
    form = TariffForm(request.POST or None, initial=TariffForm.initial_of(costs))
    status = 200
    if request.method == "POST" and form.is_valid():
        try:
            set_tariff(campaign, user=signed_in(request), **form.cleaned_data)
        except UserError as error:
            tell(form, error)
            status = error.status
        else:
            messages.success(request, gettext("The price holds for tasks that are given out from now on."))
            return redirect("campaign_costs", slug)
    status = 400 if form.errors and status == 200 else status
    return render(request, "annotation/costs.html", {"campaign": campaign, "costs": costs, "form": form}, status=status)
