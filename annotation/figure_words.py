"""Figures of a kept report as pages show them: a dot with its interval on a scale, in words, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext, gettext_noop

from accounts.numbers import digits
from annotation.quality.sentences import said

PUBLISHED = (0.63, 0.77)  # pairwise agreement of people who rank completions: Bai et al. 2022, Ouyang et al. 2022
PUBLISHED_WORDS = gettext_noop("63 to 77 %: what careful raters reach in published studies")


@dataclass(frozen=True, slots=True)
class Scale:
    """From `low` to `high`; values beyond are drawn at its ends. `mark` is a line to compare with, `band` a range."""

    low: float
    high: float
    mark: float | None = None
    band: tuple[float, float] | None = None
    is_share: bool = True

    def at(self, value: float) -> float:
        """Percent from the left."""
        return round(100 * min(1.0, max(0.0, (value - self.low) / (self.high - self.low))), 2)

    @property
    def mark_at(self) -> float | None:
        return None if self.mark is None else self.at(self.mark)

    @property
    def band_at(self) -> tuple[float, float] | None:
        """Left end and width, in percent."""
        return (
            None
            if self.band is None
            else (self.at(self.band[0]), round(self.at(self.band[1]) - self.at(self.band[0]), 2))
        )


AGREED = Scale(0.3, 1.0, mark=0.5, band=PUBLISHED)
RELIABLE = Scale(0.0, 1.0, mark=0.5)


@dataclass(frozen=True, slots=True)
class Dot:
    """`at`, `left` and `width` in percent of the scale, None where there is nothing to draw."""

    name: str
    words: str
    interval: str
    num: int
    why: str
    at: float | None = None
    left: float | None = None
    width: float | None = None


def percent(value: float) -> str:
    return f"{digits(100 * value, form='.1f')} %"


def number(value: float) -> str:
    rounded = round(value, 2) or 0.0  # no minus before 0
    return digits(rounded, form=".2f").replace("-", "−")


def between(low: str, high: str) -> str:
    return gettext("%(low)s to %(high)s") % {"low": low, "high": high}


def dot(name: str, measure: Mapping[str, Any] | None, *, scale: Scale) -> Dot:
    """`measure` as JSON of `quality.judgement.Measure`."""
    if measure is None or measure["value"] is None:
        why = said(measure["why"]) if measure else gettext("Nothing is known yet.")
        return Dot(name, "", "", measure["num"] if measure else 0, why)
    shown = percent if scale.is_share else number
    value, low, high = measure["value"], measure["low"], measure["high"]
    if low is None or high is None:
        return Dot(name, shown(value), "", measure["num"], said(measure["why"]), at=scale.at(value))
    left = scale.at(low)
    return Dot(
        name, shown(value), between(shown(low), shown(high)), measure["num"], "",
        at=scale.at(value), left=left, width=round(max(0.4, scale.at(high) - left), 2),
    )  # fmt: skip


def as_measure(found: Mapping[str, Any] | None, *, value: str = "value", num: str = "num") -> dict[str, Any] | None:
    """Reliabilities and findings, which have other names for the same things, as a measure."""
    if found is None:
        return None
    return {
        "value": found[value], "low": found["low"], "high": found["high"], "num": found[num],
        "why": found.get("sentence", ""),
    }  # fmt: skip


def scale_of_scores(measures: Iterable[Mapping[str, Any]]) -> Scale:
    """Symmetric about 0, out to the next half."""
    ends = [abs(value) for one in measures for value in (one["low"], one["high"], one["value"]) if value is not None]
    most = math.ceil(2 * max(ends, default=0.5)) / 2 or 0.5
    return Scale(-most, most, mark=0.0, is_share=False)
