"""The API's reference, read from its own schema: each call, what it asks for, and what a body may say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.views import SpectacularJSONAPIView

from accounts.access import requires
from accounts.models import Capability

METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    kind: str
    is_required: bool
    help: str


@dataclass(frozen=True, slots=True)
class Call:
    method: str
    path: str
    text: str
    asked: tuple[Field, ...]  # in the address after "?"
    body: tuple[Field, ...]
    answer: tuple[Field, ...]


class SchemaView(SpectacularJSONAPIView):
    """The OpenAPI schema, for generators of clients."""

    capability = Capability.SIGN_IN


@requires(Capability.SIGN_IN)
def reference(request: HttpRequest) -> HttpResponse:
    schema = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return render(request, "accounts/api.html", {"calls": list(calls_of(schema))})


def calls_of(schema: dict[str, Any]) -> Iterator[Call]:
    for path, operations in schema["paths"].items():
        for method in METHODS:
            if operation := operations.get(method):
                yield Call(
                    method=method.upper(),
                    path=path,
                    text=operation.get("description", ""),
                    asked=tuple(
                        Field(
                            given["name"],
                            kind_of(given["schema"]),
                            given.get("required", False),
                            given.get("description", ""),
                        )
                        for given in operation.get("parameters", [])
                        if given["in"] == "query"
                    ),
                    body=fields_of(operation.get("requestBody"), schema=schema),
                    answer=fields_of(first_answer(operation), schema=schema),
                )


def first_answer(operation: dict[str, Any]) -> dict[str, Any] | None:
    """What is answered where all goes well."""
    return next((answer for status, answer in operation["responses"].items() if status.startswith("2")), None)


def fields_of(body: dict[str, Any] | None, *, schema: dict[str, Any]) -> tuple[Field, ...]:
    """The fields of a JSON body; of a page of results, those of one result."""
    found = resolved((body or {}).get("content", {}).get("application/json", {}).get("schema", {}), schema=schema)
    if results := found.get("properties", {}).get("results"):
        found = results
    if found.get("type") == "array":
        found = found["items"]
    found = resolved(found, schema=schema)
    return tuple(
        Field(name, kind_of(one), name in found.get("required", []), one.get("description", ""))
        for name, one in found.get("properties", {}).items()
    )


def resolved(found: dict[str, Any], *, schema: dict[str, Any]) -> dict[str, Any]:
    reference = found.get("$ref")
    return schema["components"]["schemas"][reference.rsplit("/", 1)[1]] if reference else found


def kind_of(found: dict[str, Any]) -> str:
    if "enum" in found:
        return "one of " + ", ".join(str(value) for value in found["enum"])
    if found.get("type") == "array":
        return f"list of {kind_of(found.get('items', {}))}"
    named = found.get("$ref") or next((one["$ref"] for one in found.get("allOf", []) if "$ref" in one), "")
    return str(found.get("format") or found.get("type") or named.rsplit("/", 1)[-1] or "any JSON")
