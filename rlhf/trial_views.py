"""Pages on which somebody who writes a constitution tries one of its principles on a prompt, and reads what comes of it."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.access import requires, signed_in
from accounts.errors import UserError
from accounts.models import Capability, User
from annotation.forms import tell
from rlhf.constitution_cards import cards_posted, number_in
from rlhf.constitution_desk import draft_of
from rlhf.constitution_views import version_of
from rlhf.models import ConstitutionVersion
from rlhf.services.constitutions.trying import SETTINGS, Asked, artifact_of, last_asked, trials_of, try_principle
from rlhf.services.constitutions.wording import MOST_PRINCIPLES, Wording, checked_wording, wordings_in
from rlhf.trial_form import TryForm, initial_of
from rlhf.trials import trial_of
from runs.models import Run

MOST_LISTED = 8


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@requires(Capability.MANAGE)
def principle_try(request: HttpRequest, slug: str, number: int, principle: str) -> HttpResponse:
    """The form; what is posted without a model or settings takes those of the person's last trial."""
    version = version_of(slug, number)
    wordings = wordings_in(version)
    wording = named(wordings, principle)
    user = signed_in(request)
    last = last_asked(user)
    remembered = initial_of(last)
    if request.method != "POST":
        return show(request, version, principle, wording=wording, form=TryForm(initial=remembered, shown=last))
    form = TryForm(filled(request.POST, remembered), shown=last)
    status = 400
    if form.is_valid():
        try:
            run = try_principle(
                version,
                wording,
                beside=wordings,
                prompt=form.cleaned_data["prompt"],
                asked=form.asked(),
                user=user,
            )
        except UserError as error:
            tell(form, error)
            status = error.status
        else:
            return redirect(f"{reverse('principle_trial', args=[slug, number, principle, run.pk])}#trial")
    return show(request, version, principle, wording=wording, form=form, status=status)


@require_GET
@never_cache
@requires(Capability.STUDY)
def principle_trial(request: HttpRequest, slug: str, number: int, principle: str, run_id: uuid.UUID) -> HttpResponse:
    """A trial, with its form filled in to try once more; with `HX-Request`, only the part that changes as it goes on."""
    version = version_of(slug, number)
    run = get_object_or_404(trials_of(version, principle), pk=run_id)
    if request.headers.get("HX-Request"):
        return live(request, version, run)
    trial = trial_of(run)
    wording = next((one for one in wordings_in(version) if one.id == principle), None)
    settings = {name: run.recipe.get(name) for name in SETTINGS}
    asked = Asked(artifact_of(trial.model), artifact_of(trial.feedback), settings)
    form = TryForm(initial={"prompt": run.recipe["prompt"], **initial_of(asked)}, shown=asked)
    return show(request, version, principle, wording=wording, form=form, run=run)


@require_POST
@requires(Capability.MANAGE)
def draft_try(request: HttpRequest, slug: str) -> HttpResponse:
    """One card of the form of a draft, in the words that stand there, saved or not."""
    draft, cards = draft_of(slug), cards_posted(request.POST)
    place = number_in(request.POST, "try", most=MOST_PRINCIPLES)
    if not 1 <= place <= len(cards):
        raise Http404("There is no such card.")
    wording = checked_wording(cards[place - 1].as_wording(), place=place)
    user = signed_in(request)
    prompt = cards[place - 1].texts["try"]
    run = try_principle(draft, wording, beside=wordings_in(draft), prompt=prompt, asked=last_asked(user), user=user)
    if request.headers.get("HX-Request"):
        return live(request, draft, run, template="rlhf/trial_in_draft.html")
    return redirect("principle_trial", slug, draft.number, wording.id, run.pk)


def live(
    request: HttpRequest, version: ConstitutionVersion, run: Run, *, template: str = "rlhf/trial_live.html"
) -> HttpResponse:
    context = {"version": version, "constitution": version.constitution, "trial": trial_of(run)}
    return render(request, template, context)


def show(
    request: HttpRequest, version: ConstitutionVersion, principle: str, *, wording: Wording | None, form: TryForm,
    run: Run | None = None, status: int = 200,
) -> HttpResponse:  # fmt: skip
    """`wording` is what stands in the version now: none where only the form of a draft has it yet."""
    trial = trial_of(run) if run is not None else None
    tried = tuple(trial.recipe[name] for name in ("critique", "revision", "comparison")) if trial else ()
    context: dict[str, Any] = {
        "constitution": version.constitution, "version": version, "principle": principle, "wording": wording, "form": form,
        "trial": trial, "tries": tries_of(version, principle, user=signed_in(request)),
        "is_reworded": bool(trial and wording and tried != (wording.critique, wording.revision, wording.comparison)),
    }  # fmt: skip
    return render(request, "rlhf/trial.html", context, status=status)


def tries_of(version: ConstitutionVersion, principle: str, *, user: User) -> list[Run]:
    """The visitor's own, the newest first."""
    return list(trials_of(version, principle).filter(created_by=user).order_by("-created_at", "-pk")[:MOST_LISTED])


def named(wordings: tuple[Wording, ...], principle: str) -> Wording:
    found = next((one for one in wordings if one.id == principle), None)
    if found is None:
        raise Http404("There is no such principle.")
    return found


def filled(posted: QueryDict, remembered: dict[str, Any]) -> QueryDict:
    """What was posted, with the rest as it was remembered."""
    data = posted.copy()
    for name, value in remembered.items():
        if name not in data and value is not None:
            data[name] = str(value)
    return data
