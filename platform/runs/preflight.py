"""What a look before fine-tuning found, read for pages: its findings, and the figures that they go by."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext, ngettext

from accounts.numbers import digits, whole
from registry.services.profiles import REPORT, read_object
from runs.coach import Finding, finding_of
from runs.models import Run, RunState

INPUTS = ("model", "instructions")


@dataclass(frozen=True, slots=True)
class Bits:
    """Bits a byte of held-out answers, with the interval over rows."""

    label: str
    value: str
    interval: str


@dataclass(frozen=True, slots=True)
class Preflight:
    findings: tuple[Finding, ...]
    stats: tuple[tuple[str, str, str], ...]
    bits: tuple[Bits, ...]
    caption: str
    stands_in: bool  # rows for training stood in for held-out ones
    template: str = "runs/preflight.html"

    @property
    def pressing(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity != "note")


@dataclass(frozen=True, slots=True)
class Before:
    """The newest preflight of a model and instructions, and the newest that found something: mostly the same run."""

    run: Run
    found_by: Run | None
    report: Preflight | None


def preflight_of(run: Run) -> Preflight | None:
    told = read_object(run.output.artifact.folder / REPORT)
    if told is None:
        return None
    figures: dict[str, Any] = told["figures"]
    return Preflight(
        findings=tuple(map(finding_of, told["findings"])),
        stats=stats_of(figures),
        bits=bits_of(figures),
        caption=caption_of(figures),
        stands_in=bool(figures.get("held_out_is_trained_on")),
    )


def newest_preflight(given: Mapping[str, str]) -> Before | None:
    """Of the artifacts that `given` names as model and instructions; None where it names none, or there was no look."""
    runs = Run.objects.filter(method="preflight", is_estimate=False).exclude(state=RunState.CANCELLED)
    for name in INPUTS:
        try:
            runs = runs.filter(inputs__name=name, inputs__artifact=uuid.UUID(given.get(name, "")))
        except ValueError:
            return None
    runs = runs.select_related("output__artifact").order_by("-created_at", "-pk")
    run = runs.first()
    if run is None:
        return None
    found_by = run if run.state == RunState.SUCCEEDED else runs.filter(state=RunState.SUCCEEDED).first()
    return Before(run, found_by, preflight_of(found_by) if found_by else None)


def stats_of(figures: dict[str, Any]) -> tuple[tuple[str, str, str], ...]:
    rows, compared = figures["rows"], max(figures["compared"], 1)
    found = [
        (gettext("Examples"), whole(rows), ""),
        (
            gettext("Repeated word for word"),
            percent(figures["repeated"] / compared),
            of_rows(figures["repeated"], compared),
        ),
        (gettext("Nearly the same"), percent(figures["alike"] / compared), of_rows(figures["alike"], compared)),
    ]
    if "too_long" in figures:
        limit = gettext("limit %(limit)s, longest %(longest)s tokens") % {
            "limit": whole(figures["max_length"]), "longest": whole(figures["longest"])
        }  # fmt: skip
        found.append((gettext("Too long"), percent(figures["too_long"] / rows), limit))
    if learned := figures.get("learned"):
        note = gettext("n = %(num)s rows") % {"num": whole(rows)}
        found.append((gettext("Tokens that are learned"), percent(learned["trained_share"]), note))
        found.append((gettext("Rows whose end is learned"), percent(learned["ends_learned"]), note))
    if num := figures["held_out_questions"]:
        leaked = figures["leaked"] + figures["leaked_nearly"]
        note = gettext("%(count)s of %(all)s questions") % {"count": whole(leaked), "all": whole(num)}
        found.append((gettext("Held out and trained on"), percent(leaked / num), note))
    return tuple(found)


def bits_of(figures: dict[str, Any]) -> tuple[Bits, ...]:
    shots = figures.get("shots", 0)
    labels = {
        "zero_shot": gettext("the model, no examples"),
        "few_shot": ngettext(
            "the model, %(num)s example in its prompt", "the model, %(num)s examples in its prompt", shots
        )
        % {"num": whole(shots)},
        "tuned": gettext("the fine-tuned model, no examples"),
    }
    found = figures.get("bits", {})
    return tuple(
        Bits(label, digits(found[name]["value"], form=".3f"), interval(found[name]))
        for name, label in labels.items()
        if found.get(name)
    )


def interval(ratio: dict[str, Any]) -> str:
    if ratio["low"] is None:
        return gettext("needs five rows")
    ends = {"low": digits(ratio["low"], form=".3f"), "high": digits(ratio["high"], form=".3f")}
    return gettext("%(low)s to %(high)s") % ends


def caption_of(figures: dict[str, Any]) -> str:
    num = figures.get("measured", 0)
    return ngettext(
        "The same %(num)s answer each time; intervals over rows.", "The same %(num)s answers each time; intervals over rows.", num
    ) % {"num": whole(num)}  # fmt: skip


def percent(share: float) -> str:
    form = ".0f" if share in (0, 1) or 0.1 <= share <= 0.99 else ".1f"
    return gettext("%(percent)s %%") % {"percent": digits(100 * share, form=form)}


def of_rows(count: int, total: int) -> str:
    return gettext("%(count)s of %(total)s rows") % {"count": whole(count), "total": whole(total)}
