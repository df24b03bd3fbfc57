"""Pages of runs: the queue, one run as it goes on, and the form that starts one."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from accounts.access import requires
from accounts.models import Capability, User
from accounts.paging import page_of
from runs import estimates, measures, pages, reports
from runs.coach import coached
from runs.curves import as_json, charts_of
from runs.models import EventKind, Run, RunState
from runs.recipe_words import said
from runs.services.again import can_lose_length, without_length
from runs.services.control import request_cancel, resume_run
from training.recipes import RECIPES

PAGE = 40
SAMPLES = 24
LOG_LINES = 60
TRIALS = ("try_principle",)  # methods that make nothing but texts for one person to read
EVERYTHING = "everything"


@require_GET
@requires(Capability.STUDY)
def run_list(request: HttpRequest) -> HttpResponse:
    chosen = {name: request.GET.get(name, "") for name in ("state", "method", "shown")}
    runs = filtered(Run.objects.select_related("created_by"), **chosen)
    context = {
        "page": page_of(runs, request, by="-created_at", size=PAGE),
        "chosen": chosen,
        "states": RunState.choices,
        "methods": list(RECIPES),
        "num_running": Run.objects.filter(state=RunState.RUNNING).count(),
        "num_queued": Run.objects.filter(state=RunState.QUEUED).count(),
    }
    template = "runs/list_rows.html" if request.headers.get("HX-Request") else "runs/list.html"
    return render(request, template, context)


def filtered(runs: QuerySet[Run], *, state: str, method: str, shown: str) -> QuerySet[Run]:
    """Estimates and trials that went well were a question of somebody's: they are left out unless they are asked for."""
    asked = runs.filter(Q(state=state) if state else Q(), Q(method=method) if method else Q())
    if shown == EVERYTHING or method in TRIALS:
        return asked
    passing = Q(is_estimate=True) | Q(method__in=TRIALS)
    return asked.exclude(passing & Q(state__in=[RunState.SUCCEEDED, RunState.CANCELLED]))


@require_GET
@requires(Capability.STUDY)
def run_detail(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """The page; with `HX-Request`, only the part of it that changes while the run goes on."""
    run = get_object_or_404(Run.objects.select_related("created_by"), pk=run_id)
    context = live_part(run)
    if request.headers.get("HX-Request"):
        return render(request, "runs/live.html", context)
    context |= {
        "recipe_rows": pages.recipe_rows(run),
        "inputs": pages.inputs_of(run),
        "samples": samples_shown(run),
        "can_lose_length": can_lose_length(run),
    }
    return render(request, "runs/detail.html", context)


def live_part(run: Run) -> dict[str, Any]:
    events = run.events.order_by("-seq")
    return {
        "run": run,
        "made": pages.made_by(run),
        "summary": said(RECIPES[run.method].summary),
        "waits_for": pages.waits_for(run),
        "num_before": pages.num_before(run),
        "report": reports.report_of(run),
        "measured": measures.measured_of(run),
        "tables": measures.confusions_of(run),
        "beside": estimates.beside_estimate(run),
        "used": estimates.used_by(run),
        "coach": coached(run),
        "log": [
            pages.log_line(event)
            for event in events.filter(kind__in=[EventKind.LOG, EventKind.STATE, EventKind.WARNING])[:LOG_LINES]
        ],
        "metrics": [] if run.is_estimate else pages.final_metrics(run),
        "has_curves": events.filter(kind=EventKind.METRIC).exists(),
    }


@require_GET
@requires(Capability.STUDY)
def run_samples(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    run = get_object_or_404(Run, pk=run_id)
    return render(request, "runs/samples.html", {"samples": samples_shown(run)})


def samples_shown(run: Run) -> list[pages.SampledPrompt]:
    """None beside a report, which has the same texts with those of the reference; a trial's is these samples."""
    is_told = reports.has_report(run) and run.method != "try_principle"
    return [] if is_told else pages.samples_of(run, limit=SAMPLES)


@require_GET
@requires(Capability.STUDY)
def run_curves(request: HttpRequest, run_id: uuid.UUID) -> JsonResponse:
    """`{"state", "charts": [...]}` as `runs.curves.as_json` says."""
    run = get_object_or_404(Run, pk=run_id)
    return JsonResponse({"run": str(run.pk), "state": run.state, "charts": as_json(charts_of(run))})


@require_GET
@requires(Capability.STUDY)
def run_events(request: HttpRequest, run_id: uuid.UUID) -> JsonResponse:
    """Events after `?after=SEQ`, oldest first, at most 500: a page that was away fetches what it missed."""
    run = get_object_or_404(Run, pk=run_id)
    after = request.GET.get("after", "0")
    events = run.events.filter(seq__gt=int(after) if after.isdecimal() else 0).order_by("seq")[:500]
    told = [{"seq": e.seq, "at": e.at.isoformat(), "kind": e.kind, "payload": e.payload} for e in events]
    return JsonResponse({"state": run.state, "last_seq": run.last_seq, "events": told})


@require_POST
@requires(Capability.MANAGE)
def run_cancel(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    assert isinstance(request.user, User)
    request_cancel(get_object_or_404(Run, pk=run_id), user=request.user)
    return redirect("run", run_id)


@require_POST
@requires(Capability.MANAGE)
def run_resume(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    assert isinstance(request.user, User)
    resume_run(get_object_or_404(Run, pk=run_id), user=request.user)
    return redirect("run", run_id)


@require_POST
@requires(Capability.MANAGE)
def run_without_length(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """Starts the same reward model once more, with the length of answers taken out of its scores."""
    assert isinstance(request.user, User)
    return redirect("run", without_length(get_object_or_404(Run, pk=run_id), user=request.user).pk)
