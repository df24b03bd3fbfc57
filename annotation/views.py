"""Pages of raters: the next task, its submission, drafts and leases."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from accounts.access import requires, signed_in
from accounts.models import Capability, User
from annotation.differences import changes
from annotation.models import Assignment, Campaign, Membership, Ranking
from annotation.pages import TaskPage, seconds_left, task_page
from annotation.posted import EDIT, draft_of, submission_of, uuid_of
from annotation.services.assign import LimitReached, NotARater, NotOpen, lease_next, renew, save_draft, skip
from annotation.services.desk import desks_of
from annotation.services.judge import LONGEST_EDIT, BadRanking, as_written, texts_of
from annotation.services.rank import submit_ranking

SKIP_REASONS = ("I can't judge this", "Wrong language", "Broken or empty texts", "Harmful or upsetting")


@require_GET
@requires(Capability.RANK)
def rank_any(request: HttpRequest) -> HttpResponse:
    """Where "Rank" leads: straight to work where some waits, else to the list of one's own."""
    waiting = [desk for desk in desks_of(signed_in(request)) if desk.num_waiting]
    return redirect("rank", waiting[0].campaign.slug) if waiting else redirect("my_work")


@require_GET
@never_cache
@requires(Capability.RANK)
def rank(request: HttpRequest, slug: str) -> HttpResponse:
    """The task that this rater holds, or the next one; for htmx without the frame of the page."""
    return show_next(request, own_campaign(request, slug))


def show_next(request: HttpRequest, campaign: Campaign) -> HttpResponse:
    why_none = "done"
    task = None
    try:
        assignment = lease_next(campaign, rater=signed_in(request))
        task = task_page(assignment, campaign=campaign) if assignment else None
    except NotOpen:
        why_none = "not_open"
    except NotARater:
        why_none = "removed"
    except LimitReached:
        why_none = "limit"
    return show(request, campaign, task=task, why_none=why_none)


def show(
    request: HttpRequest, campaign: Campaign, *, task: TaskPage | None, why_none: str = "", error: str = ""
) -> HttpResponse:
    mine = Ranking.objects.filter(rater=signed_in(request), task__campaign=campaign, is_live=True)
    context: dict[str, Any] = {
        "campaign": campaign,
        "task": task,
        "why_none": why_none,
        "error": error,
        "num_mine": num_ranked(campaign, signed_in(request)),
        "last": mine.order_by("-created_at", "-pk").values_list("pk", flat=True).first(),
        "skip_reasons": SKIP_REASONS,
    }
    template = "annotation/rank_swap.html" if is_htmx(request) else "annotation/rank.html"
    return render(request, template, context, status=400 if error else 200)


@require_POST
@requires(Capability.RANK)
def rank_submit(request: HttpRequest, slug: str) -> HttpResponse:
    """Takes a ranking and answers with the next task. The same form sent twice counts once."""
    assignment = own_assignment(request, slug)
    campaign = assignment.task.campaign
    try:
        submit_ranking(assignment, rater=signed_in(request), submission=submission_of(request, assignment))
    except BadRanking as error:
        if is_htmx(request):
            raise
        task = task_page(assignment, campaign=campaign, typed=draft_of(request, assignment))
        return show(request, campaign, task=task, error=error.sentence)
    return show_next(request, campaign) if is_htmx(request) else redirect("rank", slug)


@require_POST
@requires(Capability.RANK)
def rank_draft(request: HttpRequest, slug: str) -> JsonResponse:
    """Keeps what stands on the page, whole or not; the page asks for it some moments after each change."""
    assignment = own_assignment(request, slug)
    save_draft(assignment, rater=signed_in(request), draft=draft_of(request, assignment))
    return JsonResponse({"saved_at": timezone.now().isoformat()})


@require_POST
@requires(Capability.RANK)
def rank_difference(request: HttpRequest, slug: str) -> HttpResponse:
    """How a better version, as it is typed now, differs from the text that it betters."""
    assignment = own_assignment(request, slug)
    texts = texts_of(assignment.order)
    letter = request.POST.get("letter", "")
    before = texts.get(assignment.letters().get(letter, ""), "")
    typed = request.POST.get(f"{EDIT}{letter}", "")[:LONGEST_EDIT]
    found = changes(as_written(before), as_written(typed))
    return render(request, "annotation/rank_difference.html", {"changes": found})


@require_POST
@requires(Capability.RANK)
def rank_renew(request: HttpRequest, slug: str) -> JsonResponse:
    renewed = renew(own_assignment(request, slug), rater=signed_in(request))
    return JsonResponse({"lease_seconds": seconds_left(renewed)})


@require_POST
@requires(Capability.RANK)
def rank_skip(request: HttpRequest, slug: str) -> HttpResponse:
    assignment = own_assignment(request, slug)
    skip(assignment, rater=signed_in(request), reason=request.POST.get("reason", ""))
    return show_next(request, assignment.task.campaign) if is_htmx(request) else redirect("rank", slug)


# What a rater may touch: everything else is not there for her


def own_campaign(request: HttpRequest, slug: str) -> Campaign:
    """Also one that she was taken out of: its page says so."""
    mine = Membership.objects.filter(user=signed_in(request)).values("campaign")
    return get_object_or_404(Campaign, slug=slug, pk__in=mine)


def own_assignment(request: HttpRequest, slug: str) -> Assignment:
    """What she was given stays hers to finish, also after she was taken out of the campaign."""
    own = Assignment.objects.filter(rater=signed_in(request), task__campaign__slug=slug)
    found = own.select_related("task__prompt", "task__campaign", "guideline")
    return get_object_or_404(found, pk=uuid_of(request, "assignment"))


def num_ranked(campaign: Campaign, rater: User) -> int:
    """As her membership counts them: counting rankings would take longer with each."""
    counts = Membership.objects.filter(campaign=campaign, user=rater).values_list("num_ranked", flat=True)
    return counts.first() or 0


def is_htmx(request: HttpRequest) -> bool:
    return "HX-Request" in request.headers
