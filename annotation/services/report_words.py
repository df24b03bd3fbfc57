"""Figures in words: a value with its interval and n, or why there is none."""

from __future__ import annotations

from annotation.quality.judgement import Measure
from annotation.services.report import Part, Report

NAMES = {
    "pairwise": "pairs ordered alike",
    "alpha": "Krippendorff's alpha of places",
    "tau_b": "Kendall's tau-b, mean",
    "w": "Kendall's W, mean",
    "majority": "agreement with the majority of the others",
}


def told(measure: Measure) -> str:
    """As `0.712 (0.690 to 0.735, n = 1,204)`."""
    if measure.value is None:
        return f"undefined: {measure.why}"
    if measure.low is None or measure.high is None:
        return f"{measure.value:.3f} (n = {measure.num:,}; {measure.why[:1].lower()}{measure.why[1:]})"
    return f"{measure.value:.3f} ({measure.low:.3f} to {measure.high:.3f}, n = {measure.num:,})"


def lines_of(report: Report) -> dict[str, str]:
    """What a terminal shows; `--json` has all of it."""
    lines = {"campaign": report.campaign}
    for who, part in (("people", report.people), ("programs", report.programs)):
        lines |= lines_of_part(who, part) if part else {who: "no rankings"}
    return lines


def lines_of_part(who: str, part: Part) -> dict[str, str]:
    lines = {who: f"{part.num_rankings:,} rankings of {part.num_tasks:,} tasks by {len(part.raters):,} raters"}
    for name, measure in part.overall.figures.items():
        lines[f"{who}, {NAMES[name]}"] = told(measure)
    for one in part.raters:
        reliability = one.reliability
        sure = (
            f"; reliability {reliability.value:.3f} ({reliability.low:.3f} to {reliability.high:.3f})"
            if reliability
            else ""
        )
        alike, gold = told(one.agreement.figures["pairwise"]), told(one.gold)
        lines[f"{who}, {one.rater}"] = f"pairs ordered alike {alike}{sure}; credit on gold {gold}"
    for model in part.models:
        lines[f"{who}, model {model.model}"] = (
            f"score {told(model.score)}; pairs won by majority {told(model.majority)}, "
            f"by Dawid and Skene {told(model.dawid_skene)}"
        )
    return lines
