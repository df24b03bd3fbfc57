"""What every API view shares: strict bodies, pages by cursor, and errors in the one shape that `accounts.errors` gives them."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext
from rest_framework import exceptions, serializers
from rest_framework.pagination import CursorPagination
from rest_framework.response import Response
from rest_framework.views import exception_handler

from accounts.errors import UserError


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses names that it does not know, so that a typo is told and not dropped."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and (unknown := sorted(set(data) - set(self.fields))):
            raise serializers.ValidationError(dict.fromkeys(unknown, gettext("There is no such field.")))
        return super().to_internal_value(data)


MADE: dict[type, Any] = {}


def made(shape: type) -> Any:
    """One for all requests: to make its fields takes longer than all that they do, and they keep nothing of what they saw."""
    if shape not in MADE:
        MADE[shape] = shape()
    return MADE[shape]


def checked(shape: type, data: Any) -> dict[str, Any]:
    """The body of a request, or what its address asks for. Raises `ValidationError`."""
    return dict(made(shape).run_validation(data))


def shown(shape: type, row: Any) -> dict[str, Any]:
    """A row as it is told."""
    told: dict[str, Any] = made(shape).to_representation(row)
    return told


class Pages(CursorPagination):
    """Stays right while rows are added, and costs the same on every page."""

    page_size = 50
    max_page_size = 500
    page_size_query_param = "page_size"
    ordering: tuple[str, ...] = ("-created_at", "-pk")


def api_error(exception: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler: its own exceptions get the same shape as ours."""
    if isinstance(exception, UserError):
        return Response(exception.as_json(), status=exception.status)
    response = exception_handler(exception, context)
    if response is None:
        return None
    detail = response.data
    code, message = "bad_request", gettext("The request was refused.")
    data: dict[str, Any] = {}
    if isinstance(exception, exceptions.ValidationError):
        code, message, data = "invalid", first_sentence(detail), {"data": {"fields": detail}}
    elif isinstance(exception, exceptions.APIException):
        code, message = str(exception.get_codes()), str(exception.detail)
    elif isinstance(detail, dict) and "detail" in detail:
        code, message = {404: "not_found", 403: "not_allowed"}.get(response.status_code, code), str(detail["detail"])
    response.data = {"error": {"code": code, "message": message, **data}}
    return response


def first_sentence(detail: Any, *, field: str = "") -> str:
    """The first complaint of a nested DRF error, with the name of its field before it."""
    if isinstance(detail, dict):
        name, inner = next(iter(detail.items()))
        return first_sentence(inner, field="" if name == "non_field_errors" else str(name))
    if isinstance(detail, list):
        return first_sentence(detail[0], field=field)
    return f"{field}: {detail}" if field else str(detail)
