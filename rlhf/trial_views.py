"""Pages on which somebody who writes a constitution tries one of its principles on a prompt, and reads what comes of it."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.access import requires, signed_in
from accounts.errors import UserError
from accounts.models import Capability, User
from annotation.forms import tell
from registry.models import ModelVersion
from rlhf.constitution_cards import cards_posted, number_in
from rlhf.constitution_desk import draft_of
from rlhf.constitution_views import version_of
from rlhf.models import ConstitutionVersion
from rlhf.services.constitutions.trying import (
    LONGEST_PROMPT,
    SETTINGS,
    last_settings,
    trials_of,
    try_principle,
    writers,
)
from rlhf.services.constitutions.wording import MOST_PRINCIPLES, Wording, checked_wording, wordings_in
from rlhf.trials import trial_of
from runs.models import Run

MOST_MODELS = 100
MOST_LISTED = 8
MOST_SEED = 2**31 - 1


class TryForm(forms.Form):
    prompt = forms.CharField(
        label=_("Prompt"), max_length=LONGEST_PROMPT, widget=forms.Textarea(attrs={"rows": 4, "dir": "auto"}),
        help_text=_("What a person would ask the model."),
    )  # fmt: skip
    model = forms.ModelChoiceField(label=_("Model"), queryset=ModelVersion.objects.none(), empty_label=None)
    critic = forms.ChoiceField(
        label=_("Who critiques"), choices=[("model", _("The model itself")), ("rules", _("A list of harmful words"))]
    )
    max_new_tokens = forms.IntegerField(
        label=_("Tokens at most"), min_value=1, max_value=2048, help_text=_("Of the answer and of the revision.")
    )
    temperature = forms.FloatField(
        label=_("Temperature"), min_value=0.05, max_value=2, help_text=_("Of all texts; a run's is 1.")
    )
    seed = forms.IntegerField(
        label=_("Seed"), min_value=0, max_value=MOST_SEED,
        help_text=_("The same one gives the same answer: what changes then comes from the words."),
    )  # fmt: skip

    def __init__(self, *args: Any, chosen: ModelVersion | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        newest = list(writers().values_list("pk", flat=True)[:MOST_MODELS])
        shown = writers().filter(pk__in=[*newest, *([chosen.pk] if chosen else [])])
        self.fields["model"].queryset = shown.select_related("artifact")  # type: ignore[attr-defined]


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@requires(Capability.MANAGE)
def principle_try(request: HttpRequest, slug: str, number: int, principle: str) -> HttpResponse:
    """The form; what is posted without a model or settings takes those of the person's last trial."""
    version = version_of(slug, number)
    wordings = wordings_in(version)
    wording = named(wordings, principle)
    user = signed_in(request)
    model, settings = last_settings(user)
    remembered = {**settings, "model": model.pk if model else None}
    if request.method != "POST":
        return show(request, version, principle, wording=wording, form=TryForm(initial=remembered, chosen=model))
    form = TryForm(filled(request.POST, remembered), chosen=model)
    status = 400
    if form.is_valid():
        given = form.cleaned_data
        try:
            run = try_principle(
                version, wording, beside=wordings, prompt=given["prompt"], model=given["model"].artifact, user=user,
                settings={name: given[name] for name in SETTINGS},
            )  # fmt: skip
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
    initial = {**{name: run.recipe[name] for name in ("prompt", *SETTINGS)}, "model": trial.model and trial.model.pk}
    return show(
        request, version, principle, wording=wording, form=TryForm(initial=initial, chosen=trial.model), run=run
    )


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
    model, settings = last_settings(user)
    run = try_principle(
        draft, wording, beside=wordings_in(draft), prompt=cards[place - 1].texts["try"],
        model=model.artifact if model else None, user=user, settings=settings,
    )  # fmt: skip
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
