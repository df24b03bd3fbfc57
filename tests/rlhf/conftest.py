"""A campaign with what a round is made of, and rounds whose runs have ended without training anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from django.utils import timezone

from accounts.models import Role, User
from annotation.models import Campaign
from registry.models import DatasetVersion, ModelVersion
from rlhf.models import Round, Stage
from rlhf.services.rounds import start_round
from runs.models import Run, RunState
from tests.accounts.people import person
from tests.annotation.arrange import a_campaign
from tests.runs.conftest import a_dataset, a_model

FIGURES = {
    f"reward_{part}": value
    for part, value in {
        "reference": 0.25, "policy": 1.5, "difference": 1.25, "difference_low": 0.75, "difference_high": 1.75,
    }.items()
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Makings:
    campaign: Campaign
    model: ModelVersion
    preferences: DatasetVersion
    prompts: DatasetVersion


@pytest.fixture
def grace(db) -> User:
    return person(Role.ADMIN)


@pytest.fixture
def makings(db) -> Makings:
    return Makings(
        campaign=a_campaign(num_prompts=1),
        model=a_model("writer", role="sft"),
        preferences=a_dataset("rankings-1", kind="preference", num_rows=9, splits={"train": 6, "test": 3}),
        prompts=a_dataset("questions", kind="prompts", num_rows=9, splits={"train": 6, "test": 3}),
    )


@pytest.fixture
def start(makings, grace) -> Callable[..., Round]:
    """`start(prompts=other)` starts a round; everything else is as in `makings`."""

    def begin(**other: object) -> Round:
        given = {"model": makings.model, "preferences": makings.preferences, "prompts": makings.prompts}
        return start_round(makings.campaign, **{**given, "user": grace, "preset": "tiny", **other})

    return begin


def run_of(turn: Round, stage: str) -> Run:
    return turn.stages.get(stage=stage).run


def finish(turn: Round) -> dict[str, ModelVersion]:
    """As if all runs had succeeded; the two policies by stage."""
    for entry in turn.stages.select_related("run"):
        is_report = entry.stage in (Stage.EVALUATE_DPO, Stage.EVALUATE_PPO)
        metrics = {**FIGURES, "kl": 2.5, "num_prompts": 3} if is_report else {}
        now = timezone.now()
        Run.objects.filter(pk=entry.run_id).update(
            state=RunState.SUCCEEDED, metrics=metrics, started_at=now, finished_at=now
        )
    policies = {}
    for stage in (Stage.DPO, Stage.PPO):
        run = run_of(turn, stage)
        policies[stage.value] = a_model(run.output_name, role="policy", run=run.pk, method=stage.value)
    return policies
