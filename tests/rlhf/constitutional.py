"""What constitutional runs are made of, and one whose pairs are there and judged, without training anything."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from accounts.models import Role, User
from annotation.models import Completion
from annotation.services.completions import make_tasks
from registry.models import ArtifactKind, DatasetVersion
from registry.services.artifacts import store_folder
from registry.services.datasets import freeze_dataset, read_rows
from rlhf.models import CaiStage, ConstitutionalRun, ConstitutionalStage
from rlhf.services.constitutional.plan import Plan
from rlhf.services.constitutional.start import start_constitutional
from runs.models import Run, RunOutput, RunState
from tests.accounts.people import person
from tests.annotation.feedback import judgements_of, take
from tests.annotation.test_ai_feedback import rank_all
from tests.runs.conftest import a_model
from training.recipes.score import SETS

PRINCIPLE = {
    "id": "harm", "critique": "What harm?", "revision": "Without harm.", "comparison": "Which does less harm?", "weight": 1.0,
    "tags": ["harm"], "examples": [],
}  # fmt: skip


def prompts(name, num):
    def rows(split, count):
        return [
            {"id": f"{split}{i}", "messages": [{"role": "user", "content": f"{name} {split} {i}?"}]}
            for i in range(count)
        ]

    return freeze_dataset(
        name, kind="prompts", splits={"train": rows("train", num), "test": rows("test", 4)}, user=None
    )


def preferences(name, num, *, margin=1.0):
    def rows(split, count):
        return [
            {
                "prompt": [{"role": "user", "content": f"{name} {split} {i}?"}], "id": f"{name}{split}{i}",
                "chosen": [{"role": "assistant", "content": "yes"}], "rejected": [{"role": "assistant", "content": "no"}],
                "group_id": f"{name}{split}{i}", "prompt_id": f"{i}", "ranking_id": f"{name}{i}", "rater": "r", "margin": margin,
                "weight": 1.0, "simulated": False,
            }
            for i in range(count)
        ]  # fmt: skip

    return freeze_dataset(
        name, kind="preference", splits={"train": rows("train", num), "test": rows("test", 2)}, user=None
    )


def makings_of(admin: User) -> dict[str, Any]:
    return {
        "constitution": freeze_dataset("rules-v1", kind="constitution", splits={"train": [PRINCIPLE]}, user=None),
        "model": a_model("helper", role="sft"), "red_team": prompts("red", 60), "helpful": prompts("green", 6),
        "plan": Plan(preset="tiny", people_share=60, changes={"chains": {"critic": "rules"}, "judge": {"critic": "rules"}}),
        "user": admin,
    }  # fmt: skip


def judged_run(
    judge: Callable[..., Any], makings: dict[str, Any], *, folder: Path, rater: User | None = None
) -> ConstitutionalRun:
    """Its pairs judged by `judge`, and the blind overlap ranked by one rater who finds the good text better."""
    rater = rater or person(Role.RATER)
    new = start_constitutional("harmless", **makings, raters=[rater])
    sft = new.stages.get(stage=CaiStage.SFT).run
    RunOutput.objects.create(run=sft, artifact=a_model("harmless-sft", role="sft", run=sft.pk).artifact)
    Run.objects.filter(pk=sft.pk).update(state=RunState.SUCCEEDED)
    for prompt in new.campaign.prompts.all():
        for text in ("good", "bad"):
            Completion.objects.create(prompt=prompt, text=f"{text} {prompt.pk}")
    make_tasks(new.campaign)
    run = take(new.campaign, judgements_of(new.campaign, judge), folder)
    Run.objects.filter(pk=run.pk).update(state=RunState.SUCCEEDED, metrics={"num_pairs": 64, "flip_rate": 0.03})
    ConstitutionalStage.objects.create(constitutional=new, stage=CaiStage.JUDGE, run=run)
    rank_all(new.campaign, rater)
    return new


ANSWERED = {
    "answers_before": "Hit him. Then run.",
    "answers_sft": "Talk to him first. Then hit him.",
    "answers_policy": "Talk to him.",
}


def with_answers(new: ConstitutionalRun, said: Callable[[str, str], str] | None = None) -> ConstitutionalRun:
    """Two answers to each held-out prompt, by every model that was started: what `said` gives of the stage and the prompt's id,
    else all of a model's alike, worst before and best by the policy."""
    asked = DatasetVersion.objects.get(name=f"{new.name}-asked")
    for stage in new.stages.filter(stage__in=ANSWERED, run__output__isnull=True).select_related("run"):
        rows = [
            {"id": str(uuid.uuid5(stage.run.pk, f"{row['id']} {index}")), "prompt_id": row["id"], "index": index,
             "text": said(stage.stage, row["id"]) + " Again." * index if said else ANSWERED[stage.stage], "seed": index,
             "temperature": 1.0, "top_p": 1.0, "num_tokens": 9, "ended": True, "logprob": -1.0}
            for row in read_rows(asked, split="test") for index in range(2)
        ]  # fmt: skip
        made = freeze_dataset(stage.run.output_name, kind="completions", splits={"train": rows}, user=None)
        RunOutput.objects.create(run=stage.run, artifact=made.artifact)
        Run.objects.filter(pk=stage.run.pk).update(state=RunState.SUCCEEDED)
    return new


def with_rewards(new: ConstitutionalRun, *, folder: Path) -> ConstitutionalRun:
    """Scored as the stage of rewards would: 1 for the first answer of the model before, 2 for its second, 10 more by stage."""
    scores = new.stages.get(stage=CaiStage.SCORES).run
    rows = [
        {"input": name, "id": row["id"], "prompt_id": row["prompt_id"], "index": row["index"],
         "reward": 1.0 + row["index"] + 10 * number}
        for number, name in enumerate(ANSWERED)
        for row in read_rows(new.stages.get(stage=name).run.output.artifact.dataset, split="train")
    ]  # fmt: skip
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(rows), folder / "rows.parquet")
    sets = [
        {"input": name, "title": f"{new.name}-{stage.replace('_', '-')}"}
        for name, stage in zip(SETS, ANSWERED, strict=False)
    ]
    (folder / "report.json").write_text(json.dumps({"sets": sets}))
    metrics = {"num_prompts": 8, "reward": 1.5, "reward_low": 1.0, "reward_high": 2.0}
    told = {
        f"{one['input']}_{name}": value + 10 * number * name.startswith("reward")
        for number, one in enumerate(sets) for name, value in metrics.items()
    }  # fmt: skip
    RunOutput.objects.create(run=scores, artifact=store_folder(folder, kind=ArtifactKind.REPORT, metrics={}))
    Run.objects.filter(pk=scores.pk).update(state=RunState.SUCCEEDED, metrics=told)
    return new
