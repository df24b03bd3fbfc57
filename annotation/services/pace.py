"""How fast a campaign is ranked: answers a day and by the hour, and seconds of active time per answer."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from django.utils import timezone
from django.utils.translation import gettext_noop

from annotation.quality.judgement import Measure
from annotation.quality.medians import median_of
from annotation.quality.table import Floats

EDGES = (0, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 240, 300, 450, 600, 900, 1800)  # seconds; the last class is open
UNTIMED = gettext_noop("No browser said how long a ranking took.")


@dataclass(frozen=True, slots=True)
class Day:
    """`seconds` of active time in all its answers that say so."""

    day: str
    num: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Pace:
    """`by_hour` counts answers by the hour of the day, local time; `per_active_hour` is answers an hour of active time."""

    num: int
    days: tuple[Day, ...]
    by_hour: tuple[int, ...]
    median_seconds: Measure
    lower_quartile: float | None
    upper_quartile: float | None
    per_active_hour: float | None
    classes: tuple[tuple[int, int], ...]  # (seconds from, answers)


def pace_of(at: Floats, seconds: Floats) -> Pace:
    """`at` in seconds since 1970, `seconds` nan where unknown."""
    days: defaultdict[str, list[float]] = defaultdict(list)
    hours = [0] * 24
    zone = timezone.get_current_timezone()
    for when, took in zip(at.tolist(), seconds.tolist(), strict=True):
        local = datetime.fromtimestamp(when, tz=zone)
        hours[local.hour] += 1
        days[local.date().isoformat()].append(took)
    known = seconds[~np.isnan(seconds)]
    total = float(known.sum())
    lower, upper = np.percentile(known, [25, 75]) if len(known) else (None, None)
    counts, _ = np.histogram(known, bins=[*EDGES, np.inf])
    return Pace(
        num=len(at),
        days=tuple(Day(day, len(took), float(np.nansum(took))) for day, took in sorted(days.items())),
        by_hour=tuple(hours),
        median_seconds=median_of(seconds, why=UNTIMED),
        lower_quartile=None if lower is None else float(lower),
        upper_quartile=None if upper is None else float(upper),
        per_active_hour=3600 * len(known) / total if total else None,
        classes=tuple(zip(EDGES, counts.tolist(), strict=True)),
    )
