"""Pages of constitutions that are read: all of them, one by version, what differs between two, and the document to take away."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from accounts.access import requires
from accounts.models import Capability
from accounts.numbers import digits
from accounts.paging import page_of
from registry.models import ModelVersion
from rlhf.models import Constitution, ConstitutionVersion
from rlhf.services.constitutions.comparing import compare
from rlhf.services.constitutions.documents import export_bytes
from rlhf.services.constitutions.publishing import name_of
from rlhf.services.constitutions.wording import Wording, wordings_in

PAGE = 30
MOST_VERSIONS = 100  # that a list of choices names


@require_GET
@requires(Capability.STUDY)
def constitution_list(request: HttpRequest) -> HttpResponse:
    versions = ConstitutionVersion.objects.select_related("dataset").annotate(num_principles=Count("principles"))
    found = Constitution.objects.prefetch_related(Prefetch("versions", versions.order_by("-number")))
    page = page_of(found, request, by="-created_at", size=PAGE)
    entries = [(one, *newest(list(one.versions.all()))) for one in page.items]
    return render(request, "rlhf/constitutions.html", {"page": page, "entries": entries})


def newest(versions: list[ConstitutionVersion]) -> tuple[ConstitutionVersion | None, ConstitutionVersion | None]:
    """The newest published one, and the draft."""
    published = next((version for version in versions if not version.is_draft), None)
    return published, next((version for version in versions if version.is_draft), None)


@require_GET
@requires(Capability.STUDY)
def constitution_detail(request: HttpRequest, slug: str, number: int | None = None) -> HttpResponse:
    """One version; without a number the newest, published or not."""
    constitution = get_object_or_404(Constitution.objects.select_related("created_by"), slug=slug)
    versions = constitution.versions.select_related("dataset", "edited_by", "published_by")
    page = page_of(versions, request, by="-number", size=PAGE)
    found = versions.filter(number=number) if number is not None else versions.order_by("-number")[:1]
    version = get_object_or_404(found)
    wordings = wordings_in(version)
    context = {
        "constitution": constitution,
        "version": version,
        "principles": with_shares(wordings),
        "has_draft": constitution.versions.filter(state="draft").exists(),
        "page": page,
        "dataset_name": name_of(version),
        "models": ModelVersion.objects.filter(datasets=version.dataset).order_by("created_at", "pk")
        if version.dataset
        else [],
    }
    return render(request, "rlhf/constitution.html", context)


def with_shares(wordings: tuple[Wording, ...]) -> list[tuple[Wording, str, str]]:
    """Each with its weight and how often that has it drawn, in percent."""
    total = sum(wording.weight for wording in wordings)
    return [(one, digits(one.weight), digits(100 * one.weight / total, form=".2g")) for one in wordings]


@require_GET
@requires(Capability.STUDY)
def constitution_export(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    return download(version_of(slug, number))


def download(version: ConstitutionVersion) -> HttpResponse:
    """Also what the API answers: the document, byte for byte."""
    name = f"{version.constitution.slug}-v{version.number}.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(export_bytes(version), content_type="application/json", headers=headers)


@require_GET
@requires(Capability.STUDY)
def constitution_compare(request: HttpRequest, slug: str) -> HttpResponse:
    """What changed from one version to another; unless it is said, the newest beside the one before it."""
    constitution = get_object_or_404(Constitution, slug=slug)
    versions = list(constitution.versions.order_by("-number")[:MOST_VERSIONS])
    after = chosen(versions, request.GET.get("to", "")) or versions[0]
    earlier = next((version for version in versions if version.number < after.number), after)
    before = chosen(versions, request.GET.get("from", "")) or earlier
    comparison = compare(wordings_in(before), wordings_in(after))
    counts = [(kind, comparison.count(kind)) for kind in ("added", "removed", "changed", "moved")]
    context: dict[str, Any] = {
        "constitution": constitution, "versions": versions, "before": before, "after": after, "comparison": comparison,
        "counts": dict(counts), "differs": any(number for _, number in counts),
    }  # fmt: skip
    return render(request, "rlhf/constitution_compare.html", context)


def chosen(versions: list[ConstitutionVersion], number: str) -> ConstitutionVersion | None:
    return next((version for version in versions if str(version.number) == number), None)


def version_of(slug: str, number: int) -> ConstitutionVersion:
    found = ConstitutionVersion.objects.select_related("constitution", "dataset", "published_by", "edited_by")
    return get_object_or_404(found, constitution__slug=slug, number=number)
