"""One way to say no: a code, one sentence, a status; rendered alike for pages, the API and the command line."""

from __future__ import annotations

import sys
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.views.defaults import server_error


class UserError(Exception):
    """Something the caller can mend. Raise a subclass, defined beside the function that raises it.

    `code` is stable and for programs, `sentence` is for a person, `status` is the HTTP status,
    `data` whatever a program may need besides (line numbers, a current version).
    """

    code = "bad_request"
    status = 400

    def __init__(self, sentence: str, *, code: str | None = None, status: int | None = None, **data: Any) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.code = code or self.code
        self.status = status or self.status
        self.data = data

    def as_json(self) -> dict[str, Any]:
        return {"error": {"code": self.code, "message": self.sentence, **({"data": self.data} if self.data else {})}}


class NotAllowed(UserError):
    code = "not_allowed"
    status = 403


class NotFound(UserError):
    code = "not_found"
    status = 404


class Conflict(UserError):
    code = "conflict"
    status = 409


def wants_json(request: HttpRequest) -> bool:
    return request.path.startswith("/api/v1/") or (
        request.accepts("application/json") and not request.accepts("text/html")
    )


def render_error(request: HttpRequest, error: UserError) -> HttpResponse:
    """The same error as JSON for programs and as a page (or a fragment for htmx) for people."""
    if wants_json(request):
        return JsonResponse(error.as_json(), status=error.status)
    template = "error_fragment.html" if request.headers.get("HX-Request") else "error.html"
    return render(request, template, {"error": error}, status=error.status)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return render_error(request, NotFound(_("There is nothing at this address, or it isn't yours to see.")))


def broken(request: HttpRequest) -> HttpResponse:
    """What we did not expect. It is in the log with its traceback; the page asks neither database nor session."""
    if isinstance(sys.exc_info()[1], (OperationalError, InterfaceError)):  # Django asks for this page in its `except`
        return away(request)
    if wants_json(request):
        error = UserError(_("Something broke on our side; it is written down."), code="broken", status=500)
        return JsonResponse(error.as_json(), status=500)
    return server_error(request)


def away(request: HttpRequest) -> HttpResponse:
    """The database is away or overloaded: worth trying again, where something broken is not. Asks no database either."""
    error = UserError(
        _("The database does not answer just now. Send it again in a moment: what is kept already is not kept twice."),
        code="database_away",
        status=503,
    )
    headers = {"Retry-After": "1"}
    if wants_json(request):
        return JsonResponse(error.as_json(), status=503, headers=headers)
    template = "error_fragment.html" if request.headers.get("HX-Request") else "503.html"
    return HttpResponse(render_to_string(template, {"error": error}), status=503, headers=headers)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    error = NotAllowed(
        _("This form was opened too long ago or elsewhere. Reload the page and send it again."), code="csrf"
    )
    return render_error(request, error)
