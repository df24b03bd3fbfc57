"""What every page shows around its content: where the person may go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.models import Capability


@dataclass(frozen=True, slots=True)
class Place:
    """An entry of the main navigation: what it says, the name of its address, who sees it; `also` leads other addresses of
    the same matter."""

    label: str | Promise
    url_name: str
    capability: Capability
    also: str = ""


PLACES = (
    Place(_("Rank"), "rank_any", Capability.RANK),
    Place(_("My work"), "my_work", Capability.RANK),
    Place(_("Review"), "review", Capability.REVIEW),
    Place(_("Campaigns"), "campaigns", Capability.STUDY),
    Place(_("Rounds"), "rounds", Capability.STUDY),
    Place(_("Constitutions"), "constitutions", Capability.STUDY, also="constitutional_runs"),
    Place(_("Runs"), "runs", Capability.STUDY),
    Place(_("Models"), "models", Capability.STUDY),
    Place(_("Datasets"), "datasets", Capability.STUDY),
    Place(_("People"), "people", Capability.MANAGE),
    Place(_("Audit"), "audit", Capability.MANAGE),
)


@dataclass(frozen=True, slots=True)
class Link:
    label: str | Promise
    url: str
    is_here: bool


def navigation(request: HttpRequest) -> dict[str, Any]:
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"can": {}, "navigation": []}
    return {
        "can": {capability.value: user.can(capability) for capability in Capability},
        "navigation": [link(place, path=request.path) for place in PLACES if user.can(place.capability)],
    }


def link(place: Place, *, path: str) -> Link:
    urls = tuple(reverse(name) for name in (place.url_name, place.also) if name)
    return Link(place.label, urls[0], is_here=path.startswith(urls))
