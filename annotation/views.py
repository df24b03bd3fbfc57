"""Pages of raters: the next task, its submission, drafts and leases."""

from __future__ import annotations

import json
import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from accounts.access import requires, signed_in
from accounts.errors import Conflict, wants_json
from accounts.models import Capability
from annotation.differences import changes
from annotation.keys import FIXED, keys_of
from annotation.models import Assignment, AssignmentState, Campaign, Ranking, Standing
from annotation.own import own_membership, own_task
from annotation.pages import TaskPage, seconds_left, task_page
from annotation.posted import EDIT, draft_of, submission_of, uuid_of, uuids_of
from annotation.services.ahead import give_back, lease_ahead
from annotation.services.assign import LimitReached, NotARater, NotOpen, lease_next, whole
from annotation.services.desk import desks_of
from annotation.services.judge import LONGEST_EDIT, BadRanking, as_written
from annotation.services.leases import LeaseLost, renew, save_draft, skip
from annotation.services.money import BudgetSpent
from annotation.services.own_pace import newest_of, pace_of
from annotation.services.qualification import TooFewTests, test_progress
from annotation.services.rank import submit_instead
from annotation.services.standing import DidNotPass, Paused
from annotation.standing_views import passed_just_now

SKIP_REASONS = (  # kept as they stand here, whatever language they were read in
    gettext_noop("I can't judge this"),
    gettext_noop("Wrong language"),
    gettext_noop("Broken or empty texts"),
    gettext_noop("Harmful or upsetting"),
)


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
    """The task that this rater holds, or the next one; for htmx without the frame of the page.

    `?task=` names one that she was given and has not submitted: her browser asks for it where a submission was refused.
    """
    campaign = own_membership(slug, rater=signed_in(request)).campaign
    if named := unfinished(request, campaign):
        return show(request, campaign, task=task_page(whole(named.pk), campaign=campaign))
    return show_next(request, campaign)


def unfinished(request: HttpRequest, campaign: Campaign) -> Assignment | None:
    try:
        named = uuid.UUID(request.GET.get("task", ""))
    except ValueError:
        return None
    mine = Assignment.objects.filter(rater=signed_in(request), task__campaign=campaign)
    return mine.filter(pk=named, state__in=[AssignmentState.LIVE, AssignmentState.EXPIRED]).first()


def show_next(request: HttpRequest, campaign: Campaign) -> HttpResponse:
    why_none = "done"
    task = None
    try:
        assignment = lease_next(campaign, rater=signed_in(request))
        task = task_page(assignment, campaign=campaign) if assignment else None
    except NotOpen:
        why_none = "not_open"
    except BudgetSpent:
        why_none = "budget"
    except NotARater:
        why_none = "removed"
    except (Paused, DidNotPass, TooFewTests) as refused:
        why_none = refused.code
    except LimitReached:
        why_none = "limit"
    return show(request, campaign, task=task, why_none=why_none)


def show(
    request: HttpRequest,
    campaign: Campaign,
    *,
    task: TaskPage | None,
    why_none: str = "",
    error: str = "",
    template: str = "annotation/rank.html",
) -> HttpResponse:
    member = own_membership(campaign.slug, rater=signed_in(request))  # as it is now: her test may have been judged
    newest = newest_of(member)
    context: dict[str, Any] = {
        "campaign": campaign,
        "task": task,
        "why_none": why_none,
        "error": error,
        "num_mine": member.num_ranked,
        "pace": pace_of(member, newest=newest) if task else None,
        "last": next((pk for pk, _ in newest), None),
        "skip_reasons": SKIP_REASONS,
        **key_context(request),
        "test": test_progress(member) if member.standing == Standing.TESTED else None,
        "passed": passed_just_now(member),
    }
    if is_htmx(request):
        template = "annotation/rank_swap.html"
    return render(request, template, context, status=400 if error else 200)


def key_context(request: HttpRequest) -> dict[str, Any]:
    """`keys` by action, as they are shown; `key_rows` for the list of them."""
    rows = keys_of(signed_in(request))
    return {
        "keys": {row.action.name: row.shown for row in rows},
        "key_rows": rows,
        "key_json": json.dumps({row.action.name: row.key for row in rows}),
        "fixed_keys": FIXED,
    }


