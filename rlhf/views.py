"""Pages of rounds: start one from a campaign, watch its stages, compare its policies, decide."""

from __future__ import annotations

import uuid
from typing import TypeVar

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext, gettext_noop
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.access import requires
from accounts.errors import UserError
from accounts.models import Capability, User
from accounts.paging import page_of
from annotation.models import Campaign
from registry.models import Alias, DatasetKind, DatasetVersion, ModelRole, ModelVersion
from rlhf.models import Round
from rlhf.services.alarm import watch
from rlhf.services.rounds import CURRENT, decline, promote, start_round
from rlhf.status import status_of, statuses_of
from training.recipes import RECIPES

Thing = TypeVar("Thing", ModelVersion, DatasetVersion)

CHOOSE = {
    "model": gettext_noop("Choose a model from the list."),
    "snapshot": gettext_noop("Choose a snapshot from the list."),
    "prompts": gettext_noop("Choose prompts from the list."),
}
PAGE = 30
MOST_CHOICES = 100


@require_GET
@requires(Capability.STUDY)
def round_list(request: HttpRequest) -> HttpResponse:
    rounds = Round.objects.select_related("campaign", "model", "preferences", "promoted")
    page = page_of(rounds, request, by="-created_at", size=PAGE)
    entries = list(zip(page.items, statuses_of(page.items), strict=True))
    return render(request, "rlhf/rounds.html", {"page": page, "entries": entries})


@require_GET
@requires(Capability.STUDY)
def round_detail(request: HttpRequest, round_id: uuid.UUID) -> HttpResponse:
    turn = get_object_or_404(
        Round.objects.select_related("campaign", "model", "preferences", "prompts", "promoted", "decided_by"),
        pk=round_id,
    )
    current = Alias.objects.filter(name=CURRENT).select_related("model").first()
    status = status_of(turn)
    context = {
        "round": turn,
        "status": status,
        "policies": [
            (policy, watch(policy.model, reference=turn.model) if policy.model else None) for policy in status.policies
        ],
        "current": current.model if current else None,
        "alias": CURRENT,
    }
    template = "rlhf/round_live.html" if request.headers.get("HX-Request") else "rlhf/round.html"
    return render(request, template, context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Capability.MANAGE)
def round_new(request: HttpRequest, slug: str) -> HttpResponse:
    """The form that launches reward model, DPO, PPO and their comparison from one page of the campaign."""
    campaign = get_object_or_404(Campaign, slug=slug)
    problem: UserError | None = None
    if request.method == "POST":
        try:
            turn = start_round(
                campaign,
                model=named(ModelVersion, request.POST.get("model", ""), "model"),
                preferences=named(DatasetVersion, request.POST.get("preferences", ""), "snapshot"),
                prompts=named(DatasetVersion, request.POST.get("prompts", ""), "prompts"),
                preset=request.POST.get("preset", ""),
                user=person(request),
            )
            return redirect("round", turn.pk)
        except UserError as error:
            problem = error
    context = {"campaign": campaign, "problem": problem, "given": request.POST or request.GET, **choices(campaign)}
    return render(request, "rlhf/round_new.html", context, status=problem.status if problem else 200)


def choices(campaign: Campaign) -> dict[str, object]:
    datasets = DatasetVersion.objects.order_by("-created_at", "-pk")
    snapshots = datasets.filter(kind=DatasetKind.PREFERENCE)
    prompts = [d for d in datasets.filter(kind=DatasetKind.PROMPTS)[:MOST_CHOICES] if d.splits.get("test")]
    models = ModelVersion.objects.filter(role__in=[ModelRole.SFT, ModelRole.POLICY]).order_by("-created_at", "-pk")
    ranked = models.filter(completions__prompt__campaign=campaign).distinct().first()
    return {
        "models": models[:MOST_CHOICES],
        "default_model": ranked,
        "snapshots": snapshots[:MOST_CHOICES],
        "prompts": prompts,
        "presets": list(RECIPES["dpo"].presets),
    }


def named(kind: type[Thing], value: str, word: str) -> Thing:
    """The chosen thing. Raises `UserError` for an empty or a stale choice."""
    try:
        return kind._default_manager.get(pk=uuid.UUID(value))
    except (ValueError, kind.DoesNotExist):
        raise UserError(gettext(CHOOSE[word]), code=f"no_{word}") from None


@require_POST
@requires(Capability.MANAGE)
def round_promote(request: HttpRequest, round_id: uuid.UUID) -> HttpResponse:
    turn = get_object_or_404(Round, pk=round_id)
    seen = request.POST.get("current", "")
    promote(
        turn,
        model=named(ModelVersion, request.POST.get("model", ""), "model"),
        user=person(request),
        expected=named(ModelVersion, seen, "model") if seen else None,
        despite_alarm=request.POST.get("despite_alarm") == "yes",
    )
    return redirect("round", turn.pk)


@require_POST
@requires(Capability.MANAGE)
def round_decline(request: HttpRequest, round_id: uuid.UUID) -> HttpResponse:
    turn = get_object_or_404(Round, pk=round_id)
    decline(turn, user=person(request))
    return redirect("round", turn.pk)


def person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user
