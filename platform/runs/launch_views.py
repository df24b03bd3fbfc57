"""The form that starts a run: made from the recipe of its method, with presets, help and bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError as InvalidValue
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext, gettext_noop
from django.views.decorators.http import require_http_methods
from pydantic import ValidationError

from accounts.access import requires
from accounts.errors import UserError
from accounts.models import Capability, User
from registry.models import SILENT, Artifact, DatasetVersion, ModelRole, ModelVersion
from runs import audience, recipe_form
from runs.models import Run
from runs.preflight import newest_preflight
from runs.recipe_words import said
from runs.services.estimate import ask_estimate
from runs.services.start import start_run
from runs.words import rows
from training.recipes import RECIPES, Recipe

MOST_CHOICES = 200

# What the first line of a list of inputs says, by what is wanted: where there is something to choose, and where not.
CHOICES = {
    "model": (gettext_noop("choose a model"), gettext_noop("there is no model yet")),
    "model:task": (gettext_noop("choose a task model"), gettext_noop("there is no task model yet")),
    "model:reward": (gettext_noop("choose a reward model"), gettext_noop("there is no reward model yet")),
    "dataset": (gettext_noop("choose a dataset"), gettext_noop("there is no dataset yet")),
    "dataset:corpus": (gettext_noop("choose a corpus"), gettext_noop("there is no corpus yet")),
    "dataset:instructions": (gettext_noop("choose instructions"), gettext_noop("there are no instructions yet")),
    "model|model:masked": (gettext_noop("choose a model"), gettext_noop("there is no model yet")),
    "model|model:task": (gettext_noop("choose a model"), gettext_noop("there is no model yet")),
    "dataset:labelled": (gettext_noop("choose labelled texts"), gettext_noop("there are no labelled texts yet")),
    "dataset:prompts": (gettext_noop("choose prompts"), gettext_noop("there are no prompts yet")),
    "dataset:completions": (gettext_noop("choose completions"), gettext_noop("there are no completions yet")),
    "dataset:constitution": (gettext_noop("choose a constitution"), gettext_noop("there is no constitution yet")),
    "dataset:preference": (gettext_noop("choose preferences"), gettext_noop("there are no preferences yet")),
    "tokenizer": (gettext_noop("choose a tokenizer"), gettext_noop("there is no tokenizer yet")),
    "upload": (gettext_noop("choose an upload"), gettext_noop("there is no upload yet")),
}


@dataclass(frozen=True, slots=True)
class Choice:
    value: str
    label: str


@dataclass(frozen=True, slots=True)
class InputField:
    name: str
    label: str
    choose: str
    none_yet: str
    is_optional: bool
    choices: tuple[Choice, ...]
    value: str
    error: str


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Capability.MANAGE)
def launch(request: HttpRequest, method: str) -> HttpResponse:
    """GET shows the form (`?preset=`, and an artifact id by input name); POST starts the run or shows what to mend."""
    if method not in RECIPES:
        raise Http404(f"There is no method called {method}.")
    recipe = RECIPES[method]
    posted = request.method == "POST"
    source = request.POST if posted else request.GET
    preset_name = source.get("preset", "") or next(iter(reversed(recipe.presets)), "")
    preset = recipe.presets.get(preset_name, {})
    values: Mapping[str, Any] = recipe_form.read(recipe, request.POST.dict()) if posted else preset
    errors: dict[str, str] = {}
    problem: UserError | None = None
    if posted:
        try:
            recipe.model_validate(values)
            return redirect("run", started(request, method, recipe, values=values, preset=preset_name).pk)
        except ValidationError as error:
            errors = recipe_form.errors_of(error)
        except UserError as error:
            problem = error
    context = {
        "method": method,
        "summary": said(recipe.summary),
        "presets": list(recipe.presets),
        "preset": preset_name,
        "sections": recipe_form.sections(recipe, values=values, preset=preset, errors=errors),
        "inputs": input_fields(recipe, source),
        "has_name": recipe.output != "report",
        "can_estimate": not recipe.no_estimate,
        "checks_before": method == "sft",
        "before": newest_preflight(source) if method == "sft" else None,
        "groups": audience.groups() if "votes" in recipe.model_fields else [],
        "group": source.get(audience.FIELD, ""),
        "title": source.get("title", ""),
        "output_name": source.get("output_name", ""),
        "problem": problem,
        "general_error": errors.get("", ""),
    }
    status = problem.status if problem else (400 if errors else 200)
    return render(request, "runs/launch.html", context, status=status)


def started(request: HttpRequest, method: str, recipe: type[Recipe], *, values: Mapping[str, Any], preset: str) -> Run:
    """The run that was posted, or its estimate, by the button that was pressed. Raises `UserError`."""
    post = request.POST
    given: dict[str, Any] = {
        "recipe": dict(values), "inputs": chosen_inputs(recipe, post), "user": person(request), "preset": preset,
        "title": post.get("title", "").strip(), "output_name": post.get("output_name", "").strip(),
    }  # fmt: skip
    if "estimate" in post:
        return ask_estimate(method, **given)
    return start_run(method, **given, context=audience.context_of(post.get(audience.FIELD, "")))


def person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def input_fields(recipe: type[Recipe], given: Mapping[str, str]) -> list[InputField]:
    fields = []
    for name, wanted in recipe.inputs.items():
        is_optional = name.endswith("?")
        name = name.rstrip("?")
        choices = tuple(choices_for(wanted))
        label, (choose, none_yet) = said(recipe_form.label_of(name)), CHOICES[wanted]
        fields.append(
            InputField(name, label, gettext(choose), gettext(none_yet), is_optional, choices, given.get(name, ""), "")
        )
    return fields


def choices_for(wanted: str) -> list[Choice]:
    kind, _, more = wanted.partition(":")
    if kind.startswith("model"):
        models = ModelVersion.objects.order_by("-created_at", "-pk")
        found = models.filter(role__in=roles_of(wanted))
        return [Choice(str(m.artifact_id), f"{m.name} ({m.get_role_display()})") for m in found[:MOST_CHOICES]]
    if kind == "dataset":
        datasets = DatasetVersion.objects.filter(Q(kind=more) if more else Q()).order_by("-created_at", "-pk")
        return [Choice(str(d.artifact_id), f"{d.name} ({rows(d.num_rows)})") for d in datasets[:MOST_CHOICES]]
    artifacts: QuerySet[Artifact] = Artifact.objects.filter(kind=kind).order_by("-created_at", "-pk")
    return [Choice(str(a.pk), label_of(a)) for a in artifacts[:MOST_CHOICES]]


def roles_of(wanted: str) -> set[str]:
    """The roles that fit what an input must be: of a plain "model" all that write; "|" is or."""
    found: set[str] = set()
    for one in wanted.split("|"):
        found |= {one.removeprefix("model:")} if ":" in one else set(ModelRole.values) - SILENT
    return found


def label_of(artifact: Artifact) -> str:
    made_by = getattr(artifact, "made_by", None)
    name = made_by.run.output_name if made_by is not None else ""
    at = f"{artifact.created_at:%Y-%m-%d %H:%M}"
    return name or gettext("%(kind)s of %(at)s") % {"kind": artifact.get_kind_display(), "at": at}


def chosen_inputs(recipe: type[Recipe], posted: Mapping[str, str]) -> dict[str, Artifact]:
    """Raises `UserError` for an id that names nothing; what is missing or of the wrong kind is told by `start_run`."""
    found = {}
    for name in (name.rstrip("?") for name in recipe.inputs):
        value = posted.get(name, "")
        if not value:
            continue
        try:
            found[name] = Artifact.objects.get(pk=value)
        except (Artifact.DoesNotExist, InvalidValue):  # the latter: no uuid
            raise UserError(
                gettext("The %(input)s that was chosen is not here any more.") % {"input": name}, code="no_input"
            ) from None
    return found
