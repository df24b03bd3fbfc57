"""A rater's own work: where some waits for her, what she ranked, and correcting it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.access import requires, signed_in
from accounts.errors import wants_json
from accounts.models import Capability
from accounts.paging import page_of
from annotation.keys import choose_key, reset_keys
from annotation.models import Campaign, Ranking, Remark
from annotation.pages import correction_page, line_of
from annotation.posted import draft_of, submission_of
from annotation.services.desk import desks_of
from annotation.services.judge import BadRanking
from annotation.services.own_standing import own_standings
from annotation.services.rank import correct_ranking
from annotation.services.review import remarks_to, returned_among
from annotation.views import check_person, key_context, stored

PAGE = 40


@dataclass(frozen=True, slots=True)
class Entry:
    """One of a rater's own rankings, in the letters that she saw."""

    id: uuid.UUID
    asked: str
    campaign: str
    line: str
    all_bad: bool
    cannot_rank: str  # why; empty where it was ranked
    bettered: str  # the letter of the text that she wrote a better version of
    seconds: int | None
    at: datetime
    is_corrected: bool
    remarks: tuple[Remark, ...]  # of reviewers


@require_GET
@never_cache
@requires(Capability.RANK)
def my_work(request: HttpRequest) -> HttpResponse:
    user = signed_in(request)
    mine = Ranking.objects.filter(rater=user, is_live=True)
    rows = mine.select_related("assignment", "task__prompt", "task__campaign", "edit")
    page = page_of(rows, request, by="-created_at", size=PAGE)
    remarks = remarks_to(user, rankings=page.items)
    desks = desks_of(user)
    context = {
        "page": page,
        "entries": [entry_of(ranking, remarks=remarks) for ranking in page.items],
        "own_desks": [
            {"desk": desk, "own": own} for desk, own in zip(desks, own_standings(desks, rater=user), strict=True)
        ],
        "returned": returned_among(remarks),
    }
    return render(request, "annotation/my_work.html", context)


def entry_of(ranking: Ranking, *, remarks: Iterable[Remark]) -> Entry:
    return Entry(
        id=ranking.pk,
        asked=ranking.task.prompt.messages[-1]["content"],
        campaign=ranking.task.campaign.name,
        line=line_of(ranking),
        all_bad=ranking.all_bad,
        cannot_rank=ranking.get_cannot_rank_display() if ranking.cannot_rank else "",
        bettered=bettered_in(ranking),
        seconds=None if ranking.seconds is None else round(ranking.seconds),
        at=ranking.created_at,
        is_corrected=ranking.supersedes_id is not None,
        remarks=tuple(remark for remark in remarks if remark.ranking_id == ranking.pk),
    )


def bettered_in(ranking: Ranking) -> str:
    edit = ranking.edit
    letters = {completion: letter for letter, completion in ranking.own_assignment.letters().items()}
    return letters[str(edit.parent_id)].upper() if edit else ""


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@requires(Capability.RANK)
def rank_correct(request: HttpRequest, ranking_id: uuid.UUID) -> HttpResponse:
    """One's own ranking, once more: what is submitted supersedes it, and nothing is overwritten."""
    mine = Ranking.objects.filter(rater=signed_in(request))
    ranking = get_object_or_404(
        mine.select_related(
            "assignment__task__prompt", "assignment__task__campaign", "assignment__guideline", "task__campaign", "edit"
        ),
        pk=ranking_id,
    )
    if request.method != "POST":
        if newer := mine.filter(supersedes=ranking).first():
            return redirect("rank_correct", newer.pk)
        return correction(request, ranking)
    check_person(request)
    submission = submission_of(request, ranking.own_assignment)
    try:
        made = correct_ranking(ranking, rater=signed_in(request), submission=submission)
    except BadRanking as error:
        if wants_json(request):
            raise
        return correction(request, ranking, error=error.sentence)
    if wants_json(request):
        return stored(request, made, slug=ranking.task.campaign.slug)
    messages.success(request, gettext("Your correction is kept; the ranking before it stays on record."))
    return redirect("my_work")


def correction(request: HttpRequest, ranking: Ranking, *, error: str = "") -> HttpResponse:
    task = correction_page(ranking, typed=draft_of(request, ranking.own_assignment) if error else None)
    context = {"campaign": ranking.task.campaign, "task": task, "error": error, "is_correction": True}
    context |= {"back": back_of(request, ranking.task.campaign), **key_context(request)}
    return render(request, "annotation/rank.html", context, status=400 if error else 200)


def back_of(request: HttpRequest, campaign: Campaign) -> str:
    """Where one goes from a correction: to the desk, where one came from there, else to one's work."""
    return reverse("rank", args=[campaign.slug]) if "from_desk" in request.GET else reverse("my_work")


@require_POST
@requires(Capability.RANK)
def my_keys(request: HttpRequest) -> JsonResponse:
    """Gives one action of the ranking page another key, or all their keys back; answers with all."""
    user = signed_in(request)
    if "reset" in request.POST:
        rows = reset_keys(user)
    else:
        rows = choose_key(user, action=request.POST.get("action", ""), key=request.POST.get("key", ""))
    return JsonResponse({"keys": {row.action.name: {"key": row.key, "shown": row.shown} for row in rows}})