@require_POST
@never_cache
@requires(Capability.RANK)
def rank_ahead(request: HttpRequest, slug: str) -> HttpResponse:
    """The task after the one in hand, leased and ready to be shown; 204 where there is none."""
    assignment = own(request, slug)
    campaign = assignment.task.campaign
    try:
        following = lease_ahead(assignment, rater=signed_in(request))
    except (NotOpen, NotARater, LimitReached, BudgetSpent):
        following = None
    if following is None:
        return HttpResponse(status=204)
    task = task_page(following, campaign=campaign)
    return show(request, campaign, task=task, template="annotation/rank_ahead.html")


@require_POST
@requires(Capability.RANK)
def rank_give_back(request: HttpRequest, slug: str) -> HttpResponse:
    """The page is left: the task that was fetched ahead goes to whoever asks next."""
    give_back(own(request, slug), rater=signed_in(request))
    return HttpResponse(status=204)


@require_POST
@requires(Capability.RANK)
def rank_submit(request: HttpRequest, slug: str) -> HttpResponse:
    """Takes a ranking: the same form sent twice counts once. A script is told that it is stored, a form goes on."""
    check_person(request)
    assignment = own(request, slug)
    campaign = assignment.task.campaign
    try:
        made = submit_instead(
            assignment,
            rater=signed_in(request),
            submission=submission_of(request, assignment),
            instead_of=uuids_of(request, "instead_of"),
        )
    except BadRanking as error:
        if wants_json(request):
            raise
        task = task_page(assignment, campaign=campaign, typed=draft_of(request, assignment))
        return show(request, campaign, task=task, error=error.sentence)
    return stored(request, made, slug=slug) if wants_json(request) else redirect("rank", slug)


def stored(request: HttpRequest, ranking: Ranking, *, slug: str) -> JsonResponse:
    """What a browser needs to know before it may say that something is saved."""
    return JsonResponse(
        {
            "ranking": str(ranking.pk),
            "num_mine": own_membership(slug, rater=signed_in(request)).num_ranked,
            "correct_url": reverse("rank_correct", args=[ranking.pk]),
        }
    )


@require_POST
@requires(Capability.RANK)
def rank_draft(request: HttpRequest, slug: str) -> JsonResponse:
    """Keeps what stands on the page, whole or not; the page asks for it some moments after each change."""
    assignment = own(request, slug)
    save_draft(assignment, rater=signed_in(request), draft=draft_of(request, assignment))
    return JsonResponse({"saved_at": timezone.now().isoformat()})


@require_POST
@requires(Capability.RANK)
def rank_difference(request: HttpRequest, slug: str) -> HttpResponse:
    """How a better version, as it is typed now, differs from the text that it betters."""
    assignment = own(request, slug)
    letter = request.POST.get("letter", "")
    before = assignment.texts.get(assignment.letters().get(letter, ""), "")
    typed = request.POST.get(f"{EDIT}{letter}", "")[:LONGEST_EDIT]
    found = changes(as_written(before), as_written(typed))
    return render(request, "annotation/rank_difference.html", {"changes": found})


@require_POST
@requires(Capability.RANK)
def rank_renew(request: HttpRequest, slug: str) -> JsonResponse:
    """Puts off the end of the lease of `assignment`, and of the one fetched `ahead`, where the page has one."""
    rater = signed_in(request)
    renewed = renew(own(request, slug), rater=rater)
    ahead_seconds = None
    if request.POST.get("ahead"):
        try:
            ahead_seconds = seconds_left(renew(own(request, slug, field="ahead"), rater=rater))
        except LeaseLost:
            ahead_seconds = 0
    return JsonResponse({"lease_seconds": seconds_left(renewed), "ahead_seconds": ahead_seconds})


@require_POST
@requires(Capability.RANK)
def rank_skip(request: HttpRequest, slug: str) -> HttpResponse:
    check_person(request)
    skip(own(request, slug), rater=signed_in(request), reason=request.POST.get("reason", ""))
    return JsonResponse({"skipped": True}) if wants_json(request) else redirect("rank", slug)


class OtherPerson(Conflict):
    code = "other_person"


def check_person(request: HttpRequest) -> None:
    """What waited in a browser goes out under its own rater's name, or not at all. Raises `OtherPerson`."""
    rater = request.POST.get("rater")
    if rater is not None and rater != str(signed_in(request).pk):
        raise OtherPerson(
            gettext("%(name)s is logged in here now. What somebody else submitted waits until they log in.")
            % {"name": signed_in(request).username}
        )


def own(request: HttpRequest, slug: str, *, field: str = "assignment") -> Assignment:
    return own_task(uuid_of(request, field), rater=signed_in(request), slug=slug)


def is_htmx(request: HttpRequest) -> bool:
    return "HX-Request" in request.headers
