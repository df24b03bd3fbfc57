"""A rater's own standing: why she is paused, her appeal, and what the tasks of her test were about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from accounts.access import requires, signed_in
from accounts.errors import NotFound
from accounts.models import Capability
from accounts.prepared import prepared
from annotation.models import Cause, Completion, Membership, Ranking, Standing, StandingChange
from annotation.quality.gold import credit_of_answer
from annotation.quality.sentences import said
from annotation.rails import Rail, rail_of, rail_of_ranking
from annotation.rendering import as_html
from annotation.services.qualification import Answered, answered
from annotation.services.standing import appeal


@dataclass(frozen=True, slots=True)
class Explained:
    """One test task with what she said and what was expected, in the letters that she saw."""

    asked: SafeString
    texts: tuple[tuple[str, SafeString], ...]
    own: Rail | None
    expected: Rail
    explanation: SafeString
    credit: float
    is_skipped: bool


@require_GET
@never_cache
@requires(Capability.RANK)
def test_explained(request: HttpRequest, slug: str) -> HttpResponse:
    """Each task of her test with its right order and why. Only once it is judged."""
    member = own_member(request, slug)
    verdict = member.changes.filter(cause=Cause.TEST).first()
    if verdict is None or member.standing == Standing.TESTED:
        raise NotFound(gettext("Your test is not over. Its tasks are explained here afterwards."), code="test_not_over")
    found = answered(member)
    texts = Completion.objects.in_bulk([name for one in found for name in one.assignment.order])
    context = {
        "campaign": member.campaign,
        "verdict": verdict,
        "is_trusted": member.standing == Standing.TRUSTED,
        "items": [explained(one, texts={str(pk): text.text for pk, text in texts.items()}) for one in found],
    }
    return render(request, "annotation/test_explained.html", context)


def own_member(request: HttpRequest, slug: str) -> Membership:
    mine = Membership.objects.filter(user=signed_in(request), is_active=True).select_related("campaign", "user")
    return get_object_or_404(mine, campaign__slug=slug)


def explained(one: Answered, *, texts: dict[str, Any]) -> Explained:
    letters = {name: letter for letter, name in one.assignment.letters().items()}
    ranking, expected = one.ranking, one.gold.tiers
    return Explained(
        asked=as_html(one.gold.task.prompt.messages[-1]["content"]),
        texts=tuple((letter.upper(), as_html(texts[name].strip("\n"))) for name, letter in letters.items()),
        own=rail_of_ranking(ranking, letters=letters) if ranking else None,
        expected=rail_of(expected, letters=letters),
        explanation=as_html(one.gold.explanation),
        credit=credit_of_answer(ranking.shown_tiers if ranking else [], expected).value or 0.0,
        is_skipped=ranking is None,
    )


@require_POST
@requires(Capability.RANK)
def appeal_made(request: HttpRequest, slug: str) -> HttpResponse:
    member = own_member(request, slug)
    appeal(member.campaign, rater=signed_in(request), words=request.POST.get("words", ""))
    messages.success(request, gettext("A reviewer reads your appeal; the answer will stand on this page."))
    return redirect("my_work")


def passed_just_now(member: Membership) -> str:
    """What to tell one whose test has been judged since she ranked last; empty else."""
    last = changes_of.first(member.pk)
    if last is None or last.cause != Cause.TEST or last.after != Standing.TRUSTED:
        return ""
    mine = Ranking.objects.filter(rater=member.user_id, task__campaign=member.campaign_id, created_at__gt=last.at)
    return "" if mine.exists() else said(last.reason)


@prepared
def changes_of(member: int) -> QuerySet[StandingChange]:
    """The newest."""
    return StandingChange.objects.filter(membership=member)[:1]
