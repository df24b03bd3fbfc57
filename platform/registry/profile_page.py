"""A dataset's profile as its page shows it: plain values, charts, and small pictures of intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from django.template.defaultfilters import filesizeformat
from django.utils.functional import Promise
from django.utils.translation import get_language_info, gettext, gettext_lazy, ngettext

from accounts.numbers import digits, whole

WIDTH, REACH = 160, 0.6  # px; sentiment that the picture's ends stand for
AXES: dict[str, str | Promise] = {
    "gender": gettext_lazy("Gender"), "orientation": gettext_lazy("Orientation"), "religion": gettext_lazy("Religion"),
    "origin": gettext_lazy("Nationality and ethnicity"), "age": gettext_lazy("Age"), "disability": gettext_lazy("Disability"),
}  # fmt: skip
GROUPS: dict[str, str | Promise] = {
    "women": gettext_lazy("women"), "men": gettext_lazy("men"), "transgender people": gettext_lazy("transgender people"),
    "gay and bisexual people": gettext_lazy("gay and bisexual people"), "Christians": gettext_lazy("Christians"),
    "Muslims": gettext_lazy("Muslims"), "Jews": gettext_lazy("Jews"),
    "Hindus, Buddhists and Sikhs": gettext_lazy("Hindus, Buddhists and Sikhs"),
    "people without religion": gettext_lazy("people without religion"),
    "Black people and Africans": gettext_lazy("Black people and Africans"), "white people": gettext_lazy("white people"),
    "East and South Asians": gettext_lazy("East and South Asians"),
    "Arabs and people of the Middle East": gettext_lazy("Arabs and people of the Middle East"),
    "Latin Americans": gettext_lazy("Latin Americans"), "Europeans": gettext_lazy("Europeans"),
    "US Americans": gettext_lazy("US Americans"), "indigenous people": gettext_lazy("indigenous people"),
    "immigrants": gettext_lazy("immigrants"), "children and the young": gettext_lazy("children and the young"),
    "old people": gettext_lazy("old people"), "disabled people": gettext_lazy("disabled people"),
    "blind and deaf people": gettext_lazy("blind and deaf people"),
    "people with mental illness or autism": gettext_lazy("people with mental illness or autism"),
}  # fmt: skip
KINDS: dict[str, str | Promise] = {
    "insults": gettext_lazy("Insults"), "swearing": gettext_lazy("Swearing"), "violence": gettext_lazy("Violence"),
    "contempt for groups": gettext_lazy("Contempt for groups"),
}  # fmt: skip
PARTS: dict[str, str | Promise] = {
    "row": gettext_lazy("whole row"), "text": gettext_lazy("text"), "question": gettext_lazy("question"),
    "system": gettext_lazy("system"),
    "user": gettext_lazy("user"), "assistant": gettext_lazy("assistant"), "chosen": gettext_lazy("chosen"),
    "rejected": gettext_lazy("rejected"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class GroupRow:
    """`low_x`, `x`, `high_x`: places in a picture `WIDTH` wide; the interval's are None where there is none."""

    name: str
    axis: str
    words: str
    sentences: str
    rows: str
    tone: str
    interval: str
    verdict: str
    rough: str
    x: int
    low_x: int | None
    high_x: int | None


@dataclass(frozen=True, slots=True)
class Shown:
    splits: tuple[tuple[str, ...], ...]  # name, rows, words, characters, size
    lengths: tuple[tuple[str, ...], ...]  # split, part, rows, median, 5 %, 95 %, longest
    length_chart: dict[str, Any]
    turn_chart: dict[str, Any] | None
    turns: str  # where all rows have as many, so that there is nothing to draw
    languages: tuple[tuple[str, int, int, str], ...]  # name, rows, of all, in words
    repeated: str
    samples: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    overall: str
    overall_x: int
    groups: tuple[GroupRow, ...]
    not_named: str
    rough: str
    rough_kinds: tuple[tuple[str, str, str], ...]


def shown(profile: dict[str, Any]) -> Shown:
    splits = profile["splits"]
    overall = profile["sentiment"]
    turns = {count for split in splits.values() for count in split["turns"]}
    kinds = profile["rough"]["kinds"]
    return Shown(
        splits=tuple(
            (name, whole(s["rows"]), whole(s["words"]), whole(s["characters"]), filesizeformat(s["bytes"]))
            for name, s in splits.items()
        ),
        lengths=tuple(length_rows(splits)),
        length_chart=length_chart(splits),
        turn_chart=turn_chart(splits, turns) if len(turns) > 1 else None,
        turns=turns_of_each(int(next(iter(turns)))) if len(turns) == 1 else "",
        languages=tuple(languages_of(splits, total=profile["num_rows"])),
        repeated=share(profile["num_repeated"], profile["num_rows"]),
        samples=tuple(
            (s["split"], tuple((part_name(part), text) for part, text in s["parts"])) for s in profile["samples"]
        ),
        overall=tone_of(overall) if overall else "",
        overall_x=place(overall["value"]) if overall else place(0),
        groups=tuple(group_row(group, overall=overall) for group in profile["groups"]),
        not_named=gettext(", ").join(str(GROUPS.get(name, name)) for name in profile["groups_not_named"]),
        rough=share(profile["rough"]["rows"], profile["num_rows"]),
        rough_kinds=tuple(
            (str(KINDS.get(kind, kind)), whole(found["words"]), counted(found["most"])) for kind, found in kinds.items()
        ),
    )


def turns_of_each(number: int) -> str:
    words = ngettext("Each row is %(num)s text or message.", "Each row is %(num)s texts or messages.", number)
    return words % {"num": whole(number)}


