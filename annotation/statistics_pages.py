"""What the pages of statistics show of a kept report, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext, gettext_noop, ngettext

from accounts.numbers import digits, whole
from annotation.figure_words import (
    AGREED,
    RELIABLE,
    Dot,
    Scale,
    as_measure,
    dot,
    scale_of_scores,
)
from annotation.quality.sentences import said
from annotation.services.reading import UNNAMED

FIGURES = (  # key, name, what it says, scale
    ("pairwise", gettext_noop("Pairs ordered alike"),
     gettext_noop("of two texts that two raters both ordered: the share ordered alike"), AGREED),
    ("majority", gettext_noop("With the majority"),
     gettext_noop("of pairs that the other raters ordered by majority: the share a rater orders alike"),
     Scale(0.0, 1.0, mark=0.5)),
    ("alpha", gettext_noop("Krippendorff's alpha"),
     gettext_noop("agreement of places beyond chance: 0 is chance, 1 is full"),
     Scale(-0.5, 1.0, mark=0.0, is_share=False)),
    ("tau_b", gettext_noop("Kendall's tau-b"),
     gettext_noop("two rankings of one task, on average: -1 reversed, 0 unrelated, 1 the same"),
     Scale(-1.0, 1.0, mark=0.0, is_share=False)),
    ("w", gettext_noop("Kendall's W"),
     gettext_noop("all rankings of one task, on average: 0 no concordance, 1 the same"),
     Scale(0.0, 1.0, is_share=False)),
)  # fmt: skip
BIASES = {
    "position": (gettext_noop("Shown first, put first"), Scale(0.3, 0.7, mark=0.5),
                 gettext_noop("Texts come in random order, so that without bias it is 50 %.")),
    "length": (gettext_noop("Longer, put first"), Scale(0.3, 0.7, mark=0.5),
               gettext_noop("Longer may be better: this is no fault by itself. A rater is flagged where she leans more than"
                            " others on the same texts.")),
    "haste": (gettext_noop("Faster than reading"), Scale(0.0, 0.2, mark=0.05),
              gettext_noop("Rankings at more than 100 characters a second; up to 5 % may have a reason, such as a text"
                           " already known.")),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rows:
    """Dots on one scale."""

    title: str
    note: str
    scale: Scale
    dots: tuple[Dot, ...]


@dataclass(frozen=True, slots=True)
class Bias:
    dot: Dot
    scale: Scale
    note: str
    flagged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """`width` in percent of the longest."""

    name: str
    num: int
    width: float


def in_words(part: dict[str, Any]) -> dict[str, Any]:
    """A part of the report as a template shows it, with its sentences in the reader's language."""
    median = part["pace"]["median_seconds"]
    return part | {"pace": part["pace"] | {"median_seconds": median | {"why": said(median["why"])}}}


def figures_of_part(part: dict[str, Any]) -> list[tuple[Dot, str, Scale]]:
    figures = part["overall"]["figures"]
    return [(dot(gettext(name), figures[key], scale=scale), gettext(says), scale) for key, name, says, scale in FIGURES]


def groups_of_part(part: dict[str, Any]) -> list[Rows]:
    """Pairwise agreement by rater, kind of prompt and version of the guideline."""
    kinds = [one | {"name": gettext(UNNAMED) if one["name"] == UNNAMED else one["name"]} for one in part["kinds"]]
    versions = [one | {"name": version_in_words(one["name"])} for one in part["guidelines"]]
    raters = [dot(one["rater"], one["agreement"]["figures"]["pairwise"], scale=AGREED) for one in part["raters"]]
    return [
        Rows(gettext("By rater"), gettext("Each with all others who ranked the same tasks, the lowest first."), AGREED,
             tuple(by_value(raters))),
        Rows(gettext("By kind of prompt"),
             gettext("As imported with the prompts; those of which nobody said one are unnamed."), AGREED,
             dots_of(kinds)),
        Rows(gettext("By version of the guideline"),
             gettext("Pairs of rankings that were both made under one version."), AGREED, dots_of(versions)),
    ]  # fmt: skip


def version_in_words(name: str) -> str:
    return gettext("none named") if name == "0" else gettext("version %(number)s") % {"number": name}


def dots_of(groups: list[dict[str, Any]]) -> tuple[Dot, ...]:
    return tuple(dot(one["name"], one["agreement"]["figures"]["pairwise"], scale=AGREED) for one in groups)


def by_value(dots: list[Dot]) -> list[Dot]:
    return sorted(dots, key=lambda one: (one.at is None, one.at or 0.0, one.name))


