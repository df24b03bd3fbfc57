"""What every page shows around its content: where the person may go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from accounts.models import Capability


@dataclass(frozen=True, slots=True)
class Place:
    """An entry of the main navigation: what it says, the name of its address, who sees it."""

    label: str
    url_name: str
    capability: Capability


PLACES = (
    Place("Rank", "rank_any", Capability.RANK),
    Place("My work", "my_work", Capability.RANK),
    Place("Review", "review", Capability.REVIEW),
    Place("Campaigns", "campaigns", Capability.STUDY),
    Place("Rounds", "rounds", Capability.STUDY),
    Place("Runs", "runs", Capability.STUDY),
    Place("Models", "models", Capability.STUDY),
    Place("Datasets", "datasets", Capability.STUDY),
    Place("People", "people", Capability.MANAGE),
    Place("Audit", "audit", Capability.MANAGE),
)


@dataclass(frozen=True, slots=True)
class Link:
    label: str
    url: str
    is_here: bool


def navigation(request: HttpRequest) -> dict[str, Any]:
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"can": {}, "navigation": []}
    addresses = [(place.label, reverse(place.url_name)) for place in PLACES if user.can(place.capability)]
    return {
        "can": {capability.value: user.can(capability) for capability in Capability},
        "navigation": [Link(label, url, is_here=request.path.startswith(url)) for label, url in addresses],
    }
