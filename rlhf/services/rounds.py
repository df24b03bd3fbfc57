"""One turn of the loop: starts its runs in their order, says how far they are, and carries out a person's decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext, override

from accounts.errors import Conflict, UserError
from accounts.hints import hint
from accounts.models import User
from annotation.models import Campaign
from audit.services import record
from registry.models import Alias, Artifact, DatasetKind, DatasetVersion, ModelRole, ModelVersion
from registry.objections import objection_to
from registry.services.models import move_alias
from rlhf.models import Round, RoundRun, RoundState, Stage
from runs.models import Run
from runs.services.start import start_run
from training.recipes import RECIPES

CURRENT = "sft/current"

METHOD_OF: dict[str, str] = {
    Stage.REWARD: "reward",
    Stage.DPO: "dpo",
    Stage.PPO: "ppo",
    Stage.EVALUATE_DPO: "evaluate",
    Stage.EVALUATE_PPO: "evaluate",
}


class BadRound(UserError):
    """The things given don't make a round together."""

    code = "bad_round"


def start_round(
    campaign: Campaign,
    *,
    model: ModelVersion,
    preferences: DatasetVersion,
    prompts: DatasetVersion,
    user: User | None,
    preset: str = "demo",
    changes: Mapping[str, dict[str, Any]] | None = None,
) -> Round:
    """Queues a reward model, DPO, PPO on that reward model, and a comparison of each policy with `model`.

    PPO trains on the train split of `prompts`; the comparisons are made on its held-out split. `changes` alters
    the preset's recipe by stage. All is queued in one transaction. Raises `BadRound`, and what `start_run` raises.
    """
    check(model=model, preferences=preferences, prompts=prompts, preset=preset)
    with transaction.atomic():
        Campaign.objects.select_for_update().get(pk=campaign.pk)  # numbers are given one after the other
        number = 1 + (campaign.rounds.aggregate(last=models.Max("number"))["last"] or 0)
        new = Round.objects.create(
            campaign=campaign, number=number, model=model, preferences=preferences, prompts=prompts, created_by=user
        )
        start_stages(new, user=user, preset=preset, changes=changes or {})
        record("round.started", actor=user, target=new, campaign=campaign.slug, number=number, preset=preset)
        hint(f"campaign:{campaign.pk}")
    return new


def check(*, model: ModelVersion, preferences: DatasetVersion, prompts: DatasetVersion, preset: str) -> None:
    if model.role not in (ModelRole.SFT, ModelRole.POLICY):
        raise BadRound(
            gettext("%(name)s is a %(role)s; a round starts from an SFT model or a policy.")
            % {"name": model.name, "role": model.get_role_display()}
        )
    if preferences.kind != DatasetKind.PREFERENCE:
        raise BadRound(
            gettext("%(name)s holds %(kind)s, not preferences.") % {"name": preferences.name, "kind": preferences.kind}
        )
    if prompts.kind != DatasetKind.PROMPTS or not prompts.splits.get("test"):
        raise BadRound(gettext("%(name)s has no held-out prompts to compare the policies on.") % {"name": prompts.name})
    if preset not in RECIPES["dpo"].presets:
        raise BadRound(
            gettext("There is no preset called %(preset)s; there are %(known)s.")
            % {"preset": preset, "known": ", ".join(RECIPES["dpo"].presets)}
        )


def start_stages(new: Round, *, user: User | None, preset: str, changes: Mapping[str, dict[str, Any]]) -> None:
    stem = f"{new.campaign.slug}-r{new.number}"

    def start(stage: Stage, **inputs: Artifact | Run) -> Run:
        method = METHOD_OF[stage]
        recipe = {**RECIPES[method].presets[preset], **defaults(stage), **changes.get(stage, {})}
        is_report = method == "evaluate"
        run = start_run(
            method,
            recipe=recipe,
            inputs=inputs,
            user=user,
            preset=preset,
            title=title_of(new, stage),
            output_name="" if is_report else f"{stem}-{stage.value}",
            context={"round": str(new.pk), "campaign": str(new.campaign_id)},
        )
        RoundRun.objects.create(round=new, stage=stage, run=run)
        return run

    def defaults(stage: Stage) -> dict[str, Any]:
        # Simulated raters judge by a stated utility, so the comparison can say by how much that very utility rose.
        simulated = METHOD_OF[stage] == "evaluate" and new.preferences.is_simulated
        return {"utility": "brief"} if simulated else {}

    model, preferences, prompts = new.model.artifact, new.preferences.artifact, new.prompts.artifact
    reward = start(Stage.REWARD, model=model, preferences=preferences)
    dpo = start(Stage.DPO, model=model, preferences=preferences)
    ppo = start(Stage.PPO, model=model, reward=reward, prompts=prompts)
    start(Stage.EVALUATE_DPO, policy=dpo, reference=model, prompts=prompts, reward=reward)
    start(Stage.EVALUATE_PPO, policy=ppo, reference=model, prompts=prompts, reward=reward)


def title_of(turn: Round, stage: Stage) -> str:
    """What the run is called for good, so in one language, whoever starts it."""
    with override(settings.LANGUAGE_CODE):
        return f"{stage.label} for {turn.campaign.name}, round {turn.number}"


def promote(
    turn: Round, *, model: ModelVersion, user: User, expected: ModelVersion | None, despite_alarm: bool = False
) -> Alias:
    """Makes one of the round's policies the current model; `expected` is what the person saw as the current one.

    Raises `Conflict` where the round was decided or the alias moved meanwhile, `BadRound` for a model of elsewhere, and
    `RewardHacking` where people prefer the model that the round started from, unless `despite_alarm`.
    """
    if model.pk not in {policy.pk for policy in policies_of(turn)}:
        raise BadRound(gettext("%(name)s is no policy of this round.") % {"name": model.name})
    with transaction.atomic():
        decide(turn, to=RoundState.PROMOTED, user=user, promoted=model)
        alias = move_alias(CURRENT, model=model, user=user, expected=expected, despite_objection=despite_alarm)
        against = {"despite_alarm": True} if objection_to(model) else {}
        record("round.promoted", actor=user, target=turn, model=model.name, **against)
    return alias


def decline(turn: Round, *, user: User) -> None:
    """Closes the round without a new current model. Raises `Conflict` where it was decided already."""
    with transaction.atomic():
        decide(turn, to=RoundState.DECLINED, user=user, promoted=None)
        record("round.declined", actor=user, target=turn)


def decide(turn: Round, *, to: RoundState, user: User, promoted: ModelVersion | None) -> None:
    changed = Round.objects.filter(pk=turn.pk, state=RoundState.OPEN).update(
        state=to, promoted=promoted, decided_by=user, decided_at=timezone.now()
    )
    if changed != 1:
        raise Conflict(gettext("This round has been decided already."), code="already_decided")
    hint(f"campaign:{turn.campaign_id}")


def policies_of(turn: Round) -> list[ModelVersion]:
    runs = [stage.run_id for stage in turn.stages.all() if stage.stage in (Stage.DPO, Stage.PPO)]
    return list(ModelVersion.objects.filter(run__in=runs, role=ModelRole.POLICY).order_by("created_at", "pk"))
