"""Two to four runs beside each other: their curves on one chart a metric, and where their recipes differ."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_GET

from accounts.access import requires
from accounts.errors import NotFound, UserError
from accounts.models import Capability
from runs.curves import as_json, charts_together
from runs.models import Run
from runs.recipe_form import label_of, shown
from runs.recipe_words import said

MOST = 4
LETTERS = "ABCD"
OTHERS_SHOWN = 20


class TooManyRuns(UserError):
    code = "too_many_runs"


@dataclass(frozen=True, slots=True)
class Offer:
    """A run that can be added to or taken from the comparison, with the address that does it."""

    run: Run
    url: str
    letter: str = ""  # how charts call it: titles are too long for the ends of lines


@require_GET
@requires(Capability.STUDY)
def compare(request: HttpRequest) -> HttpResponse:
    runs = chosen_runs(request)
    methods = {run.method for run in runs}
    others = Run.objects.filter(method__in=methods) if methods else Run.objects.all()
    others = others.exclude(pk__in=[run.pk for run in runs]).order_by("-created_at", "-pk")
    context = {
        "chosen": [
            Offer(run, address_of([other for other in runs if other != run]), letter)
            for run, letter in zip(runs, LETTERS, strict=False)
        ],
        "others": [Offer(run, address_of([*runs, run])) for run in others[:OTHERS_SHOWN]] if len(runs) < MOST else [],
        "rows": differing(runs),
        "curves_url": reverse("runs_compare_curves") + query_of(runs),
    }
    return render(request, "runs/compare.html", context)


@require_GET
@requires(Capability.STUDY)
def compare_curves(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"charts": as_json(charts_together(chosen_runs(request), labels=LETTERS))})


def chosen_runs(request: HttpRequest) -> list[Run]:
    """The runs of `?run=..&run=..`, in that order, each once. Raises `TooManyRuns`, `NotFound`."""
    keys = list(dict.fromkeys(request.GET.getlist("run")))
    if len(keys) > MOST:
        raise TooManyRuns(gettext("At most %(most)s runs can be told apart on one chart.") % {"most": MOST})
    try:
        found = Run.objects.in_bulk([uuid.UUID(key) for key in keys])
        return [found[uuid.UUID(key)] for key in keys]
    except (ValueError, KeyError):
        raise NotFound(gettext("One of these runs does not exist."), code="no_run") from None


def differing(runs: list[Run]) -> list[tuple[str, list[Any]]]:
    """The fields of the recipes in which the runs differ, with each run's value."""
    if len(runs) < 2:
        return []
    fields = list(dict.fromkeys(name for run in runs for name in run.recipe))
    rows: list[tuple[str, list[Any]]] = [
        (gettext("method"), [run.method for run in runs]),
        (gettext("seed"), [run.seed for run in runs]),
    ]
    rows += [
        (said(label_of(name)), [shown(run.recipe[name]) if name in run.recipe else "–" for run in runs])
        for name in fields
    ]
    return [(label, values) for label, values in rows if any(value != values[0] for value in values)]


def address_of(runs: list[Run]) -> str:
    return reverse("runs_compare") + query_of(runs)


def query_of(runs: list[Run]) -> str:
    return f"?{urlencode([('run', run.pk) for run in runs])}" if runs else ""
