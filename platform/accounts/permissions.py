"""What an API view may be called by: the capability that it names, and nobody where it names none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.permissions import SAFE_METHODS, BasePermission

from accounts.models import ApiToken, Capability, User

if TYPE_CHECKING:  # rest_framework.views reads our default permissions while it is imported
    from rest_framework.request import Request
    from rest_framework.views import APIView


class HasCapability(BasePermission):
    """Reads `capability` of the view, and `write_capability` for unsafe methods where the view has one.

    A token that is for reading gets no further than reading, whatever its owner may do.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        capability: Capability | None = getattr(view, "capability", None)
        if request.method not in SAFE_METHODS:
            capability = getattr(view, "write_capability", capability)
            if isinstance(request.auth, ApiToken) and not request.auth.can_write:
                return False
        return capability is not None and isinstance(request.user, User) and request.user.can(capability)
