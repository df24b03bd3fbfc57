"""Pages of reviewers: disagreements first, one task in full with all its orders, appeals; and what is done there."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from accounts.access import requires, signed_in
from accounts.errors import UserError
from accounts.models import Capability
from accounts.paging import page_of
from annotation.models import Adjudication, Appeal, AppealState, Campaign, Ranking, RankingTask, TaskKind
from annotation.rendering import as_html
from annotation.services.gold import USES, make_gold, tiers_typed
from annotation.services.review import Dispute, adjudicate, disputed, disputes, remark, unsettle
from annotation.services.standing import decide

PAGE = 15
MOST_APPEALS = 50


@require_GET
@never_cache
@requires(Capability.REVIEW)
def review(request: HttpRequest) -> HttpResponse:
    """`?campaign=` narrows it to one, `?show=settled` shows those that were settled."""
    slug, shows_settled = request.GET.get("campaign", ""), request.GET.get("show") == "settled"
    campaign = get_object_or_404(Campaign, slug=slug) if slug else None
    page = page_of(disputed(campaign, shows_settled=shows_settled), request, by="agreement", size=PAGE)
    context = {
        "page": page,
        "disputes": disputes(page.items),
        "campaign": campaign,
        "campaigns": Campaign.objects.filter(tasks__agreement__isnull=False).distinct().order_by("name"),
        "shows_settled": shows_settled,
        "appeals": open_appeals(campaign),
    }
    return render(request, "annotation/review.html", context)


def open_appeals(campaign: Campaign | None) -> list[Appeal]:
    found = Appeal.objects.filter(state=AppealState.OPEN).select_related("pause__membership__campaign")
    if campaign is not None:
        found = found.filter(pause__membership__campaign=campaign)
    return list(found.select_related("pause__membership__user", "pause__by")[:MOST_APPEALS])


@require_GET
@never_cache
@requires(Capability.REVIEW)
def review_task(request: HttpRequest, task_id: uuid.UUID) -> HttpResponse:
    """One task with all that was said of it. `?order=` begins with an order, as the links beside the raters' own do."""
    return show_task(request, work(task_id), line=request.GET.get("order", "")[:200])


def work(task_id: uuid.UUID) -> RankingTask:
    found = RankingTask.objects.select_related("campaign", "prompt").filter(kind=TaskKind.WORK)
    return get_object_or_404(found, pk=task_id)


def show_task(
    request: HttpRequest, task: RankingTask, *, line: str = "", error: UserError | None = None, which: str = ""
) -> HttpResponse:
    """`which` form was refused, with `error`; what was typed in it stands there again."""
    (dispute,) = disputes([task])
    typed = request.POST if error else {}
    settled = dispute.settled
    context = {
        "dispute": dispute,
        "turns": [(message["role"], as_html(message["content"])) for message in task.prompt.messages],
        "texts": texts_of(dispute),
        "line": typed.get("order", "") or line or (settled.rail.line if settled else ""),
        "typed": typed,
        "live": Adjudication.objects.filter(task=task, is_live=True).first(),
        "error": error,
        "which": which,
        "me": signed_in(request).username,
    }
    return render(request, "annotation/review_task.html", context, status=error.status if error else 200)


def texts_of(dispute: Dispute) -> list[tuple[str, Any]]:
    texts = {str(pk): text for pk, text in dispute.task.completions.values_list("pk", "text")}
    return [(letter.upper(), as_html(texts[name].strip("\n"))) for name, letter in dispute.letters.items()]


def back_to(task: RankingTask) -> HttpResponse:
    return redirect(f"{reverse('review')}?campaign={task.campaign.slug}")


@require_POST
@requires(Capability.REVIEW)
def review_settle(request: HttpRequest, task_id: uuid.UUID) -> HttpResponse:
    task = work(task_id)
    seen = seen_by(request, task)
    try:
        adjudicate(
            task, line=request.POST.get("order", ""), reason=request.POST.get("reason", ""), user=signed_in(request),
            over=seen,
        )  # fmt: skip
    except UserError as error:
        return show_task(request, task, error=error, which="settle")
    messages.success(request, gettext("The order is settled: the next snapshot takes it in place of the raters' own."))
    return back_to(task)


@require_POST
@requires(Capability.REVIEW)
def review_unsettle(request: HttpRequest, task_id: uuid.UUID) -> HttpResponse:
    task = work(task_id)
    seen = seen_by(request, task)
    if seen is not None:
        unsettle(task, seen=seen, user=signed_in(request))
        messages.success(request, gettext("The raters' own rankings of this task count again."))
    return redirect("review_task", task.pk)


def seen_by(request: HttpRequest, task: RankingTask) -> Adjudication | None:
    """The settled order that stood on the page when its form was sent."""
    try:
        key = uuid.UUID(request.POST.get("over", ""))
    except ValueError:
        return None
    return get_object_or_404(Adjudication, pk=key, task=task)


@require_POST
@requires(Capability.REVIEW)
def review_gold(request: HttpRequest, task_id: uuid.UUID) -> HttpResponse:
    """Makes a gold or a test task of it, with the order that is typed."""
    task = work(task_id)
    try:
        make_gold(
            task, tiers=tiers_typed(request.POST.get("order", ""), task=task), explanation=request.POST.get("explanation", ""),
            kind=USES.get(request.POST.get("use", ""), TaskKind.GOLD), user=signed_in(request),
        )  # fmt: skip
    except UserError as error:
        return show_task(request, task, error=error, which="gold")
    messages.success(request, gettext("From now on it is laid out among the tasks of raters who have not seen it."))
    return redirect("review_task", task.pk)


@require_POST
@requires(Capability.REVIEW)
def review_remark(request: HttpRequest, ranking_id: uuid.UUID) -> HttpResponse:
    live = Ranking.objects.select_related("task__campaign", "task__prompt").filter(task__kind=TaskKind.WORK)
    ranking = get_object_or_404(live, pk=ranking_id)
    returns = "returns" in request.POST
    try:
        remark(ranking, words=request.POST.get("words", ""), returns=returns, user=signed_in(request))
    except UserError as error:
        return show_task(request, ranking.task, error=error, which=str(ranking.pk))
    on_her_list = gettext("It is on her list, with your words, until she corrects it.")
    messages.success(request, on_her_list if returns else gettext("She reads it on My work."))
    return redirect("review_task", ranking.task_id)


@require_POST
@requires(Capability.REVIEW)
def review_appeal(request: HttpRequest, appeal_id: uuid.UUID) -> HttpResponse:
    appeal = get_object_or_404(
        Appeal.objects.select_related("pause__membership__campaign", "pause__membership__user"), pk=appeal_id
    )
    lifts = request.POST.get("to") == AppealState.LIFTED
    decide(appeal, lifts=lifts, answer=request.POST.get("answer", ""), user=signed_in(request))
    told = gettext("%(rater)s ranks again.") if lifts else gettext("%(rater)s stays paused, and reads your answer.")
    messages.success(request, told % {"rater": appeal.pause.membership.user.username})
    return redirect("review")
