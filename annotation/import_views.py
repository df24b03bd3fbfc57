"""Pages of imports: a file is brought, its dry run is looked at, and then it is imported or let go."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access import requires, signed_in
from accounts.errors import UserError
from accounts.models import Capability
from accounts.numbers import whole
from accounts.paging import page_of
from annotation.forms import ImportForm
from annotation.importing.bringing import Report
from annotation.importing.complaints import BadLines
from annotation.importing.reading import READERS, label_of
from annotation.importing.units import words_of
from annotation.models import Campaign, Import, ImportState
from annotation.services.imports import check, confirm, let_go

PAGE = 20


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@requires(Capability.MANAGE)
def campaign_imports(request: HttpRequest, slug: str) -> HttpResponse:
    """What was brought so far, and the form that brings a file, which leads to its dry run."""
    campaign = get_object_or_404(Campaign, slug=slug)
    is_sent = request.method == "POST"
    form = ImportForm(request.POST, request.FILES) if is_sent else ImportForm()
    status = 400 if is_sent else 200
    if is_sent and form.is_valid():
        try:
            brought = check(campaign, **form.cleaned_data, user=signed_in(request))
        except UserError as error:
            form.add_error("file", error.sentence)
            status = error.status
        else:
            return redirect("campaign_import", slug, brought.pk)
    page = page_of(
        Import.objects.filter(campaign=campaign).select_related("created_by"), request, by="-created_at", size=PAGE
    )
    rows = [(one, label_of(one.format)) for one in page.items]
    context = {"campaign": campaign, "form": form, "page": page, "rows": rows, "formats": READERS}
    return render(request, "annotation/imports.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@requires(Capability.MANAGE)
def campaign_import(request: HttpRequest, slug: str, import_id: uuid.UUID) -> HttpResponse:
    """The dry run; posting to it imports the file."""
    brought = import_of(slug, import_id)
    if request.method != "POST":
        return show(request, brought)
    try:
        report = confirm(brought, user=signed_in(request), leaves_bad_out="leave_bad_out" in request.POST)
    except BadLines as error:
        return show(request, brought, error=error, status=error.status)
    told = {"name": brought.file_name, "what": in_words(report)}
    messages.success(request, gettext("%(name)s is imported: %(what)s.") % told)
    return redirect("campaign", slug)


@require_POST
@requires(Capability.MANAGE)
def campaign_import_drop(request: HttpRequest, slug: str, import_id: uuid.UUID) -> HttpResponse:
    brought = import_of(slug, import_id)
    let_go(brought, user=signed_in(request))
    messages.success(request, gettext("%(name)s is let go: nothing of it was kept.") % {"name": brought.file_name})
    return redirect("campaign_imports", slug)


def import_of(slug: str, import_id: uuid.UUID) -> Import:
    return get_object_or_404(Import.objects.select_related("campaign", "created_by"), pk=import_id, campaign__slug=slug)


def show(request: HttpRequest, brought: Import, *, error: UserError | None = None, status: int = 200) -> HttpResponse:
    report = brought.report
    context: dict[str, Any] = {
        "brought": brought,
        "campaign": brought.campaign,
        "report": report,
        "label": label_of(brought.format),
        "unit": words_of(report["unit"], num_bad=report["num_bad"]),
        "counts": report["counts"],
        "error": error,
        "waits": brought.state == ImportState.CHECKED,
        "is_empty": not any(report["counts"][name] for name in ("prompts", "completions", "tasks", "rankings")),
        "more_bad": max(0, report["num_bad"] - len(report["lines"])),
    }
    return render(request, "annotation/import.html", context, status=status)


def in_words(report: Report) -> str:
    counts = report.counts
    tasks = counts.tasks + report.made_tasks
    told = [
        (counts.prompts, ngettext("%(num)s prompt", "%(num)s prompts", counts.prompts)),
        (counts.completions, ngettext("%(num)s completion", "%(num)s completions", counts.completions)),
        (tasks, ngettext("%(num)s task", "%(num)s tasks", tasks)),
        (counts.rankings, ngettext("%(num)s ranking", "%(num)s rankings", counts.rankings)),
    ]
    parts = [words % {"num": whole(number)} for number, words in told if number]
    return ", ".join(parts) or gettext("there was nothing new in it")
