"""A recipe as a form: fields with help and bounds from its pydantic class, and back from what was posted."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
from django.utils.translation import gettext
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from runs.recipe_words import complaint, said
from training.recipes import Recipe


@dataclass(frozen=True, slots=True)
class Field:
    """One input of the form. `name` is dotted below a nested recipe (`lora.r`); `widget` says how it is drawn."""

    name: str
    label: str
    help: str
    widget: Literal["number", "text", "switch", "choice"]
    value: Any
    step: str = "any"
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    error: str = ""
    is_changed: bool = False  # differs from the preset


@dataclass(frozen=True, slots=True)
class Section:
    """Fields under one title; an optional nested recipe has a switch of its own."""

    title: str
    fields: tuple[Field, ...]
    switch: Field | None = None


def sections(
    recipe: type[Recipe], *, values: Mapping[str, Any], preset: Mapping[str, Any], errors: Mapping[str, str]
) -> list[Section]:
    """`values` are the recipe's (nested) values, `preset` those to mark differences from, `errors` by dotted name."""
    plain: list[Field] = []
    nested: list[Section] = []
    for name, info in recipe.model_fields.items():
        default = preset.get(name, info.default)
        inner = model_in(info.annotation)
        if inner is None:
            plain.append(
                field_of(name, info, value=values.get(name, default), preset=default, error=errors.get(name, ""))
            )
            continue
        given = values.get(name, default)
        nested.append(nested_section(name, info, inner, given=as_dict(given), preset=as_dict(default), errors=errors))
    return [Section(gettext("Recipe"), tuple(plain)), *nested]


def nested_section(
    name: str,
    info: FieldInfo,
    inner: type[BaseModel],
    *,
    given: dict[str, Any] | None,
    preset: dict[str, Any] | None,
    errors: Mapping[str, str],
) -> Section:
    title = said(label_of(name))
    switch = Field(
        name=name,
        label=title,
        help=said(info.description or ""),
        widget="switch",
        value=given is not None,
        is_changed=(given is None) != (preset is None),
    )
    fields = tuple(
        field_of(
            f"{name}.{key}",
            field,
            value=(given or {}).get(key, field.default),
            preset=(preset or {}).get(key, field.default),
            error=errors.get(f"{name}.{key}", ""),
        )
        for key, field in inner.model_fields.items()
    )
    return Section(title, fields, switch)


def field_of(name: str, info: FieldInfo, *, value: Any, preset: Any, error: str) -> Field:
    bounds = bounds_of(info)
    kind = innermost(info.annotation)
    choices = tuple(str(c) for c in get_args(kind)) if get_origin(kind) is Literal else ()
    widget: Literal["number", "text", "switch", "choice"] = "text"
    if choices:
        widget = "choice"
    elif kind is bool:
        widget = "switch"
    elif kind in (int, float):
        widget = "number"
    written = ", ".join(str(v) for v in value) if isinstance(value, list | tuple) else value
    return Field(
        name=name,
        label=said(label_of(name.rsplit(".", 1)[-1])),
        help=said(info.description or ""),
        widget=widget,
        value="" if written is None else written,
        step="1" if kind is int else "any",
        minimum=bounds[0],
        maximum=bounds[1],
        choices=choices,
        error=error,
        is_changed=value != preset,
    )


def read(recipe: type[Recipe], posted: Mapping[str, str]) -> dict[str, Any]:
    """What was posted, as the recipe's raw values: numbers still as text, which pydantic reads and checks."""
    values: dict[str, Any] = {}
    for name, info in recipe.model_fields.items():
        inner = model_in(info.annotation)
        if inner is not None:
            on = posted.get(name) == "on"
            values[name] = (
                {
                    k: one(f, posted.get(f"{name}.{k}", ""))
                    for k, f in inner.model_fields.items()
                    if is_told(f, f"{name}.{k}", posted)
                }
                if on
                else None
            )
        elif is_told(info, name, posted):
            values[name] = one(info, posted.get(name, ""))
    return values


def is_told(info: FieldInfo, name: str, posted: Mapping[str, str]) -> bool:
    """A box that isn't ticked is not posted and means no; any other field that is left out keeps the preset's value."""
    return name in posted or innermost(info.annotation) is bool


def one(info: FieldInfo, text: str) -> Any:
    kind = innermost(info.annotation)
    if kind is bool:
        return text == "on"
    if get_origin(kind) is tuple:
        return [part.strip() for part in text.split(",") if part.strip()]
    if not text.strip() and type(None) in get_args(info.annotation):
        return None
    return text.strip()


def errors_of(error: ValidationError) -> dict[str, str]:
    """The first complaint about each field, by dotted name; "" for those about the whole recipe."""
    found: dict[str, str] = {}
    for detail in error.errors():
        name = ".".join(str(part) for part in detail["loc"] if not isinstance(part, int))
        found.setdefault(name, complaint(detail))
    return found


def differences(
    values: Mapping[str, Any], preset: Mapping[str, Any], recipe: type[Recipe]
) -> list[tuple[str, str, bool]]:
    """`(label, value, differs from the preset)` of every field, for the page of a run."""
    rows = []
    for name, info in recipe.model_fields.items():
        default = as_dict(preset.get(name, info.default))
        value = as_dict(values.get(name, default))
        rows.append((said(label_of(name)), shown(value), list_of(value) != list_of(default)))
    return rows


def shown(value: Any) -> str:
    if value is None:
        return gettext("none")
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if isinstance(value, list | tuple):
        return ", ".join(map(shown, value))
    return (
        ", ".join(f"{said(label_of(key))} {shown(inner)}" for key, inner in value.items())
        if isinstance(value, dict)
        else str(value)
    )


def label_of(name: str) -> str:
    words = name.replace("_", " ")
    return {"lora": "LoRA adapter", "r": "rank", "bf16": "bfloat16"}.get(name, words)


def list_of(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def as_dict(value: Any) -> Any:
    return value.model_dump() if isinstance(value, BaseModel) else value


def innermost(annotation: Any) -> Any:
    """`float | None` -> float; anything else as it is."""
    if get_origin(annotation) in (Union, types.UnionType):
        return next(part for part in get_args(annotation) if part is not type(None))
    return annotation


def model_in(annotation: Any) -> type[BaseModel] | None:
    kind = innermost(annotation)
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def bounds_of(info: FieldInfo) -> tuple[float | None, float | None]:
    low: Any = None
    high: Any = None
    for rule in info.metadata:
        if isinstance(rule, annotated_types.Ge):
            low = rule.ge
        elif isinstance(rule, annotated_types.Le):
            high = rule.le
    return low, high
