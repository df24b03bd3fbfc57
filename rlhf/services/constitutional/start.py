"""Starting a constitutional run: revisions, SFT on them, pairs of its answers; feedback on those as soon as they are there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext, override

from accounts.errors import UserError
from accounts.models import User
from annotation.models import Campaign, CampaignState
from annotation.services.ai_judgements import request_judgements
from annotation.services.campaigns import create_campaign, set_state
from annotation.services.completions import request_completions
from annotation.services.prompts import add_prompts
from audit.services import record
from registry.models import Artifact, DatasetKind, DatasetVersion, ModelRole, ModelVersion
from registry.services.artifacts import kept_if_all_succeeds
from registry.services.datasets import freeze_dataset, read_rows
from registry.services.names import NameTaken
from registry.services.schemas import SPLITS
from rlhf.models import CaiStage, ConstitutionalRun, ConstitutionalStage
from rlhf.services.constitutional.plan import Plan, check_plan
from runs.models import Run
from runs.services.start import start_run
from training.recipes import RECIPES

RED_TEAM, HELPFUL = "red_team", "helpful"  # kinds of prompts, as the campaign and the report tell them apart


class BadConstitutionalRun(UserError):
    """The things given don't make a constitutional run together."""

    code = "bad_constitutional_run"


def start_constitutional(
    name: str,
    *,
    constitution: DatasetVersion,
    model: ModelVersion,
    red_team: DatasetVersion,
    helpful: DatasetVersion,
    human: DatasetVersion | None = None,
    feedback: ModelVersion | None = None,
    plan: Plan,
    raters: Iterable[User] = (),
    user: User | None,
) -> ConstitutionalRun:
    """Queues all that needs no decision of people's: until the gate. Raises `BadConstitutionalRun`, `BadPlan`, `BadCampaign`,
    `NameTaken`, and what `start_run` raises; then nothing has been started."""
    check_plan(plan)
    check(constitution=constitution, model=model, red_team=red_team, helpful=helpful, human=human)
    if ConstitutionalRun.objects.filter(name=name).exists():
        raise NameTaken(gettext("The name %(name)s is taken. Choose another.") % {"name": name}, field="name")
    with kept_if_all_succeeds() as made, transaction.atomic():
        new = ConstitutionalRun.objects.create(
            name=name, constitution=constitution, model=model, feedback=feedback, red_team=red_team, helpful=helpful,
            human=human, campaign=campaign_of(name, constitution, red_team, plan=plan, raters=raters, user=user),
            plan=plan.as_json(), created_by=user,
        )  # fmt: skip
        asked = asked_prompts(new, user=user)
        made.append(asked.artifact)
        chains = start_stage(
            new, CaiStage.CHAINS, user=user, model=model.artifact, prompts=red_team.artifact, helpful=helpful.artifact,
            constitution=constitution.artifact, **({"feedback": feedback.artifact} if feedback is not None else {}),
        )  # fmt: skip
        sft = start_stage(new, CaiStage.SFT, user=user, model=model.artifact, instructions=chains)
        pairs = request_completions(
            new.campaign, model=None, after=sft, user=user, recipe=plan.recipe(CaiStage.PAIRS) | {"k": new.campaign.k}
        )
        ConstitutionalStage.objects.create(constitutional=new, stage=CaiStage.PAIRS, run=pairs)
        start_stage(new, CaiStage.ANSWERS_BEFORE, user=user, model=model.artifact, prompts=asked.artifact)
        start_stage(new, CaiStage.ANSWERS_SFT, user=user, model=sft, prompts=asked.artifact)
        record("constitutional.started", actor=user, target=new, constitution=constitution.name, model=model.name)
    return new


def check(
    *, constitution: DatasetVersion, model: ModelVersion, red_team: DatasetVersion, helpful: DatasetVersion,
    human: DatasetVersion | None,
) -> None:  # fmt: skip
    if model.role not in (ModelRole.SFT, ModelRole.POLICY):
        raise BadConstitutionalRun(
            gettext("%(name)s is a %(role)s; a constitutional run starts from an SFT model or a policy.")
            % {"name": model.name, "role": model.get_role_display()}
        )
    wanted = [(constitution, DatasetKind.CONSTITUTION), (red_team, DatasetKind.PROMPTS), (helpful, DatasetKind.PROMPTS)]
    wanted += [(human, DatasetKind.PREFERENCE)] if human is not None else []
    for dataset, kind in wanted:
        if dataset.kind != kind:
            raise BadConstitutionalRun(
                gettext("%(name)s holds %(kind)s, not %(wanted)s.")
                % {"name": dataset.name, "kind": dataset.get_kind_display(), "wanted": kind.label}
            )
    for dataset in (red_team, helpful):
        if not dataset.splits.get("test") or not dataset.splits.get("train"):
            raise BadConstitutionalRun(
                gettext("%(name)s needs prompts to train on and held-out ones.") % {"name": dataset.name}
            )


