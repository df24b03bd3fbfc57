"""The steps of a headless loop, in order. Each is kept in the database, so that a loop that was stopped goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
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
from training.recipes import RECIPES

CAMPAIGN = "Everyday questions"
K = 4
SEED = 0
SHUFFLE_SEED = 1


@dataclass(frozen=True, slots=True)
class Done:
    """One line of the table: what was done, how much of it, and the seconds that it took this time."""

    name: str
    size: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    rows: tuple[Done, ...]
    rounds: dict[str, Round]  # "people" and, at full scale, "control"


def go(scale: Scale, *, tell: Callable[[str], None]) -> Outcome:
    """Raises `RunsFailed` where a run did not succeed."""
    people.make_people()
    admin = User.objects.get(username="admin")
    rows: list[Done] = []

    def done(name: str, size: str, since: float) -> None:
        rows.append(Done(name, size, time.monotonic() - since))
        tell(f"{name}: {size} ({rows[-1].seconds:.0f} s)")

    began = time.monotonic()
    data = demo.in_house_data(admin, num_rows=scale.num_corpus_rows)
    done("Corpus and instructions", f"{data[0].num_rows:,} passages, {data[1].num_rows:,} conversations", began)

    model_run = demo.in_house_models(admin, data=data, preset=scale.preset)
    rows += work(tell)
    if scale.has_chat_model:
        model_run = demo.chat_model(admin)
        rows += work(tell)
    model = ModelVersion.objects.get(run=model_run.pk)

    prompts = demo.prompts_dataset(admin, num_train=scale.num_prompts, num_held_out=scale.num_held_out)
    campaign = demo.campaign_of(
        CAMPAIGN,
        rows=demo.read_prompts("prompts.jsonl")[: scale.num_prompts],
        raters=[],
        user=admin,
        overlap=scale.overlap,
    )
    if not campaign.tasks.exists():
        request_completions(campaign, model=model, user=admin, recipe=generate_recipe(scale))
    rows += work(tell)

    began = time.monotonic()
    simulate_raters(campaign, num_raters=scale.raters, seed=SEED, noise=scale.noise)
    progress = campaign_progress(campaign)
    done("Rankings by simulated raters", f"{progress.rankings:,} of {progress.tasks:,} tasks", began)

    rounds = {"people": turn(campaign, scale, model=model, prompts=prompts, admin=admin)}
    rows += work(tell)
    if scale.has_control:
        rounds["control"] = turn(campaign, scale, model=model, prompts=prompts, admin=admin, shuffled_seed=SHUFFLE_SEED)
        rows += work(tell)
    return Outcome(tuple(rows), rounds)


def generate_recipe(scale: Scale) -> dict[str, Any]:
    return {**RECIPES["generate"].presets[scale.preset], "k": K}


def turn(
    campaign: Campaign,
    scale: Scale,
    *,
    model: ModelVersion,
    prompts: DatasetVersion,
    admin: User,
    shuffled_seed: int | None = None,
) -> Round:
    """Freezes the rankings and starts a round on them, or returns the one that was started before."""
    name = "everyday-rankings" if shuffled_seed is None else "everyday-rankings-shuffled"
    known = Round.objects.filter(preferences__name=name).first()
    if known:
        return known
    snapshot = DatasetVersion.objects.filter(name=name).first()
    preferences = snapshot or freeze_snapshot(campaign, name=name, user=admin, shuffled_seed=shuffled_seed)
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


def work(tell: Callable[[str], None]) -> list[Done]:
    """Does all queued runs in this process's own children, and says what each made and how long it took."""
    before = set(Run.objects.filter(state=RunState.SUCCEEDED).values_list("pk", flat=True))
    work_queue()
    failed = list(Run.objects.filter(state__in=[RunState.FAILED, RunState.CANCELLED]))
    if failed:
        raise RunsFailed(failed)
    rows = []
    for run in Run.objects.filter(state=RunState.SUCCEEDED).exclude(pk__in=before).order_by("finished_at", "pk"):
        assert run.finished_at is not None and run.started_at is not None
        rows.append(Done(run.title, size_of(run), (run.finished_at - run.started_at).total_seconds()))
        tell(f"{rows[-1].name}: {rows[-1].size} ({rows[-1].seconds:.0f} s)")
    return rows


def size_of(run: Run) -> str:
    model = ModelVersion.objects.filter(run=run.pk).first()
    if model is not None:
        return f"{model.num_parameters / 1e6:.2f} M parameters" + (", adapter" if model.is_adapter else "")
    dataset = DatasetVersion.objects.filter(run=run.pk).first()
    if dataset is not None:
        return f"{dataset.num_rows:,} rows"
    sizes = {"evaluate": ("num_prompts", "prompts"), "tokenizer": ("vocab_size", "tokens")}
    name, unit = sizes.get(run.method, ("", ""))
    return f"{run.metrics[name]:,} {unit}" if name in run.metrics else ""
