"""How far a round is, read from its runs: what ran, what waits for whom, and whether a policy is better."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import prefetch_related_objects
from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext

from registry.models import ModelVersion
from rlhf.models import Round, RoundState, Stage
from runs.models import Run, RunState
from runs.reports import Figure, figures_of, stats_of

EVALUATION_OF = {Stage.DPO: Stage.EVALUATE_DPO, Stage.PPO: Stage.EVALUATE_PPO}


@dataclass(frozen=True, slots=True)
class PolicyStatus:
    stage: str
    label: str | Promise
    model: ModelVersion | None
    evaluation: Run | None
    kl: float | None  # nats a completion
    figures: tuple[Figure, ...]
    stats: tuple[tuple[str, str, str], ...]  # win rate and KL with interval and n


@dataclass(frozen=True, slots=True)
class RoundStatus:
    """`words` is the one line that a person reads; `is_waiting` says that it is her turn."""

    words: str
    is_waiting: bool
    is_running: bool
    stages: tuple[tuple[str | Promise, Run], ...]
    policies: tuple[PolicyStatus, ...]


def status_of(turn: Round) -> RoundStatus:
    return statuses_of([turn])[0]


def statuses_of(turns: Sequence[Round]) -> list[RoundStatus]:
    """In the order of `turns`; as many queries for a list of rounds as for one."""
    prefetch_related_objects(list(turns), "stages__run")
    runs = [entry.run_id for turn in turns for entry in turn.stages.all()]
    made = {model.run: model for model in ModelVersion.objects.filter(run__in=runs)}
    return [one_status(turn, made) for turn in turns]


def one_status(turn: Round, made: Mapping[uuid.UUID | None, ModelVersion]) -> RoundStatus:
    runs = {Stage(entry.stage): entry.run for entry in turn.stages.all()}
    policies = tuple(policy_status(stage, runs, made) for stage in EVALUATION_OF if stage in runs)
    words, is_waiting, is_running = in_words(turn, list(runs.values()))
    return RoundStatus(
        words=words,
        is_waiting=is_waiting,
        is_running=is_running,
        stages=tuple((stage.label, run) for stage, run in runs.items()),
        policies=policies,
    )


def in_words(turn: Round, runs: list[Run]) -> tuple[str, bool, bool]:
    if turn.state == RoundState.PROMOTED and turn.promoted is not None:
        return gettext("%(model)s was promoted") % {"model": turn.promoted.name}, False, False
    if turn.state == RoundState.DECLINED:
        return gettext("Declined: the current model stays"), False, False
    going = [run for run in runs if not run.has_ended]
    if going:
        running = next((run for run in going if run.state == RunState.RUNNING), None)
        if running is not None:
            return gettext("%(run)s is running") % {"run": running.title}, False, True
        waiting = ngettext("%(num)s run waits for a worker", "%(num)s runs wait for a worker", len(going))
        return waiting % {"num": len(going)}, False, True
    failed = [run for run in runs if run.state != RunState.SUCCEEDED]
    if failed:
        told = ngettext(
            "%(failed)s of %(num)s run did not succeed: resume it, or decide without it",
            "%(failed)s of %(num)s runs did not succeed: resume them, or decide without them",
            len(runs),
        )
        return told % {"failed": len(failed), "num": len(runs)}, True, False
    return gettext("All runs are done: promote a policy, or decline"), True, False


def policy_status(
    stage: Stage, runs: Mapping[Stage, Run], made: Mapping[uuid.UUID | None, ModelVersion]
) -> PolicyStatus:
    evaluation = runs.get(EVALUATION_OF[stage])
    metrics: dict[str, Any] = evaluation.metrics if evaluation is not None else {}
    return PolicyStatus(
        stage=stage.value,
        label=stage.label,
        model=made.get(runs[stage].pk),
        evaluation=evaluation,
        kl=metrics.get("kl"),
        figures=figures_of(metrics),
        stats=stats_of(metrics),
    )
