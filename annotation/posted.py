"""The ranking form as it is posted: read into what the services take."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext

from accounts.errors import UserError
from annotation.models import Assignment
from annotation.services.judge import LONGEST_EDIT, LONGEST_REASON, BadRanking, Edit, Submission, as_written
from annotation.weak_order import BadOrder, WeakOrder, parse_order, shown

LONGEST_LINE = 200
RATE, EDIT = "rate:", "edit:"  # what names of fields begin with, before a text's letter


def submission_of(request: HttpRequest, assignment: Assignment) -> Submission:
    """The form, in the letters that she saw. Raises `BadRanking` for what can't be read."""
    all_bad, cannot_rank = "all_bad" in request.POST, request.POST.get("cannot_rank", "")
    line = request.POST.get("order", "").strip()
    order = read_line(line) if line or not (all_bad or cannot_rank) else WeakOrder((), ())
    return Submission(
        client_uuid=uuid_of(request, "client_uuid"),
        tiers=order.tiers,
        strengths=order.strengths,
        unranked=order.unranked,
        all_bad=all_bad,
        cannot_rank=cannot_rank,
        flags=flags_of(request.POST.getlist("flag")),
        ratings=ratings_of(request.POST),
        edit=edit_of(edits_of(request.POST, assignment)),
        reason=request.POST.get("reason", ""),
        seconds=seconds_of(request.POST.get("seconds", "")),
    )


def read_line(line: str) -> WeakOrder:
    if not line:
        raise BadRanking(gettext("Rank the texts first, best one first."))
    try:
        return parse_order(line)
    except BadOrder as error:
        raise BadRanking(str(error)) from None


def draft_of(request: HttpRequest, assignment: Assignment) -> dict[str, Any]:
    """What stands in the form, whole or not."""
    edits = edits_of(request.POST, assignment)
    return {
        "line": request.POST.get("order", "")[:LONGEST_LINE],
        "all_bad": "all_bad" in request.POST,
        "cannot_rank": request.POST.get("cannot_rank", "")[:LONGEST_LINE],
        "flags": flags_of(request.POST.getlist("flag")),
        "ratings": readable_ratings_of(request.POST),
        "edits": {letter: text[:LONGEST_EDIT] for letter, text in edits.items()},
        "reason": request.POST.get("reason", "")[:LONGEST_REASON],
    }


def flags_of(posted: Iterable[str]) -> dict[str, list[str]]:
    """`a:unsafe` -> {"a": ["unsafe"]}"""
    found: dict[str, list[str]] = {}
    for value in posted:
        letter, _, flag = value.partition(":")
        found.setdefault(letter, []).append(flag)
    return found


def ratings_of(posted: QueryDict) -> dict[str, dict[str, int]]:
    """`rate:a:helpful` = "4" -> {"a": {"helpful": 4}}; an empty one is none. Raises `BadRanking`."""
    found: dict[str, dict[str, int]] = {}
    for field in posted:
        level = str(posted.get(field))
        if not field.startswith(RATE) or not level:
            continue
        letter, _, name = field.removeprefix(RATE).partition(":")
        if not (level.isascii() and level.isdigit() and len(level) < 4):
            raise BadRanking(
                gettext("%(name)s is a whole number, not %(given)s.") % {"name": name[:40], "given": level[:40]}
            )
        found.setdefault(letter, {})[name] = int(level)
    return found


def readable_ratings_of(posted: QueryDict) -> dict[str, dict[str, int]]:
    try:
        return ratings_of(posted)
    except BadRanking:  # of a form that this page did not make: nothing to keep
        return {}


def edits_of(posted: QueryDict, assignment: Assignment) -> dict[str, str]:
    """`edit:a`, by letter, where it is no longer the text that stood there. Emptied is taken back."""
    typed = {name.removeprefix(EDIT): str(text) for name, text in posted.items() if name.startswith(EDIT)}
    texts, letters = assignment.texts if typed else {}, assignment.letters()
    return {
        letter: text
        for letter, text in typed.items()
        if as_written(text) and as_written(text) != as_written(texts.get(letters.get(letter, ""), ""))
    }


def edit_of(edits: dict[str, str]) -> Edit | None:
    if len(edits) > 1:
        raise BadRanking(
            gettext("Better one text at a time: you changed %(letters)s.") % {"letters": shown(sorted(edits))}
        )
    return next((Edit(letter, text) for letter, text in edits.items()), None)


def seconds_of(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None


def uuid_of(request: HttpRequest, name: str) -> uuid.UUID:
    try:
        return uuid.UUID(request.POST.get(name, ""))
    except ValueError:
        raise UserError(gettext("This page is not whole. Reload it: your draft is kept."), code="bad_form") from None


def uuids_of(request: HttpRequest, name: str) -> list[uuid.UUID]:
    try:
        return [uuid.UUID(text) for text in request.POST.getlist(name)]
    except ValueError:
        raise UserError(gettext("This page is not whole. Reload it: your draft is kept."), code="bad_form") from None
