"""The line charts of a kept report: agreement by day, answers by day and by hour."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext

from annotation.figure_words import PUBLISHED, PUBLISHED_WORDS


def chart_of_days(part: dict[str, Any]) -> dict[str, Any] | None:
    """Agreement by day, with the published range behind it."""
    days = [one for one in part["days"] if one["agreement"]["figures"]["pairwise"]["value"] is not None]
    if not days:
        return None
    measures = [one["agreement"]["figures"]["pairwise"] for one in days]

    def shares(name: str) -> list[float | None]:
        return [None if one[name] is None else round(100 * one[name], 2) for one in measures]

    return {
        "x": {"label": gettext("day"), "values": [noon(one["name"]) for one in days], "scale": "day"},
        "y": {"label": gettext("pairs ordered alike, %"), "scale": "linear", "unit": "%"},
        "series": [
            {
                "label": gettext("agreement"),
                "role": "main",
                "values": shares("value"),
                "low": shares("low"),
                "high": shares("high"),
            }
        ],
        "bands": [{"low": 100 * PUBLISHED[0], "high": 100 * PUBLISHED[1], "label": gettext(PUBLISHED_WORDS)}],
    }


def chart_of_pace(part: dict[str, Any]) -> dict[str, Any]:
    days = part["pace"]["days"]
    return {
        "x": {"label": gettext("day"), "values": [noon(one["day"]) for one in days], "scale": "day"},
        "y": {"label": gettext("answers"), "scale": "linear", "unit": gettext("answers a day"), "from": 0},
        "series": [{"label": gettext("a day"), "role": "main", "values": [one["num"] for one in days]}],
    }


def chart_of_hours(part: dict[str, Any]) -> dict[str, Any]:
    return {
        "x": {"label": gettext("hour of the day"), "values": [*range(24)], "scale": "linear", "every": [1, 2, 3, 6]},
        "y": {"label": gettext("answers"), "scale": "linear", "unit": gettext("answers by hour of the day"), "from": 0},
        "series": [{"label": gettext("by hour"), "role": "main", "values": part["pace"]["by_hour"]}],
    }


def noon(day: str) -> float:
    at = datetime.fromisoformat(f"{day}T12:00:00")
    return at.replace(tzinfo=timezone.get_current_timezone()).timestamp()
