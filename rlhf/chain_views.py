"""Pages of chains: all of a dataset, and one as a person wants to read it."""

from __future__ import annotations

import uuid

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from accounts.access import requires
from accounts.models import Capability
from registry.models import DatasetVersion
from rlhf.chains import has_chains, is_scored_by_reward, num_chains, read_chains

PAGE = 25


@require_GET
@requires(Capability.STUDY)
def chain_list(request: HttpRequest, dataset_id: uuid.UUID) -> HttpResponse:
    dataset = dataset_with_chains(dataset_id)
    split = split_told(request, dataset)
    total, start = num_chains(dataset, split), number_told(request, "from")
    context = {
        "dataset": dataset,
        "split": split,
        "total": total,
        "is_reward": is_scored_by_reward(dataset),
        "chains": read_chains(dataset, split, start=start, count=PAGE),
        "before": max(0, start - PAGE) if start else None,
        "after": start + PAGE if start + PAGE < total else None,
    }
    return render(request, "rlhf/chains.html", context)


@require_GET
@requires(Capability.STUDY)
def chain_detail(request: HttpRequest, dataset_id: uuid.UUID, split: str, number: int) -> HttpResponse:
    dataset = dataset_with_chains(dataset_id)
    found = read_chains(dataset, split, start=number, count=1) if split in dataset.splits else []
    if not found:
        raise Http404("There is no such chain.")
    total = num_chains(dataset, split)
    context = {
        "dataset": dataset,
        "split": split,
        "chain": found[0],
        "total": total,
        "is_reward": is_scored_by_reward(dataset),
        "before": number - 1 if number else None,
        "after": number + 1 if number + 1 < total else None,
    }
    return render(request, "rlhf/chain.html", context)


def dataset_with_chains(dataset_id: uuid.UUID) -> DatasetVersion:
    dataset = get_object_or_404(DatasetVersion.objects.select_related("artifact"), pk=dataset_id)
    if not has_chains(dataset):
        raise Http404("This dataset has no chains.")
    return dataset


def split_told(request: HttpRequest, dataset: DatasetVersion) -> str:
    told = request.GET.get("split", "")
    return told if told in dataset.splits else next(iter(dataset.splits), "train")


def number_told(request: HttpRequest, name: str) -> int:
    told = request.GET.get(name, "")
    return int(told) if told.isascii() and told.isdigit() and len(told) < 10 else 0