def seconds_of_part(part: dict[str, Any]) -> list[Bar]:
    """Active seconds per answer, in classes."""
    classes = part["pace"]["classes"]
    most = max((num for _, num in classes), default=0) or 1
    names = [
        gettext("%(low)s to %(high)s s") % {"low": low, "high": classes[at + 1][0]}
        if at + 1 < len(classes)
        else gettext("%(low)s s or more") % {"low": low}
        for at, (low, _) in enumerate(classes)
    ]
    last = max((at for at, (_, num) in enumerate(classes) if num), default=-1)
    return [
        Bar(name, num, round(100 * num / most, 2))
        for name, (_, num) in zip(names[: last + 1], classes[: last + 1], strict=True)
    ]


def biases_of_part(part: dict[str, Any]) -> list[Bias]:
    told = []
    for one in part["biases"]:
        name, scale, note = BIASES[one["kind"]]
        told.append(Bias(dot(gettext(name), one["share"], scale=scale), scale, gettext(note), tuple(one["flagged"])))
    return told


def models_of_part(part: dict[str, Any]) -> tuple[Scale, list[tuple[Dot, Dot, Dot]]]:
    """The scale of scores; score, share by majority and share by Dawid & Skene of each model."""
    scale = scale_of_scores([one["score"] for one in part["models"]])
    return scale, [
        (
            dot(one["model"], one["score"], scale=scale),
            dot(one["model"], one["majority"], scale=RELIABLE),
            dot(one["model"], one["dawid_skene"], scale=RELIABLE),
        )
        for one in part["models"]
    ]


def terms_of_part(part: dict[str, Any]) -> list[tuple[str, Dot]]:
    """What the models' scores allow for, in log odds."""
    scale = Scale(-1.0, 1.0, mark=0.0, is_share=False)
    return [
        (gettext("being shown first"), dot("position", part["position"], scale=scale)),
        (gettext("being e (2.7) times as long"), dot("length", part["length"], scale=scale)),
    ]


@dataclass(frozen=True, slots=True)
class RaterRow:
    name: str
    reliability: Dot
    agreement: Dot
    gold: Dot
    seconds: str
    num_rankings: int
    flags: tuple[str, ...]
    biases: tuple[tuple[str, str], ...]  # what, and the sentence of its finding


def raters_of_part(part: dict[str, Any]) -> dict[str, RaterRow]:
    found = {}
    for one in part["raters"]:
        findings = [(gettext(BIASES[kind][0]), one[kind]) for kind in BIASES if one[kind] is not None]
        seconds = one["seconds"]
        found[one["rater"]] = RaterRow(
            name=one["rater"],
            reliability=dot(one["rater"], as_measure(one["reliability"], num="num_comparisons"), scale=RELIABLE),
            agreement=dot(one["rater"], one["agreement"]["figures"]["pairwise"], scale=AGREED),
            gold=dot(one["rater"], one.get("gold"), scale=RELIABLE),  # a report that an older version kept has none
            seconds=seconds_in_words(seconds),
            num_rankings=one["num_rankings"],
            flags=tuple(name for name, finding in findings if finding["is_flagged"]),
            biases=tuple((name, finding_in_words(finding)) for name, finding in findings),
        )
    return found


def seconds_in_words(measure: dict[str, Any]) -> str:
    if measure["value"] is None:
        return "–"
    value = f"{measure['value']:.0f}"
    if measure["low"] is None:
        return gettext("%(value)s s") % {"value": value}
    found = {"value": value, "low": f"{measure['low']:.0f}", "high": f"{measure['high']:.0f}"}
    return gettext("%(value)s s (%(low)s to %(high)s)") % found


def finding_in_words(finding: dict[str, Any]) -> str:
    if finding["effect"] is None or finding["low"] is None:
        return said(finding["sentence"])
    effect, low, high = (f"{100 * finding[name]:.0f}" for name in ("effect", "low", "high"))
    found = ngettext(
        "%(effect)s %% (%(low)s to %(high)s %%, %(num)s ranking).",
        "%(effect)s %% (%(low)s to %(high)s %%, %(num)s rankings).",
        finding["num"],
    ) % {"effect": effect, "low": low, "high": high, "num": whole(finding["num"])}
    return f"{found} {said(finding['sentence']) if finding['adjusted'] is None else verdict(finding)}"


def verdict(finding: dict[str, Any]) -> str:
    p = {"p": digits(finding["adjusted"], form=".2g")}
    if finding["is_flagged"]:
        return gettext("Flagged: p = %(p)s, held over all raters.") % p
    return gettext("Not flagged: p = %(p)s, held over all raters.") % p
