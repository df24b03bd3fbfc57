"""Scales that raters rate each text on, as a campaign defines them: named, 2 to 7 levels, both ends labelled. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.utils.translation import gettext

MOST = 6
FEWEST_LEVELS, MOST_LEVELS = 2, 7
LONGEST_LABEL = 60
NAME = re.compile(r"[a-z][a-z0-9_-]{0,29}")
LINE = re.compile(
    r"(?P<name>\S+)\s+1\s*[-\u2013]\s*(?P<levels>\d+)\s*:\s*(?P<low>.+?)\s*(?:\.\.+|\u2026)\s*(?P<high>.+?)"
    r"(?P<is_required>\s*\(required\))?"
)
FIELDS = ("name", "levels", "low", "high", "is_required")

Ratings = dict[str, dict[str, int]]


class BadAttributes(ValueError):
    """A definition that can't be used; its text is a sentence for a person."""


class BadRatings(ValueError):
    """Ratings that don't fit the attributes; its text is a sentence for a person."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """`name` is rated 1 (`low`) to `levels` (`high`); `is_required` of each text that is ranked."""

    name: str
    levels: int
    low: str
    high: str
    is_required: bool = False

    @property
    def label(self) -> str:
        return self.name.replace("_", " ").capitalize()

    @property
    def steps(self) -> range:
        return range(1, self.levels + 1)

    @property
    def line(self) -> str:
        """As `parse_attributes` reads it."""
        return f"{self.name} 1-{self.levels}: {self.low} .. {self.high}{' (required)' if self.is_required else ''}"


def attributes_of(given: Any) -> tuple[Attribute, ...]:
    """From JSON, as campaigns store it and the API takes it. Raises `BadAttributes`, which names the bound."""
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise BadAttributes(gettext("Attributes are a list."))
    found = tuple(_attribute(one) for one in given)
    names = [attribute.name for attribute in found]
    if len(found) > MOST:
        raise BadAttributes(
            gettext("A campaign has at most %(most)s attributes, not %(num)s.") % {"most": MOST, "num": len(found)}
        )
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadAttributes(gettext("Two attributes are called %(name)s.") % {"name": twice[0]})
    return found


def _attribute(given: Any) -> Attribute:
    if not isinstance(given, Mapping) or not set(FIELDS[:4]) <= set(given) <= set(FIELDS):
        raise BadAttributes(
            gettext("An attribute has %(fields)s, may be %(may_be)s, and has nothing else.")
            % {"fields": ", ".join(FIELDS[:4]), "may_be": FIELDS[4]}
        )
    name, levels, low, high = (given[field] for field in FIELDS[:4])
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise BadAttributes(gettext("An attribute's name has 1 to 30 small letters, digits, - and _, a letter first."))
    if not isinstance(levels, int) or isinstance(levels, bool) or not FEWEST_LEVELS <= levels <= MOST_LEVELS:
        raise BadAttributes(
            gettext("%(name)s has %(fewest)s to %(most)s levels, not %(given)s.")
            % {"name": name, "fewest": FEWEST_LEVELS, "most": MOST_LEVELS, "given": levels}
        )
    for label in (low, high):
        if not isinstance(label, str) or not 1 <= len(label.strip()) <= LONGEST_LABEL or not label.isprintable():
            raise BadAttributes(
                gettext("Both ends of %(name)s have a label of 1 to %(most)s characters.")
                % {"name": name, "most": LONGEST_LABEL}
            )
    is_required = given.get("is_required", False)
    if not isinstance(is_required, bool):
        raise BadAttributes(gettext("is_required of %(name)s is true or false.") % {"name": name})
    return Attribute(name, levels, low.strip(), high.strip(), is_required)


def parse_attributes(text: str) -> tuple[Attribute, ...]:
    """Reads one attribute a line: `helpful 1-5: useless .. just what was asked (required)`. Raises `BadAttributes`."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        match = LINE.fullmatch(line)
        if match is None:
            raise BadAttributes(
                gettext("“%(line)s” is not like: helpful 1-5: useless .. just what was asked") % {"line": line[:60]}
            )
        told = match.groupdict()
        levels = int(told["levels"][:3])
        found.append({**told, "levels": levels, "is_required": told["is_required"] is not None})
    return attributes_of(found)


def as_json(attributes: Iterable[Attribute]) -> list[dict[str, Any]]:
    return [asdict(attribute) for attribute in attributes]


def checked_ratings(
    given: Mapping[str, Mapping[str, Any]],
    *,
    attributes: Sequence[Attribute],
    names: Mapping[str, str],
    needed: Iterable[str],
) -> Ratings:
    """`given` by text, with empty ones left out. Raises `BadRatings`.

    `names` are the texts as a person calls them, by the names in `given`; `needed` those that required attributes ask of.
    """
    known = {attribute.name: attribute for attribute in attributes}
    for text, levels in given.items():
        if text not in names:
            raise BadRatings(gettext("There is no text %(text)s to rate.") % {"text": text})
        for name, level in levels.items():
            _check_level(known.get(name), level, name=name, known=sorted(known))
    for text in needed:
        for attribute in attributes:
            if attribute.is_required and attribute.name not in given.get(text, {}):
                raise BadRatings(
                    gettext("Rate text %(text)s on %(attribute)s: this campaign asks for it.")
                    % {"text": names[text].upper(), "attribute": attribute.name}
                )
    return {text: dict(sorted(levels.items())) for text, levels in sorted(given.items()) if levels}


def _check_level(attribute: Attribute | None, level: Any, *, name: str, known: list[str]) -> None:
    if attribute is None:
        if not known:
            raise BadRatings(gettext("There is no attribute %(name)s; this campaign asks for none.") % {"name": name})
        raise BadRatings(
            gettext("There is no attribute %(name)s; there are %(known)s.") % {"name": name, "known": ", ".join(known)}
        )
    if not isinstance(level, int) or isinstance(level, bool) or level not in attribute.steps:
        raise BadRatings(
            gettext("%(name)s is 1 to %(most)s, not %(given)s.")
            % {"name": name, "most": attribute.levels, "given": level}
        )
