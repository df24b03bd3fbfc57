"""How far a constitutional run is, read from its runs: what ran, what waits for whom, and what its gate says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import prefetch_related_objects
from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext

from annotation.models import Ranking, RankingTask, Slot, TaskKind
from rlhf.models import CaiStage, CaiState, ConstitutionalRun
from runs.models import Run, RunState


@dataclass(frozen=True, slots=True)
class StageStatus:
    """`run` is None while the stage waits for those before it, or for the gate."""

    stage: CaiStage
    label: str | Promise
    run: Run | None


@dataclass(frozen=True, slots=True)
class Overlap:
    """How many tasks of the blind overlap people have ranked."""

    ranked: int
    num: int


@dataclass(frozen=True, slots=True)
class CaiStatus:
    """`words` is the one line that a person reads; `is_at_gate`: somebody may decide; `is_waiting`: it is her turn."""

    words: str
    is_at_gate: bool
    is_waiting: bool
    is_running: bool
    before: tuple[StageStatus, ...]
    behind: tuple[StageStatus, ...]


BEHIND = (CaiStage.REWARD, CaiStage.POLICY, CaiStage.ANSWERS_POLICY, CaiStage.COMPARE, CaiStage.SCORES)


def status_of(new: ConstitutionalRun) -> CaiStatus:
    return statuses_of([new])[0]


def statuses_of(some: Sequence[ConstitutionalRun]) -> list[CaiStatus]:
    """In the order of `some`; as many queries for a list of them as for one."""
    prefetch_related_objects(list(some), "stages__run")
    return [one_status(new) for new in some]


def one_status(new: ConstitutionalRun) -> CaiStatus:
    runs = {CaiStage(entry.stage): entry.run for entry in new.stages.all()}
    stages = [StageStatus(stage, stage.label, runs.get(stage)) for stage in CaiStage]
    judge = runs.get(CaiStage.JUDGE)
    is_at_gate = new.state == CaiState.FEEDBACK and judge is not None and judge.state == RunState.SUCCEEDED
    words, is_waiting = in_words(new, runs, is_at_gate=is_at_gate)
    return CaiStatus(
        words, is_at_gate, is_waiting, any(not run.has_ended for run in runs.values()),
        before=tuple(one for one in stages if one.stage not in BEHIND),
        behind=tuple(one for one in stages if one.stage in BEHIND),
    )  # fmt: skip


def in_words(new: ConstitutionalRun, runs: dict[CaiStage, Run], *, is_at_gate: bool) -> tuple[str, bool]:
    """The line, and whether a person's decision is what it waits for."""
    if new.state == CaiState.CLOSED:
        return gettext("Closed at the gate: nothing was learned from the feedback"), False
    failed = [run for run in runs.values() if run.state in (RunState.FAILED, RunState.CANCELLED)]
    if failed:
        told = ngettext(
            "%(failed)s of %(num)s run did not succeed: resume it",
            "%(failed)s of %(num)s runs did not succeed: resume them",
            len(runs),
        )
        return told % {"failed": len(failed), "num": len(runs)}, True
    if is_at_gate:
        overlap = overlap_of(new)
        told = gettext("At the gate: people have ranked %(ranked)s of %(num)s pairs")
        return told % {"ranked": overlap.ranked, "num": overlap.num}, overlap.ranked >= overlap.num
    running = next((run for run in runs.values() if run.state == RunState.RUNNING), None)
    if running is not None:
        return gettext("%(run)s is running") % {"run": running.title}, False
    going = sum(not run.has_ended for run in runs.values())
    if going:
        waiting = ngettext("%(num)s run waits for a worker", "%(num)s runs wait for a worker", going)
        return waiting % {"num": going}, False
    if new.state == CaiState.LEARNING:
        return gettext("Done: read what it changed"), False
    return gettext("The pairs are about to be judged"), False


def overlap_of(new: ConstitutionalRun) -> Overlap:
    """Of the tasks that people were given: the blind overlap, held-out ones, and those that were sent to them later."""
    given = RankingTask.objects.filter(campaign=new.campaign, kind=TaskKind.WORK, pk__in=Slot.objects.values("task"))
    ranked = Ranking.objects.filter(task__in=given, is_live=True).values("task").distinct().count()
    return Overlap(ranked, given.count())
