"""What one principle says, as a value, and what makes it fit to be kept. Whatever comes from outside passes here."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from django.utils.translation import gettext

from accounts.errors import UserError
from accounts.numbers import whole
from annotation.services.texts import complaint_about
from registry.services.principles import EXAMPLE, REQUESTS
from rlhf.models import ConstitutionVersion, Principle
from rlhf.models.constitutions import MOST_WEIGHT

MOST_PRINCIPLES, MOST_EXAMPLES, MOST_TAGS = 100, 6, 8
MOST_BYTES = 1_000_000  # of all principles as JSON: what can be written can be exported, and imported again
LONGEST_REQUEST, LONGEST_TEXT = 2_000, 4_000  # characters of a request, and of a text of an example
LONGEST_NAME, LONGEST_PURPOSE = 100, 2_000  # of a constitution; of its purpose, and of what a version changed
SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,58}[a-z0-9])?")
TAG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,28}[a-z0-9])?")


class BadConstitution(UserError):
    """`data` says which principle (from 1 on) and which of its fields, where it is one's fault."""

    code = "bad_constitution"


@dataclass(frozen=True, slots=True)
class Example:
    """One round of few-shot: a prompt, a poor response, what is wrong with it, and a better one."""

    prompt: str
    response: str
    critique: str
    revision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """A principle without its place: the row that runs read, but for `examples` and `tags`, which are lists there."""

    id: str
    critique: str
    revision: str
    comparison: str
    weight: float = 1.0
    tags: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()

    def as_row(self) -> dict[str, Any]:
        return asdict(self) | {"tags": list(self.tags), "examples": [asdict(example) for example in self.examples]}


FIELDS = tuple(field.name for field in fields(Wording))


def wordings_in(version: ConstitutionVersion) -> tuple[Wording, ...]:
    """As they are stored, in their order."""
    return tuple(map(wording_of_row, version.principles.all()))


def wording_of_row(principle: Principle) -> Wording:
    return Wording(
        id=principle.slug,
        **{name: getattr(principle, name) for name in (*REQUESTS, "weight")},
        tags=tuple(principle.tags),
        examples=tuple(Example(**example) for example in principle.examples),
    )


def read_wordings(given: Any) -> tuple[Wording, ...]:
    """From the JSON of somebody else: a list of objects. Raises `BadConstitution`."""
    if not isinstance(given, list):
        raise BadConstitution(gettext("The principles are not a list."), code="bad_principles")
    if len(given) > MOST_PRINCIPLES:
        raise too_many()
    return checked_wordings(read_wording(one, place=place) for place, one in enumerate(given, start=1))


def read_wording(given: Any, *, place: int) -> Wording:
    if not isinstance(given, Mapping):
        raise bad(place, gettext("It is not an object."))
    for name in given:
        if name not in FIELDS:
            raise bad(place, gettext("There is no field called %(name)s.") % {"name": str(name)[:40]})
    for name in ("id", *REQUESTS):
        if name not in given:
            raise bad(place, gettext("It has no %(name)s.") % {"name": name}, field=name)
    tags, examples = given.get("tags", []), given.get("examples", [])
    if not isinstance(tags, list):
        raise bad(place, gettext("Its tags are not a list."), field="tags")
    if not isinstance(examples, list) or not all(
        isinstance(one, Mapping) and set(one) == set(EXAMPLE) for one in examples
    ):
        told = gettext("Its examples are not a list of objects with %(known)s alone.") % {"known": ", ".join(EXAMPLE)}
        raise bad(place, told, field="examples")
    told_of = {name: given[name] for name in ("id", *REQUESTS)}
    return Wording(
        **told_of, weight=given.get("weight", 1.0), tags=tuple(tags), examples=tuple(Example(**one) for one in examples)
    )


def checked_wordings(given: Iterable[Wording]) -> tuple[Wording, ...]:
    """Tidied, each of them fit to be kept, no id twice. Raises `BadConstitution`."""
    found: list[Wording] = []
    for place, wording in enumerate(given, start=1):
        if place > MOST_PRINCIPLES:
            raise too_many()
        checked = checked_wording(wording, place=place)
        if any(checked.id == other.id for other in found):
            raise bad(place, gettext("Another principle is called %(id)s.") % {"id": checked.id}, field="id")
        found.append(checked)
    if len(json.dumps([one.as_row() for one in found], ensure_ascii=False, indent=2).encode()) > MOST_BYTES:
        told = gettext("All principles together have at most %(most)s bytes.") % {"most": whole(MOST_BYTES)}
        raise BadConstitution(told, code="too_large", status=413)
    return tuple(found)