def campaign_of(
    name: str, constitution: DatasetVersion, red_team: DatasetVersion, *, plan: Plan, raters: Iterable[User], user: User | None
) -> Campaign:  # fmt: skip
    """Where people rank the blind overlap, by the questions that the feedback model is asked."""
    with override(settings.LANGUAGE_CODE):
        title = gettext("%(name)s: which reply does less harm?") % {"name": name}
        opening = gettext("Of the two replies, which is the better one by these questions? Both are by models.")
    questions = [f"- {row['comparison']}" for row in read_rows(constitution, split="train")]
    guideline = "\n".join([opening, "", *questions])
    campaign = create_campaign(title, k=2, overlap=1, guideline=guideline, user=user, raters=raters)
    Campaign.objects.filter(pk=campaign.pk).update(people_share=plan.people_share, ai_rule=asdict(plan.rule))
    campaign.refresh_from_db()
    add_prompts(campaign, rows=prompts_in(red_team), user=user)
    return set_state(campaign, to=CampaignState.OPEN, user=user)


def prompts_in(dataset: DatasetVersion) -> Iterator[dict[str, Any]]:
    for split in SPLITS:
        for row in read_rows(dataset, split=split):
            yield {"id": row["id"], "messages": row["messages"], "kind": RED_TEAM, "held_out": split == "test"}


def asked_prompts(new: ConstitutionalRun, *, user: User | None) -> DatasetVersion:
    """What the models before and after are compared on: all that is held out."""
    return both_kinds(
        f"{new.name}-asked", new, splits=["test"], user=user,
        card=f"Held-out prompts on which the constitutional run “{new.name}” compares models.",
    )  # fmt: skip


def practised_prompts(new: ConstitutionalRun, *, user: User | None) -> DatasetVersion:
    """What a policy that is trained by a reward answers: everyday prompts, too, or nothing would hold it to helpfulness
    (as in the RL stage of Bai et al. 2022)."""
    return both_kinds(
        f"{new.name}-practised", new, splits=SPLITS, user=user,
        card=f"Prompts of both kinds that the policy of the constitutional run “{new.name}” answers while it learns.",
    )  # fmt: skip


def both_kinds(
    name: str, new: ConstitutionalRun, *, splits: Iterable[str], card: str, user: User | None
) -> DatasetVersion:
    """Prompts that ask for harm and everyday ones, each with its kind in its id."""
    sides = ((RED_TEAM, new.red_team), (HELPFUL, new.helpful))
    rows = {
        split: [
            {"id": f"{kind}/{row['id']}", "messages": row["messages"]}
            for kind, dataset in sides
            for row in read_rows(dataset, split=split)
        ]
        for split in splits
    }
    parents = [new.red_team, new.helpful]
    return freeze_dataset(name, kind=DatasetKind.PROMPTS, splits=rows, user=user, card=card, parents=parents)


def start_stage(new: ConstitutionalRun, stage: CaiStage, *, user: User | None, **inputs: Artifact | Run) -> Run:
    plan = Plan.of(new.plan)
    method = plan.method(stage)
    names_output = RECIPES[method].output != "report"
    with override(settings.LANGUAGE_CODE):
        title = f"{stage.label} for {new.name}"
    run = start_run(
        method, recipe=plan.recipe(stage), inputs=inputs, user=user, preset=plan.preset, title=title,
        output_name=f"{new.name}-{stage.value.replace('_', '-')}" if names_output else "",
        context={"constitutional": str(new.pk)},
    )  # fmt: skip
    ConstitutionalStage.objects.create(constitutional=new, stage=stage, run=run)
    return run


def ask_for_feedback(new: ConstitutionalRun) -> Run:
    """Once pairs are there: has them judged by the feedback model, else by the model that was fine-tuned on revisions."""
    plan = Plan.of(new.plan)
    recipe = plan.recipe(CaiStage.JUDGE)
    own = ModelVersion.objects.filter(run=new.stages.get(stage=CaiStage.SFT).run_id).first()
    model = (new.feedback or own) if recipe.get("critic", "model") == "model" else None
    run = request_judgements(
        new.campaign, constitution=new.constitution, model=model, user=new.created_by, recipe=recipe
    )
    ConstitutionalStage.objects.create(constitutional=new, stage=CaiStage.JUDGE, run=run)
    return run
