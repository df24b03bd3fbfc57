"""The ranking form as it is posted: read into what the services take."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest

from accounts.errors import UserError
from annotation.services.judge import LONGEST_REASON, BadRanking, Submission
from annotation.weak_order import BadOrder, WeakOrder, parse_order

LONGEST_LINE = 200


def submission_of(request: HttpRequest) -> Submission:
    """The form, in the letters that she saw. Raises `BadRanking` for a line that can't be read."""
    all_bad = "all_bad" in request.POST
    line = request.POST.get("order", "").strip()
    order = read_line(line) if line or not all_bad else WeakOrder((), ())
    return Submission(
        client_uuid=uuid_of(request, "client_uuid"),
        tiers=order.tiers,
        strengths=order.strengths,
        flags=flags_of(request.POST.getlist("flag")),
        reason=request.POST.get("reason", ""),
        all_bad=all_bad,
        seconds=seconds_of(request.POST.get("seconds", "")),
    )


def read_line(line: str) -> WeakOrder:
    if not line:
        raise BadRanking("Rank the texts first, best one first.")
    try:
        return parse_order(line)
    except BadOrder as error:
        raise BadRanking(str(error)) from None


def draft_of(request: HttpRequest) -> dict[str, Any]:
    """What stands in the form, whole or not."""
    return {
        "line": request.POST.get("order", "")[:LONGEST_LINE],
        "all_bad": "all_bad" in request.POST,
        "flags": flags_of(request.POST.getlist("flag")),
        "reason": request.POST.get("reason", "")[:LONGEST_REASON],
    }


def flags_of(posted: Iterable[str]) -> dict[str, list[str]]:
    """`a:unsafe` -> {"a": ["unsafe"]}"""
    found: dict[str, list[str]] = {}
    for value in posted:
        letter, _, flag = value.partition(":")
        found.setdefault(letter, []).append(flag)
    return found


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
        raise UserError("This page is not whole. Reload it: your draft is kept.", code="bad_form") from None
