"""The gate of a constitutional run: how its feedback agrees with people, and the decisions that people take there."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from accounts.errors import Conflict
from accounts.models import User
from annotation.models import Ranking
from annotation.quality.ai_gate import Gate
from annotation.quality.judgement import Measure
from annotation.services.ai_gate import Sorted, gate_for, send_to_people, sort_by
from annotation.services.snapshot import freeze_snapshot
from audit.services import record
from registry.models import DatasetVersion
from registry.services.artifacts import kept_if_all_succeeds
from registry.services.mixing import Part, mix_preferences
from rlhf.models import CaiStage, CaiState, ConstitutionalRun
from rlhf.services.constitutional.gate_figures import GateFigures
from rlhf.services.constitutional.plan import Plan
from rlhf.services.constitutional.start import practised_prompts, start_stage
from runs.models import RunState


class NotJudged(Conflict):
    code = "not_judged"


class GateClosed(Conflict):
    code = "gate_closed"


class Decided(Conflict):
    code = "already_decided"


@dataclass(frozen=True, slots=True)
class AtGate:
    """Whose feedback stands at the gate, which of its tasks count, and the figures that a person decides by."""

    rater: User
    told: Sorted
    figures: GateFigures

    @property
    def gate(self) -> Gate:
        return self.figures.gate


def gate_figures(new: ConstitutionalRun) -> GateFigures:
    """As they are now, or as they were when it was decided. Raises `NotJudged` where there are none."""
    if new.state == CaiState.FEEDBACK:
        return at_gate(new).figures
    if not new.gate:
        raise NotJudged(gettext("It was closed before the feedback model had judged the pairs."))
    return GateFigures.of(new.gate)


def at_gate(new: ConstitutionalRun) -> AtGate:
    """Raises `NotJudged` while the feedback is not there."""
    stage = new.stages.filter(stage=CaiStage.JUDGE, run__state=RunState.SUCCEEDED).select_related("run").first()
    ranking = (
        Ranking.with_ai.filter(preferences__run=stage.run, is_live=True).select_related("rater").first()
        if stage
        else None
    )
    if stage is None or ranking is None:
        raise NotJudged(gettext("The feedback model has not judged the pairs yet."))
    gate = gate_for(new.campaign, rater=ranking.rater)
    told = sort_by(gate, new.campaign, rater=ranking.rater)
    metrics = stage.run.metrics
    figures = GateFigures(
        ranking.rater.username, int(metrics.get("num_pairs", 0)), float(metrics.get("flip_rate", 0.0)),
        num_counted=len(told.counted), num_for_people=len(told.for_people), gate=gate,
    )  # fmt: skip
    return AtGate(ranking.rater, told, figures)


def go_through(new: ConstitutionalRun, *, user: User | None, people_alone: bool = False) -> ConstitutionalRun:
    """Freezes what is learned, and starts the preference model, the policy, its answers, the comparison and the rewards.

    Raises `NotJudged`, `Decided`, `GateClosed` where the feedback does not agree with people enough (unless `people_alone`
    are to be learned from), and what freezing and mixing raise.
    """
    found = at_gate(new)
    if not people_alone and not found.gate.overall.passes:
        raise GateClosed(closed_because(found.gate))
    plan = Plan.of(new.plan)
    with kept_if_all_succeeds() as made, transaction.atomic():
        # One at a time: it freezes for long.
        refuse_decided(ConstitutionalRun.objects.select_for_update().get(pk=new.pk))
        feedback = None if people_alone else found.rater
        name = f"{new.name}-harmless"
        harmless = freeze_snapshot(new.campaign, name=name, user=user, feedback=feedback, gate=found.gate)
        made.append(harmless.artifact)
        learned = mixed(new, harmless, plan=plan, user=user)
        made.append(learned.artifact)
        practised = practised_prompts(new, user=user) if plan.policy == "ppo" else None
        made += [practised.artifact] if practised is not None else []
        decide(new, to=CaiState.LEARNING, user=user, by=found.figures, preferences=learned, people_alone=people_alone)
        start_learning(new, learned, practised, user=user)
        record("constitutional.through", actor=user, target=new, dataset=learned.name, people_alone=people_alone)
    return new


def mixed(new: ConstitutionalRun, harmless: DatasetVersion, *, plan: Plan, user: User | None) -> DatasetVersion:
    if new.human is None:
        return harmless
    parts = [Part(harmless, plan.ai_share), Part(new.human, 1 - plan.ai_share)]
    return mix_preferences(f"{new.name}-preferences", parts, user=user)


def start_learning(
    new: ConstitutionalRun, learned: DatasetVersion, practised: DatasetVersion | None, *, user: User | None
) -> None:
    """The policy learns from comparisons, or, with prompts to be `practised`, from the preference model's rewards."""
    runs = {stage.stage: stage.run for stage in new.stages.select_related("run")}
    start = runs[CaiStage.SFT].output.artifact
    asked = DatasetVersion.objects.get(name=f"{new.name}-asked").artifact
    reward = start_stage(new, CaiStage.REWARD, user=user, model=start, preferences=learned.artifact)
    if practised is None:
        policy = start_stage(new, CaiStage.POLICY, user=user, model=start, preferences=learned.artifact)
    else:
        policy = start_stage(new, CaiStage.POLICY, user=user, model=start, reward=reward, prompts=practised.artifact)
    answers = start_stage(new, CaiStage.ANSWERS_POLICY, user=user, model=policy, prompts=asked)
    start_stage(new, CaiStage.COMPARE, user=user, policy=policy, reference=start, prompts=asked, reward=reward)
    start_stage(
        new, CaiStage.SCORES, user=user, reward=reward, prompts=asked, completions=runs[CaiStage.ANSWERS_BEFORE],
        completions_2=runs[CaiStage.ANSWERS_SFT], completions_3=answers,
    )  # fmt: skip


