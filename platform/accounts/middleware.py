"""Two guards around every view: nobody passes undeclared, and a `UserError` becomes a page or JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from accounts.access import PUBLIC
from accounts.errors import NotAllowed, UserError, render_error, wants_json
from accounts.models import Capability


class DenyByDefault:
    """Lets a request pass only where the view declares for whom it is; DRF views answer for themselves by permissions."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        if hasattr(view, "cls") and hasattr(view.cls, "permission_classes"):
            return None  # a DRF view: `accounts.permissions.HasCapability` denies by default there
        required = getattr(view, "required", None)
        if required == PUBLIC:
            return None
        if required is None:
            return render_error(request, NotAllowed(_("This page is not open to anybody."), code="undeclared"))
        if not request.user.is_authenticated:
            if wants_json(request) or request.headers.get(
                "HX-Request"
            ):  # a part of a page is no place for a login form
                return render_error(request, NotAllowed(_("Log in first."), code="not_authenticated", status=401))
            return redirect_to_login(request.get_full_path())
        if not request.user.can(Capability(required)):
            return render_error(request, NotAllowed(_("Your role does not include this page.")))
        return None


class UserErrors:
    """Turns a `UserError` raised by any view into its answer; what a person can mend is never a 500."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return render_error(request, exception) if isinstance(exception, UserError) else None
