"""What every page shows around its content: where the person may go."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from accounts.models import Capability


def navigation(request: HttpRequest) -> dict[str, Any]:
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"can": {}}
    return {"can": {capability.value: user.can(capability) for capability in Capability}}