def send_rest_to_people(new: ConstitutionalRun, *, user: User | None) -> int:
    """The pairs that the gate holds back, and those that the feedback model abstained from; says how many people get."""
    return send_to_people(new.campaign, at_gate(new).told.for_people, user=user)


def close(new: ConstitutionalRun, *, user: User | None) -> None:
    """Ends it at the gate, or on the way there: nothing is learned from the feedback. Raises `Decided`."""
    refuse_decided(new)
    try:
        by = at_gate(new).figures
    except NotJudged:
        by = None
    with transaction.atomic():
        decide(new, to=CaiState.CLOSED, user=user, by=by, preferences=None)
        record("constitutional.closed", actor=user, target=new)


def decide(
    new: ConstitutionalRun, *, to: CaiState, user: User | None, by: GateFigures | None, preferences: DatasetVersion | None,
    people_alone: bool = False,
) -> None:  # fmt: skip
    changed = ConstitutionalRun.objects.filter(pk=new.pk, state=CaiState.FEEDBACK).update(
        state=to, gate=by.as_json() if by else {}, preferences=preferences, people_alone=people_alone, decided_by=user,
        decided_at=timezone.now(),
    )  # fmt: skip
    new.refresh_from_db()
    if changed != 1:
        refuse_decided(new)


def refuse_decided(new: ConstitutionalRun) -> None:
    if new.state != CaiState.FEEDBACK:
        raise Decided(gettext("This was decided already."))


def closed_because(gate: Gate) -> str:
    overall, rule = gate.overall, gate.rule
    if not overall.is_enough:
        return gettext("People have judged %(num)s of the pairs that the feedback model judged; %(fewest)s are needed.") % {
            "num": overall.num, "fewest": rule.fewest,
        }  # fmt: skip
    told = gettext(
        "The feedback model agrees with people in %(accuracy)s of their judgements (kappa %(kappa)s); the lower ends have to be"
        " %(bound)s and %(least)s."
    )
    values = {"accuracy": shown(overall.accuracy), "kappa": shown(overall.kappa)}
    return told % {**values, "bound": f"{rule.accuracy:g}", "least": f"{rule.kappa:g}"}


def shown(measure: Measure) -> str:
    if measure.value is None:
        return "–"
    return (
        f"{measure.value:.2f}" if measure.low is None else f"{measure.value:.2f} ({measure.low:.2f}–{measure.high:.2f})"
    )
