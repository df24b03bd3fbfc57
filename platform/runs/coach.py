"""What the coach of a run has said, for its page and the API: what was seen, the likely cause, what to try.

`training` finds and words it (docs/coach.md); here it is read from the run's warnings. Each sentence is a template with its
figures beside it, so that a catalog of translations can hold it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy

from runs.models import EventKind, Run, RunEvent

MOST = 12
SEVERITIES: dict[str, str | Promise] = {
    "note": gettext_lazy("Note"),
    "warning": gettext_lazy("Warning"),
    "alarm": gettext_lazy("Alarm"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """`severity` is one of `SEVERITIES`; a warning that a method gave by itself has neither cause nor advice."""

    code: str
    seen: str
    cause: str = ""
    advice: str = ""
    severity: str = "warning"
    since: int | None = None

    @property
    def word(self) -> str:
        return str(SEVERITIES[self.severity])


@dataclass(frozen=True, slots=True)
class Coached:
    """`watched`: what there were figures to look at of, in few words; empty until the run has ended."""

    findings: tuple[Finding, ...]
    watched: tuple[str, ...]


def coached(run: Run) -> Coached:
    """The newest findings first."""
    events = RunEvent.objects.filter(run=run)
    warnings = events.filter(kind=EventKind.WARNING).order_by("-seq").values_list("payload", flat=True)[:MOST]
    last = events.filter(kind=EventKind.LOG, payload__has_key="watched").order_by("-seq").first()
    watched = last.payload["watched"] if last is not None else []
    return Coached(tuple(map(finding_of, warnings)), tuple(gettext(what) for what in watched))


def finding_of(payload: Mapping[str, Any]) -> Finding:
    severity = payload.get("severity", "warning")
    return Finding(
        code=payload["code"],
        seen=sentence_of(payload),
        cause=told(payload.get("cause", "")),
        advice=told(payload.get("advice", "")),
        severity=severity if severity in SEVERITIES else "warning",
        since=payload.get("since"),
    )


def sentence_of(payload: Mapping[str, Any]) -> str:
    """In the reader's language where its template is known there; else as it was said."""
    template = payload.get("template", "")
    translated = told(template)
    if translated == template:
        return str(payload["sentence"])
    return str(translated % payload["figures"])


def told(text: str) -> str:
    return gettext(text) if text else ""
