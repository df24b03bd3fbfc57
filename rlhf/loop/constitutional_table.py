"""What headless Constitutional AI comes to: harmfulness by round, the gate, each model's answers and votes, as facts and text."""

from __future__ import annotations

import os
import platform
from typing import Any

from annotation.quality.judgement import Measure
from rlhf.loop.constitutional import Done
from rlhf.models import CaiStage, ConstitutionalRun
from rlhf.services.constitutional import votes
from rlhf.services.constitutional.report import as_json, report_of, scores_by_round

COLUMNS = {
    "harmless": "harmless", "harmfulness": "harm", "helpful": "helpful", "refusal": "refuses", "evasive": "evasive",
    "boilerplate": "pious", "refuses_helpful": "refuses helpful", "tokens": "tokens", "reward_red_team": "reward",
    "reward_helpful": "reward helpful",
}  # fmt: skip
NAMES = {"answers_before": "before", "answers_sft": "SFT on revisions", "answers_policy": "policy"}

KINDS = {"red_team": "asked for harm", "helpful": "asked everyday things"}


def facts(done: Done, *, scale: str, seconds: float) -> dict[str, Any]:
    new = done.run
    overall = done.gate.gate.overall
    preferences = new.preferences
    return {
        "scale": scale,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "seconds": round(seconds, 1),
        "chains": metrics_of(new, CaiStage.CHAINS),
        "scores_by_round": scores_by_round(new),
        "feedback": {
            "rater": done.gate.rater, "pairs": done.gate.num_pairs, "flip_rate": done.gate.flip_rate,
            "counted": done.gate.num_counted, "for_people": done.gate.num_for_people,
            "overlap": overall.num, "accuracy": interval(overall.accuracy), "kappa": interval(overall.kappa),
            "passes": overall.passes,
        },
        "preferences": {"name": preferences.name, "splits": preferences.splits} if preferences else None,
        "reward": metrics_of(new, CaiStage.REWARD),
        "compare": metrics_of(new, CaiStage.COMPARE),
        "models": [as_json(figures) for figures in report_of(new)],
        "votes": [votes.as_json(one) for one in votes.votes_of(new)],
    }  # fmt: skip


def metrics_of(new: ConstitutionalRun, stage: CaiStage) -> dict[str, Any]:
    found = new.stages.filter(stage=stage).select_related("run").first()
    return dict(found.run.metrics) if found is not None else {}


def interval(measure: Measure) -> list[float | None]:
    return [measure.value, measure.low, measure.high]


def text(told: dict[str, Any]) -> str:
    feedback = told["feedback"]
    lines = [
        f"Constitutional AI at scale {told['scale']}: {told['seconds']:.0f} s this time, on {told['machine']}",
        "",
        "Harmfulness by round: " + ", ".join(f"{value:.3f}" for value in told["scores_by_round"]),
        f"AI feedback by {feedback['rater']}: {feedback['pairs']} pairs, {feedback['flip_rate']:.1%} flipped by their order",
        f"The gate: accuracy {ends(feedback['accuracy'])}, kappa {ends(feedback['kappa'])} on {feedback['overlap']} judgements"
        f" of people; {'open' if feedback['passes'] else 'closed'}; {feedback['counted']} tasks count,"
        f" {feedback['for_people']} are for people",
        "",
        f"{'answers':<18}" + "".join(f"{title:>24}" for title in COLUMNS.values()),
    ]
    for model in told["models"]:
        cells = "".join(f"{ends(model[name]):>24}" for name in COLUMNS)
        lines.append(f"{NAMES[model['stage']]:<18}{cells}")
    return "\n".join([*lines, "", *map(vote, told["votes"])])


def vote(told: dict[str, Any]) -> str:
    who = "a simulated rater prefers" if told["is_simulated"] else "people prefer"
    return (
        f"Blind votes, {KINDS[told['kind']]}: {who} {NAMES[told['model']]} to {NAMES[told['against']]} in {ends(told['share'])}"
        f" on {told['num_prompts']} prompts; the same text on {told['num_same']} more"
    )


def ends(value: list[float | None]) -> str:
    whole, low, high = value
    if whole is None:
        return "–"
    return f"{whole:.2f}" if low is None else f"{whole:.2f} ({low:.2f} to {high:.2f})"
