"""Pages of models and datasets: what each is, what made it, what came of it, and how to take it away."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST

from accounts.access import requires
from accounts.models import Capability, User
from accounts.numbers import digits
from accounts.paging import page_of
from registry import curation_page, picture, profile_page
from registry.models import Alias, DatasetKind, DatasetVersion, ModelRole, ModelVersion
from registry.objections import objection_to
from registry.services import export
from registry.services.datasets import read_rows
from registry.services.lineage import lineage_of
from registry.services.models import move_alias
from registry.services.profiles import find_profile, read_curation, read_profile
from registry.services.schemas import plain

PAGE = 40
ROWS_SHOWN = 10


@require_GET
@requires(Capability.STUDY)
def model_list(request: HttpRequest) -> HttpResponse:
    role = request.GET.get("role", "")
    models = ModelVersion.objects.filter(Q(role=role) if role else Q()).select_related("base", "created_by")
    page = page_of(models, request, by="-created_at", size=PAGE)
    aliases = Alias.objects.select_related("model").order_by("name")
    return render(
        request, "registry/models.html", {"page": page, "role": role, "roles": ModelRole.choices, "aliases": aliases}
    )


@require_GET
@requires(Capability.STUDY)
def model_detail(request: HttpRequest, model_id: uuid.UUID) -> HttpResponse:
    model = get_object_or_404(ModelVersion.objects.select_related("artifact", "base", "created_by"), pk=model_id)
    context = {
        "model": model,
        "aliases": model.aliases.order_by("name"),
        "other_aliases": Alias.objects.exclude(model=model).select_related("model").order_by("name"),
        "parents": model.parents.order_by("created_at", "pk"),
        "children": model.children.order_by("created_at", "pk"),
        "datasets": model.datasets.order_by("created_at", "pk"),
        "metrics": shown_metrics(model.artifact.metrics),
        "picture": picture.draw(lineage_of(model)),
        # Who names no models is asked for no confirmation, and need not wait for what it takes to know.
        "objection": objection_to(model) if person(request).can(Capability.MANAGE) else None,
    }
    return render(request, "registry/model.html", context)


@require_POST
@requires(Capability.MANAGE)
def model_alias(request: HttpRequest, model_id: uuid.UUID) -> HttpResponse:
    """Lets a name mean this model, if it still means what the person saw (`current`; empty for a new name)."""
    model = get_object_or_404(ModelVersion, pk=model_id)
    seen = request.POST.get("current", "")
    expected = None
    if seen:
        try:
            expected = ModelVersion.objects.get(pk=uuid.UUID(seen))
        except (ValueError, ModelVersion.DoesNotExist):
            raise Http404("The model that went by this name is not here.") from None
    alias = move_alias(
        request.POST.get("name", "").strip(),
        model=model,
        user=person(request),
        expected=expected,
        despite_objection=request.POST.get("despite_objection") == "yes",
    )
    messages.success(request, gettext("%(alias)s means %(model)s now.") % {"alias": alias.name, "model": model.name})
    return redirect("model", model.pk)


@require_GET
@requires(Capability.STUDY)
def dataset_list(request: HttpRequest) -> HttpResponse:
    kind = request.GET.get("kind", "")
    datasets = DatasetVersion.objects.filter(Q(kind=kind) if kind else Q()).select_related("created_by")
    page = page_of(datasets, request, by="-created_at", size=PAGE)
    return render(request, "registry/datasets.html", {"page": page, "kind": kind, "kinds": DatasetKind.choices})


@require_GET
@requires(Capability.STUDY)
def dataset_detail(request: HttpRequest, dataset_id: uuid.UUID) -> HttpResponse:
    dataset = get_object_or_404(DatasetVersion.objects.select_related("artifact", "created_by"), pk=dataset_id)
    split = request.GET.get("split", "")
    split = split if split in dataset.splits else next(iter(dataset.splits), "train")
    kept, curation = find_profile(dataset), read_curation(dataset)
    profile = read_profile(kept) if kept is not None else None
    context = {
        "dataset": dataset,
        "kept": kept,
        "profile": profile_page.shown(profile) if profile is not None else None,
        "steps": curation_page.curation_steps(curation) if curation is not None else [],
        "has_chains": (dataset.artifact.folder / "chains").is_dir(),
        "split": split,
        "rows": [shown_row(plain(row, kind=dataset.kind)) for row in read_rows(dataset, split=split, limit=ROWS_SHOWN)],
        "formats": export.formats_of(dataset),
        "models": ModelVersion.objects.filter(datasets=dataset).order_by("created_at", "pk"),
        "picture": picture.draw(lineage_of(dataset)),
    }
    return render(request, "registry/dataset.html", context)


@require_GET
@requires(Capability.STUDY)
def dataset_export(request: HttpRequest, dataset_id: uuid.UUID, fmt: str) -> StreamingHttpResponse:
    dataset = get_object_or_404(DatasetVersion.objects.select_related("artifact"), pk=dataset_id)
    return export.stream_export(dataset, fmt=fmt, user=person(request))


@require_GET
@requires(Capability.STUDY)
def lineage(request: HttpRequest, kind: str, thing_id: uuid.UUID) -> HttpResponse:
    """The whole picture on a page of its own, with the thing in question in the middle."""
    if kind not in ("model", "dataset"):
        raise Http404(f"There is no lineage of a {kind}.")
    is_model = kind == "model"
    thing = get_object_or_404(ModelVersion, pk=thing_id) if is_model else get_object_or_404(DatasetVersion, pk=thing_id)
    return render(
        request, "registry/lineage.html", {"thing": thing, "kind": kind, "picture": picture.draw(lineage_of(thing))}
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """A value of a row: a text, a conversation, or a list of things with parts, each as who or what it is and its text."""

    text: str = ""
    turns: tuple[dict[str, str], ...] = ()


def shown_row(row: dict[str, Any]) -> list[tuple[str, Shown]]:
    return [(name.replace("_", " "), shown(value)) for name, value in row.items()]


def shown(value: Any) -> Shown:
    if isinstance(value, list):
        if all(isinstance(one, str) for one in value):
            return Shown(text=", ".join(value))
        return Shown(turns=tuple(turn for one in value for turn in turns_of(one)))
    if isinstance(value, bool):
        return Shown(text=gettext("yes") if value else gettext("no"))
    return Shown(text=digits(value) if isinstance(value, float) else str(value))


def turns_of(one: dict[str, Any]) -> list[dict[str, str]]:
    """A message is one turn; a span of a text or an example of a principle is one for each of its parts."""
    if one.keys() == {"role", "content"}:
        return [one]
    return [{"role": name, "content": str(value)} for name, value in one.items() if value != ""]


def person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # the view asks for a capability
    return request.user


def shown_metrics(metrics: dict[str, object]) -> list[tuple[str, object]]:
    return [
        (name.replace("_", " "), digits(value) if isinstance(value, float) else value)
        for name, value in metrics.items()
        if isinstance(value, int | float | str) and not isinstance(value, bool)
    ]
