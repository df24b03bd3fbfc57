"""Pages that show an admin what a rater sees."""

from __future__ import annotations

import uuid

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import requires
from accounts.errors import NotFound
from accounts.models import Capability
from annotation.attributes import attributes_of
from annotation.comparison import comparison_page
from annotation.differences import changes
from annotation.models import Assignment, Campaign, RankingTask, TaskKind
from annotation.posted import EDIT, submission_of
from annotation.preview import as_leased, preview_page, sample_task
from annotation.services.judge import LONGEST_EDIT, BadRanking, as_written, judgement, texts_of
from annotation.views import SKIP_REASONS, is_htmx, key_context


@require_safe
@never_cache
@requires(Capability.MANAGE)
def campaign_preview(request: HttpRequest, slug: str) -> HttpResponse:
    """The first task that a rater would get."""
    campaign = get_object_or_404(Campaign, slug=slug)
    task = sample_task(campaign)
    if task is None:
        sentence = gettext("%(name)s has no task to show yet: it needs completions first.")
        raise NotFound(sentence % {"name": campaign.name}, code="no_task")
    return redirect("campaign_preview_task", slug, task.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@requires(Capability.MANAGE)
def campaign_preview_task(request: HttpRequest, slug: str, task_id: uuid.UUID) -> HttpResponse:
    """The page of one task. What is posted is checked as a rater's would be, and thrown away; the next task follows."""
    task = task_of(slug, task_id)
    if request.method != "POST":
        return show(request, task)
    assignment = as_leased(task)
    try:
        check(assignment, request)
    except BadRanking as error:
        if is_htmx(request):
            raise
        return show(request, task, error=error.sentence)
    following = sample_task(task.campaign, after=task.pk) or task
    return show(request, following) if is_htmx(request) else redirect("campaign_preview_task", slug, following.pk)


def check(assignment: Assignment, request: HttpRequest) -> None:
    """Raises `BadRanking`."""
    attributes = attributes_of(assignment.task.campaign.attributes)
    judgement(submission_of(request, assignment), names=assignment.letters(), attributes=attributes)


def show(request: HttpRequest, task: RankingTask, *, error: str = "") -> HttpResponse:
    context = {
        "campaign": task.campaign, "task": preview_page(task), "error": error, "is_preview": True, "num_mine": 1,
        "skip_reasons": SKIP_REASONS, "following": sample_task(task.campaign, after=task.pk),
        **key_context(request),
    }  # fmt: skip
    template = "annotation/rank_swap.html" if is_htmx(request) else "annotation/rank.html"
    return render(request, template, context, status=400 if error else 200)


@require_safe
@never_cache
@requires(Capability.MANAGE)
def campaign_preview_compare(request: HttpRequest, slug: str, task_id: uuid.UUID) -> HttpResponse:
    assignment = as_leased(task_of(slug, task_id))
    left, right = request.GET.get("left", "a"), request.GET.get("right", "b")
    if left == right or not {left, right} <= set(assignment.letters()):
        raise NotFound(gettext("These are not two texts of this task."), code="no_such_text")
    page = comparison_page(assignment, left=left, right=right, url=request.path)
    template = "annotation/compare_panel.html" if is_htmx(request) else "annotation/compare.html"
    return render(request, template, {"page": page, "campaign": assignment.task.campaign})


@require_POST
@requires(Capability.MANAGE)
def campaign_preview_difference(request: HttpRequest, slug: str, task_id: uuid.UUID) -> HttpResponse:
    assignment = as_leased(task_of(slug, task_id))
    letter = request.POST.get("letter", "")
    before = texts_of(assignment.order).get(assignment.letters().get(letter, ""), "")
    found = changes(as_written(before), as_written(request.POST.get(f"{EDIT}{letter}", "")[:LONGEST_EDIT]))
    return render(request, "annotation/rank_difference.html", {"changes": found})


def task_of(slug: str, task_id: uuid.UUID) -> RankingTask:
    work = RankingTask.objects.filter(kind=TaskKind.WORK).select_related("prompt", "campaign")
    return get_object_or_404(work, pk=task_id, campaign__slug=slug)
