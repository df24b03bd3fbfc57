"""Pages of raters: the next task, its submission, drafts and leases, and one's own work."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from accounts.access import requires
from accounts.errors import UserError
from accounts.models import Capability, User
from accounts.paging import page_of
from annotation.models import Assignment, AssignmentState, Campaign, Ranking
from annotation.pages import task_page
from annotation.services.assign import lease_next, renew, save_draft, skip
from annotation.services.rank import BadRanking, Submission, submit_ranking
from annotation.weak_order import BadOrder, WeakOrder, canonical, format_order, parse_order

PAGE = 40


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one rater in one campaign."""

    mine: int

    @property
    def done(self) -> bool:
        return self.mine > 0


@require_GET
@requires(Capability.RANK)
def rank_any(request: HttpRequest) -> HttpResponse:
    """Where "Rank" leads: straight to work where there is one campaign, else to the choice of one's own."""
    campaigns = list(campaigns_of(person(request)).filter(state="open")[:2])
    return redirect("rank", campaigns[0].slug) if len(campaigns) == 1 else redirect("my_work")


@require_GET
@requires(Capability.RANK)
def rank(request: HttpRequest, slug: str) -> HttpResponse:
    """The task that this rater holds, or the next one; with `HX-Request`, without the frame of the page."""
    campaign = own_campaign(request, slug)
    return show_next(request, campaign)


def show_next(request: HttpRequest, campaign: Campaign) -> HttpResponse:
    user = person(request)
    assignment = lease_next(campaign, rater=user)
    counts = Counts(Ranking.objects.filter(rater=user, task__campaign=campaign, is_live=True).count())
    context = {"campaign": campaign, "task": task_page(assignment) if assignment else None, "counts": counts}
    template = "annotation/rank_swap.html" if request.headers.get("HX-Request") else "annotation/rank.html"
    return render(request, template, context)


@require_POST
@requires(Capability.RANK)
def rank_submit(request: HttpRequest, slug: str) -> HttpResponse:
    """Takes a ranking and answers with the next task. The same form sent twice counts once."""
    campaign = own_campaign(request, slug)
    assignment = own_assignment(request, campaign)
    submit_ranking(assignment, rater=person(request), submission=submission_of(request))
    if request.headers.get("HX-Request"):
        return show_next(request, campaign)
    return redirect("rank", slug)


def submission_of(request: HttpRequest) -> Submission:
    """The posted form, in the letters that she saw. Raises `BadRanking` for a line that can't be read."""
    all_bad = request.POST.get("all_bad") == "on"
    line = request.POST.get("order", "").strip()
    order = read_line(line) if line or not all_bad else None
    return Submission(
        client_uuid=uuid_of(request, "client_uuid"),
        tiers=order.tiers if order else (),
        strengths=order.strengths if order else (),
        flags=flags_of(request.POST.getlist("flag")),
        reason=request.POST.get("reason", ""),
        all_bad=all_bad,
        seconds=seconds_of(request.POST.get("seconds", "")),
    )


def read_line(line: str) -> WeakOrder:
    try:
        return parse_order(line)
    except BadOrder as error:
        raise BadRanking(str(error)) from None


def flags_of(posted: Iterable[str]) -> dict[str, list[str]]:
    """`a:unsafe` -> {"a": ["unsafe"]}"""
    found: dict[str, list[str]] = {}
    for value in posted:
        letter, _, flag = value.partition(":")
        found.setdefault(letter, []).append(flag)
    return found


def seconds_of(text: str) -> float | None:
    try:
        return max(0.0, float(text))
    except ValueError:
        return None


@require_POST
@requires(Capability.RANK)
def rank_draft(request: HttpRequest, slug: str) -> JsonResponse:
    """Keeps what stands on the page, whole or not; the page asks for it some moments after each change."""
    assignment = own_assignment(request, own_campaign(request, slug))
    draft: dict[str, object] = {
        "line": request.POST.get("order", "")[:200],
        "all_bad": request.POST.get("all_bad") == "on",
        "flags": flags_of(request.POST.getlist("flag")),
        "reason": request.POST.get("reason", "")[:4000],
    }
    save_draft(assignment, rater=person(request), draft=draft)
    return JsonResponse({"saved_at": timezone.now().isoformat()})


@require_POST
@requires(Capability.RANK)
def rank_renew(request: HttpRequest, slug: str) -> JsonResponse:
    assignment = own_assignment(request, own_campaign(request, slug))
    renewed = renew(assignment, rater=person(request))
    return JsonResponse({"lease_until": renewed.lease_until.isoformat()})


@require_POST
@requires(Capability.RANK)
def rank_skip(request: HttpRequest, slug: str) -> HttpResponse:
    """Gives back the task in hand; without one there is nothing to give back."""
    campaign = own_campaign(request, slug)
    held = Assignment.objects.filter(rater=person(request), task__campaign=campaign, state=AssignmentState.LIVE).first()
    if held is not None:
        skip(held, rater=person(request), reason=request.POST.get("reason", ""))
    return redirect("rank", slug)


@dataclass(frozen=True, slots=True)
class Entry:
    """One of a rater's own rankings, in the letters that she saw."""

    asked: str
    campaign: str
    line: str
    seconds: int | None
    at: datetime


@require_GET
@requires(Capability.RANK)
def my_work(request: HttpRequest) -> HttpResponse:
    user = person(request)
    mine = Ranking.objects.filter(rater=user, is_live=True)
    rows = mine.select_related("assignment", "task__prompt", "task__campaign")
    page = page_of(rows, request, by="-created_at", size=PAGE)
    campaigns = [
        (campaign, Counts(mine.filter(task__campaign=campaign).count())) for campaign in campaigns_of(user).order_by("name")
    ]
    context = {"page": page, "entries": [entry_of(ranking) for ranking in page.items], "campaigns": campaigns}
    return render(request, "annotation/my_work.html", context)


def entry_of(ranking: Ranking) -> Entry:
    letter_of = {completion: letter for letter, completion in ranking.assignment.letters().items()}
    tiers = [[letter_of.get(completion, "?") for completion in tier] for tier in ranking.tiers]
    return Entry(
        asked=ranking.task.prompt.messages[-1]["content"],
        campaign=ranking.task.campaign.name,
        line=format_order(canonical(tiers, ranking.strengths)),
        seconds=None if ranking.seconds is None else round(ranking.seconds),
        at=ranking.created_at,
    )


# What a rater may touch: everything else is not there for her


def campaigns_of(user: User) -> QuerySet[Campaign]:
    return Campaign.objects.filter(membership__user=user, membership__is_active=True)


def own_campaign(request: HttpRequest, slug: str) -> Campaign:
    return get_object_or_404(campaigns_of(person(request)), slug=slug)


def own_assignment(request: HttpRequest, campaign: Campaign) -> Assignment:
    own = Assignment.objects.filter(rater=person(request), task__campaign=campaign).select_related("task__prompt")
    return get_object_or_404(own, pk=uuid_of(request, "assignment"))


def uuid_of(request: HttpRequest, name: str) -> uuid.UUID:
    try:
        return uuid.UUID(request.POST.get(name, ""))
    except ValueError:
        raise UserError("This page is not whole. Reload it: your draft is kept.", code="bad_form") from None


def person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user
