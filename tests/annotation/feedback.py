"""AI feedback for tests: what a run of `judge` leaves behind, taken in by the service that takes in a run's."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from django.db import transaction
from django.utils import timezone

from annotation.models import Campaign, RankingTask, TaskKind
from annotation.services.ai_judgements import JUDGEMENTS, take_judgements
from registry.models import ArtifactKind, DatasetVersion
from registry.services.artifacts import store_folder
from registry.services.datasets import freeze_dataset
from runs.models import Run, RunInput

Judge = Callable[[str, str], float]
"""P(the first text is better)."""


def a_prompts_dataset() -> DatasetVersion:
    """Stands where a constitution would: what its rows say is no matter here."""
    rows = [{"id": "1", "messages": [{"role": "user", "content": uuid.uuid4().hex}]}]
    return freeze_dataset(f"rules-{uuid.uuid4().hex[:8]}", kind="prompts", splits={"train": rows}, user=None)


def a_judge_run() -> Run:
    run = Run.objects.create(
        method="judge", title="AI feedback", recipe={"critic": "rules"}, queued_at=timezone.now(), created_by=None
    )
    RunInput.objects.create(run=run, name="constitution", artifact=a_prompts_dataset().artifact)
    return run


def judgements_of(
    campaign: Campaign, judge: Judge, *, principle: str = "harm", band: float = 0.02
) -> list[dict[str, Any]]:
    rows = []
    for task in RankingTask.objects.filter(campaign=campaign, kind=TaskKind.WORK).order_by("created_at", "pk"):
        texts = [entry.completion for entry in task.entries.select_related("completion").order_by("index")]
        for i, first in enumerate(texts):
            for second in texts[i + 1 :]:
                p = judge(first.text, second.text)
                rows.append({
                    "prompt_id": str(task.prompt_id), "first": str(first.pk), "second": str(second.pk), "principle": principle,
                    "prompt_sha256": "0" * 64, "ab": p, "ba": p, "p": p, "flipped": False, "abstained": abs(p - 0.5) < band,
                    "thought_ab": "", "thought_ba": "",
                })  # fmt: skip
    return rows


def take(campaign: Campaign, rows: list[dict[str, Any]], tmp_path, *, run: Run | None = None) -> Run:
    run = run or a_judge_run()
    folder = tmp_path / uuid.uuid4().hex
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(rows), folder / JUDGEMENTS)
    artifact = store_folder(folder, kind=ArtifactKind.REPORT, metrics={})
    with transaction.atomic():
        take_judgements(campaign, run=run, artifact=artifact)
    return run