def share(count: int, total: int) -> str:
    percent = digits(100 * count / total if total else 0, form=".2g" if count * 10 < total else ".0f")
    return gettext("%(count)s of %(total)s rows (%(percent)s %%)") % {
        "count": whole(count), "total": whole(total), "percent": percent
    }  # fmt: skip


def part_name(part: str) -> str:
    return str(PARTS.get(part, part))


def length_rows(splits: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        (name, part_name(part), *(whole(table[key]) for key in ("rows", "median", "low", "high", "longest")))
        for name, split in splits.items()
        for part, table in split["lengths"].items()
        if part != "text" or len(split["lengths"]) > 2  # else it is the whole of its row
    ]


def length_chart(splits: dict[str, Any]) -> dict[str, Any]:
    """Percent of the rows of a split in bins of words that grow by half an octave."""
    by_split = {name: {place["from"]: place for place in split["histogram"]} for name, split in splits.items()}
    edges = {low: place["to"] for table in by_split.values() for low, place in table.items()}
    lows = sorted(edges)
    series = [
        {
            "label": name, "role": "main" if at == 0 else "context",
            "values": [round(100 * table[low]["rows"] / splits[name]["rows"], 2) if low in table else 0 for low in lows],
        }
        for at, (name, table) in enumerate(by_split.items())
    ]  # fmt: skip
    middles = [round(math.sqrt(max(low, 0.5) * max(edges[low] - 1, 0.5)), 1) for low in lows]
    return {
        "x": {"label": gettext("words in a row"), "values": middles, "scale": "log"},
        "y": {"label": gettext("% of rows"), "scale": "linear", "from": 0, "unit": gettext("% of rows")},
        "series": series,
    }


def turn_chart(splits: dict[str, Any], turns: set[str]) -> dict[str, Any]:
    counts = sorted(turns, key=int)
    return {
        "x": {"label": gettext("turns"), "values": [int(count) for count in counts], "scale": "linear", "every": [1, 2, 5, 10]},
        "y": {"label": gettext("% of rows"), "scale": "linear", "from": 0, "unit": gettext("% of rows")},
        "series": [
            {
                "label": name, "role": "main" if at == 0 else "context",
                "values": [round(100 * split["turns"].get(count, 0) / split["rows"], 2) for count in counts],
            }
            for at, (name, split) in enumerate(splits.items())
        ],
    }  # fmt: skip


def languages_of(splits: dict[str, Any], *, total: int) -> list[tuple[str, int, int, str]]:
    found: dict[str, int] = {}
    for split in splits.values():
        for code, rows in split["languages"].items():
            found[code] = found.get(code, 0) + rows
    ordered = sorted(found.items(), key=lambda entry: (-entry[1], entry[0]))
    return [(language_name(code), rows, total, share(rows, total)) for code, rows in ordered]


def language_name(code: str) -> str:
    if code == "short":
        return gettext("too short to tell")
    if code == "other":
        return gettext("another, or no language")
    try:
        return str(get_language_info("zh-hans" if code == "zh" else code)["name_translated"])
    except KeyError:
        return code


def group_row(group: dict[str, Any], *, overall: dict[str, Any] | None) -> GroupRow:
    tone, rough = group["sentiment"], group["rough"]
    has_interval = tone["low"] is not None
    return GroupRow(
        name=str(GROUPS.get(group["name"], group["name"])),
        axis=str(AXES.get(group["axis"], group["axis"])),
        words=counted(group["words"]),
        sentences=whole(group["sentences"]),
        rows=whole(group["rows"]),
        tone=digits(tone["value"], form="+.2f"),
        interval=range_of(tone) if has_interval else "",
        verdict=verdict_of(tone, overall),
        rough=rough_of(rough, sentences=group["sentences"]),
        x=place(tone["value"]),
        low_x=place(tone["low"]) if has_interval else None,
        high_x=place(tone["high"]) if has_interval else None,
    )


def verdict_of(tone: dict[str, Any], overall: dict[str, Any] | None) -> str:
    if tone["low"] is None or overall is None:
        return gettext("too few rows")
    if tone["low"] > overall["value"]:
        return gettext("kinder than the rest")
    if tone["high"] < overall["value"]:
        return gettext("harsher than the rest")
    return gettext("no clear difference")


def rough_of(rough: dict[str, Any], *, sentences: int) -> str:
    """Where none was found, an interval would say 0 to 0; the count says more."""
    count = round(rough["value"] * sentences)
    told = {"count": whole(count), "all": whole(sentences), "percent": digits(100 * rough["value"], form=".2g")}
    if not count:
        return gettext("none of %(all)s") % told
    return gettext("%(count)s of %(all)s (%(percent)s %%)") % told


def tone_of(ratio: dict[str, Any]) -> str:
    told = digits(ratio["value"], form="+.2f")
    if ratio["low"] is None:
        return told
    return gettext("%(value)s (95 %%: %(interval)s)") % {"value": told, "interval": range_of(ratio)}


def range_of(ratio: dict[str, Any]) -> str:
    ends = {"low": digits(ratio["low"], form="+.2f"), "high": digits(ratio["high"], form="+.2f")}
    return gettext("%(low)s to %(high)s") % ends


def place(value: float) -> int:
    return round(WIDTH * (min(REACH, max(-REACH, value)) + REACH) / (2 * REACH))


def counted(words: list[list[Any]]) -> str:
    return gettext(", ").join(
        gettext("%(word)s %(count)s") % {"word": word, "count": whole(count)} for word, count in words
    )
