"""The steps of a headless loop, in order. Each is kept in the database, so that a loop that was stopped goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from accounts.models import User
from annotation.models import Campaign
from annotation.services.completions import request_completions
from annotation.services.progress import campaign_progress
from annotation.services.snapshot import freeze_snapshot
from annotation.simulation import simulate_raters
from registry.models import DatasetVersion, ModelVersion
from rlhf.demo import people
from rlhf.demo import steps as demo
from rlhf.loop.scale import Scale
from rlhf.models import Round
from rlhf.services.rounds import start_round
from runs.models import Run, RunState
from runs.services.work import work_queue
from runs.words import took
from training.recipes import RECIPES

CAMPAIGN = "Everyday questions"
K = 4
SEED = 0
CONTROLS = {"shuffled": 2, "opposite": 3}  # seeds of one lot: each comparison of the one is turned round in the other


def go(scale: Scale, *, tell: Callable[[str], None]) -> dict[str, Round]:
    """Goes round the loop; the rounds by what they learned from: "people" and, at full scale, the two controls.

    Raises `RunsFailed` where a run did not succeed.
    """
    people.make_people()
    admin = User.objects.get(username="admin")
    data = demo.in_house_data(admin, num_rows=scale.num_corpus_rows)
    tell(f"{data[0].num_rows:,} passages, {data[1].num_rows:,} conversations")
    model_run = demo.in_house_models(admin, data=data, preset=scale.preset)
    work(tell)
    if scale.has_chat_model:
        model_run = demo.chat_model(admin)
        work(tell)
    model = ModelVersion.objects.get(run=model_run.pk)
    campaign = ranked_campaign(scale, model=model, admin=admin, tell=tell)
    prompts = demo.prompts_dataset(admin, num_train=scale.num_prompts, num_held_out=scale.num_held_out)
    rounds = {"people": turn(campaign, scale, model=model, prompts=prompts, admin=admin)}
    work(tell)
    for control, seed in CONTROLS.items() if scale.has_controls else ():
        rounds[control] = turn(campaign, scale, model=model, prompts=prompts, admin=admin, control=control, seed=seed)
        work(tell)
    return rounds


def ranked_campaign(scale: Scale, *, model: ModelVersion, admin: User, tell: Callable[[str], None]) -> Campaign:
    rows = demo.read_prompts("prompts.jsonl")[: scale.num_prompts]
    if scale.ranks_held_out:
        rows += [{**row, "held_out": True} for row in demo.read_prompts("held_out.jsonl")[: scale.num_held_out]]
    campaign = demo.campaign_of(CAMPAIGN, rows=rows, raters=[], user=admin, overlap=scale.overlap)
    if not campaign.tasks.exists():
        request_completions(campaign, model=model, user=admin, recipe=generate_recipe(scale))
    work(tell)
    simulate_raters(campaign, num_raters=scale.raters, seed=SEED, noise=scale.noise)
    progress = campaign_progress(campaign)
    tell(f"{progress.rankings:,} rankings of {progress.tasks:,} tasks by {scale.raters} simulated raters")
    return campaign


def generate_recipe(scale: Scale) -> dict[str, Any]:
    return {**RECIPES["generate"].presets[scale.preset], "k": K}


def turn(
    campaign: Campaign,
    scale: Scale,
    *,
    model: ModelVersion,
    prompts: DatasetVersion,
    admin: User,
    control: str = "",
    seed: int | None = None,
) -> Round:
    """Freezes the rankings, those for training shuffled by `seed`, and starts a round, or returns the one started before."""
    name = f"everyday-rankings-{control}" if control else "everyday-rankings"
    known = Round.objects.filter(preferences__name=name).first()
    if known:
        return known
    snapshot = DatasetVersion.objects.filter(name=name).first()
    preferences = snapshot or freeze_snapshot(campaign, name=name, user=admin, shuffled_seed=seed)
    return start_round(
        campaign,
        model=model,
        preferences=preferences,
        prompts=prompts,
        user=admin,
        preset=scale.preset,
        changes=scale.changes,
    )


class RunsFailed(Exception):
    """Some runs did not succeed; says which and why."""

    def __init__(self, runs: list[Run]) -> None:
        super().__init__("; ".join(f"{run.title}: {run.failure or run.get_state_display().lower()}" for run in runs))


def work(tell: Callable[[str], None]) -> None:
    """Does all queued runs in this process's own children, and says what each made and how long it took."""
    before = set(Run.objects.filter(state=RunState.SUCCEEDED).values_list("pk", flat=True))
    work_queue()
    failed = list(Run.objects.filter(state__in=[RunState.FAILED, RunState.CANCELLED]))
    if failed:
        raise RunsFailed(failed)
    for run in Run.objects.filter(state=RunState.SUCCEEDED).exclude(pk__in=before).order_by("finished_at", "pk"):
        tell(f"{run.title}: {took(run)}")