def checked_wording(wording: Wording, *, place: int) -> Wording:
    if not isinstance(wording.id, str) or not SLUG.fullmatch(wording.id):
        told = gettext("Its id has small letters a-z, digits and dashes, 60 at most, and no dash at either end.")
        raise bad(place, told, field="id")
    requests = {name: checked_text(getattr(wording, name), place=place, field=name) for name in REQUESTS}
    weight = wording.weight
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not is_weight(weight):
        told = gettext("Its weight is a number above 0 and at most %(most)s.") % {"most": whole(MOST_WEIGHT)}
        raise bad(place, told, field="weight")
    return Wording(
        id=wording.id,
        **requests,
        weight=float(weight),
        tags=checked_tags(wording.tags, place=place),
        examples=checked_examples(wording.examples, place=place),
    )


def is_weight(value: float) -> bool:
    return math.isfinite(value) and 0 < value <= MOST_WEIGHT


def checked_tags(tags: Sequence[Any], *, place: int) -> tuple[str, ...]:
    if len(tags) > MOST_TAGS or not all(isinstance(tag, str) and TAG.fullmatch(tag) for tag in tags):
        told = gettext("Its tags are at most %(most)s words of small letters, digits and dashes.") % {"most": MOST_TAGS}
        raise bad(place, told, field="tags")
    return tuple(dict.fromkeys(tags))


def checked_examples(examples: Sequence[Example], *, place: int) -> tuple[Example, ...]:
    if len(examples) > MOST_EXAMPLES:
        told = gettext("It has more than %(most)s examples.") % {"most": MOST_EXAMPLES}
        raise bad(place, told, field="examples")
    return tuple(
        Example(
            **{
                name: checked_text(getattr(example, name), place=place, field="examples", most=LONGEST_TEXT, of=name)
                for name in EXAMPLE
            }
        )
        for example in examples
    )


def checked_text(value: Any, *, place: int, field: str, most: int = LONGEST_REQUEST, of: str = "") -> str:
    text = tidy(value) if isinstance(value, str) else ""
    if not 1 <= len(text) <= most:
        sentence = (
            gettext("The %(name)s of each example has 1 to %(most)s characters.")
            if of
            else gettext("Its %(name)s has 1 to %(most)s characters.")
        )
        raise bad(place, sentence % {"name": of or field, "most": whole(most)}, field=field)
    if complaint := complaint_about(text):
        told = gettext("There is %(complaint)s in its %(name)s.") % {"complaint": complaint, "name": field}
        raise bad(place, told, field=field)
    return text


def tidy(text: str) -> str:
    return text.replace("\r\n", "\n").strip()


def plain_text(value: Any, *, what: str, most: int, is_needed: bool = False) -> str:
    """A name, a purpose, a note. Raises `BadConstitution`, which names it by `what`."""
    text = tidy(value) if isinstance(value, str) else ""
    is_fit = int(is_needed) <= len(text) <= most and (text.isprintable() or not is_needed)
    if not isinstance(value, str) or not is_fit or complaint_about(text):
        sentence = (
            gettext("The %(what)s is a line of 1 to %(most)s characters.")
            if is_needed
            else gettext("The %(what)s is a text of at most %(most)s characters, without NUL.")
        )
        raise BadConstitution(sentence % {"what": what, "most": whole(most)}, code=f"bad_{what}", field=what)
    return text


def bad(place: int, complaint: str, *, field: str = "") -> BadConstitution:
    sentence = gettext("Principle %(place)s: %(complaint)s") % {"place": place, "complaint": complaint}
    return BadConstitution(sentence, code="bad_principle", principle=place, field=field)


def too_many() -> BadConstitution:
    told = gettext("A constitution has at most %(most)s principles.") % {"most": MOST_PRINCIPLES}
    return BadConstitution(told, code="too_many_principles")
