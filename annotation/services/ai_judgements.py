"""AI feedback of a campaign: asked of a feedback model, and taken in as rankings that are marked, beside those of people."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow.parquet as pq
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext

from accounts.errors import Conflict, UserError
from accounts.hints import hint
from accounts.models import Role, User
from annotation.models import AIPreference, Campaign, Prompt, Ranking, RankingTask, TaskCompletion, TaskKind
from annotation.services.completions import BATCH, by_split, in_batches
from audit.services import record
from registry.models import Artifact, DatasetKind, DatasetVersion, ModelVersion
from registry.services.datasets import freeze_dataset
from runs.models import Priority, Run, RunState
from runs.services.start import check_recipe, start_run

JUDGEMENTS = "judgements.parquet"
SAME = 1e-9  # sums of probabilities no further apart are tied


class NothingToJudge(Conflict):
    code = "nothing_to_judge"


class JudgementsUnderWay(Conflict):
    code = "judgements_under_way"


class BadJudgements(UserError):
    code = "bad_judgements"


# Asking


def request_judgements(
    campaign: Campaign,
    *,
    constitution: DatasetVersion,
    model: ModelVersion | None,
    user: User | None,
    recipe: dict[str, Any],
    preset: str = "",
    priority: int = Priority.PEOPLE_WAIT,
) -> Run:
    """Starts `judge` on every task of work. No `model` where the recipe's critic is none of ours.

    Raises `NothingToJudge`, `JudgementsUnderWay`, and what `start_run` does.
    """
    check_recipe("judge", recipe, preset=preset)
    with transaction.atomic():
        Campaign.objects.select_for_update().get(pk=campaign.pk)  # one request at a time
        tasks = RankingTask.objects.filter(campaign=campaign, kind=TaskKind.WORK)
        if not tasks.exists():
            raise NothingToJudge(gettext("%(name)s has no task to judge yet.") % {"name": campaign.name})
        going = Run.objects.filter(
            method="judge", context__campaign=str(campaign.pk), state__in=[RunState.QUEUED, RunState.RUNNING]
        )
        if going.exists():
            raise JudgementsUnderWay(
                gettext("A feedback model is judging this campaign now. Wait for that run, or cancel it.")
            )
        inputs: dict[str, Artifact | Run] = {
            "constitution": constitution.artifact,
            **{name: made.artifact for name, made in frozen(campaign, tasks, user=user).items()},
        }
        if model is not None:
            inputs["model"] = model.artifact
        return start_run(
            "judge", recipe=recipe, preset=preset, inputs=inputs, user=user, title=f"AI feedback for {campaign.name}",
            priority=priority, context={"campaign": str(campaign.pk)},
        )  # fmt: skip


def frozen(campaign: Campaign, tasks: QuerySet[RankingTask], *, user: User | None) -> dict[str, DatasetVersion]:
    """Prompts and texts of the tasks, as a run takes them."""
    stem, query = f"{campaign.slug[:80]}", {"campaign": campaign.slug, "campaign_name": campaign.name}
    mark = uuid.uuid4().hex[:8]
    prompts = Prompt.objects.filter(tasks__in=tasks).distinct().order_by("created_at", "pk")
    told = f" of the campaign “{campaign.name}” that a feedback model was asked about."
    return {
        "prompts": freeze_dataset(
            f"{stem}-judged-prompts-{mark}", kind=DatasetKind.PROMPTS, splits=by_split(prompts), user=user, query=query,
            card=f"Prompts{told}",
        ),
        "completions": freeze_dataset(
            f"{stem}-judged-texts-{mark}", kind=DatasetKind.COMPLETIONS,
            splits={split: text_rows(tasks, split=split) for split in ("train", "test")}, user=user, query=query,
            card=f"Texts{told}",
        ),
    }  # fmt: skip


def text_rows(tasks: QuerySet[RankingTask], *, split: str) -> Iterator[dict[str, Any]]:
    entries = TaskCompletion.objects.filter(task__in=tasks.filter(prompt__split=split)).select_related("completion")
    for entry in entries.order_by("task__created_at", "task", "index").iterator(chunk_size=BATCH):
        text, sampling = entry.completion, entry.completion.sampling
        yield {
            "id": str(text.pk), "prompt_id": str(text.prompt_id), "index": entry.index, "text": text.text,
            "seed": sampling.get("seed", 0), "temperature": float(sampling.get("temperature", 0.0)),
            "top_p": float(sampling.get("top_p", 1.0)), "num_tokens": sampling.get("num_tokens", 0),
            "ended": bool(sampling.get("ended", True)), "logprob": float(sampling.get("logprob") or 0.0),
        }  # fmt: skip


# Taking in


def take_judgements(campaign: Campaign, *, run: Run, artifact: Artifact) -> int:
    """Stores what a run of `judge` said, as one ranking a task, within the caller's transaction; says how many.

    A run that is published twice adds nothing the second time; a newer run's ranking supersedes that of the same feedback
    model. Pairs of texts that stand in no task of the campaign are left out. Raises `BadJudgements`.
    """
    rows = pq.read_table(artifact.folder / JUDGEMENTS).to_pylist()
    given = {one.name: one.artifact for one in run.inputs.select_related("artifact")}
    model = ModelVersion.objects.filter(artifact=given["model"]).first() if given.get("model") else None
    constitution = DatasetVersion.objects.get(artifact=given["constitution"])
    critic = run.recipe["critic"]
    rater = ai_rater(critic, model=model, recipe=run.recipe)
    told = {"run": run, "critic": critic, "model": model, "constitution": constitution}
    made = 0
    for some in in_batches(by_task(campaign, rows).items(), BATCH):
        made += store(some, rater=rater, run=run, told=told)
    record("campaign.ai_judged", actor=run.created_by, target=campaign, run=str(run.pk), rater=rater.username, num=made)
    hint(f"campaign:{campaign.pk}")
    return made


def ai_rater(critic: str, *, model: ModelVersion | None, recipe: Mapping[str, Any]) -> User:
    """The rater in whose name a feedback model ranks: one a model, an endpoint's model, or the rules."""
    name = model.name if model is not None else ""
    if critic == "endpoint":
        name = str(recipe["endpoint"]["model"])
    found, _ = User.objects.get_or_create(
        username=f"ai:{critic}" + (f":{name}" if name else ""),
        defaults={"role": Role.RATER, "is_active": False, "is_ai": True, "password": "!"},
    )
    return found


def by_task(campaign: Campaign, rows: Iterable[dict[str, Any]]) -> dict[uuid.UUID, list[dict[str, Any]]]:
    entries = TaskCompletion.objects.filter(task__campaign=campaign, task__kind=TaskKind.WORK)
    task_of = {str(completion): task for completion, task in entries.values_list("completion", "task")}
    found: defaultdict[uuid.UUID, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        task = task_of.get(row["first"])
        if task is not None and task == task_of.get(row["second"]):
            found[task].append(row)
    return found


def store(
    some: Iterable[tuple[uuid.UUID, list[dict[str, Any]]]], *, rater: User, run: Run, told: dict[str, Any]
) -> int:
    rows = dict(some)
    known = set(Ranking.with_ai.filter(rater=rater, task__in=rows, preferences__run=run).values_list("task", flat=True))
    new = {task: pairs for task, pairs in rows.items() if task not in known}
    before = {ranking.task_id: ranking for ranking in Ranking.with_ai.filter(rater=rater, task__in=new, is_live=True)}
    Ranking.with_ai.filter(pk__in=[ranking.pk for ranking in before.values()]).update(is_live=False)
    rankings = {
        task: Ranking(
            client_uuid=uuid.uuid5(run.pk, str(task)), task_id=task, rater=rater, is_ai=True, supersedes=before.get(task),
            **order_of(pairs),
        )
        for task, pairs in new.items()
    }  # fmt: skip
    Ranking.with_ai.bulk_create(rankings.values())
    AIPreference.objects.bulk_create(
        AIPreference(
            ranking=rankings[task], first_id=row["first"], second_id=row["second"], principle=row["principle"],
            prompt_sha256=row["prompt_sha256"], ab=row["ab"], ba=row["ba"], p=row["p"], is_flipped=row["flipped"],
            is_abstained=row["abstained"], **told,
        )
        for task, pairs in new.items()
        for row in pairs
    )  # fmt: skip
    return len(rankings)


def order_of(pairs: list[dict[str, Any]]) -> dict[str, Any]:
    """Best first by the sum of a text's chances against the others (Borda's count, of probabilities); one that was abstained
    from is an even chance. Strengths are all 1: how sure the feedback model is, its probabilities say."""
    sums: defaultdict[str, float] = defaultdict(float)
    for row in pairs:
        if not 0 <= row["p"] <= 1:
            raise BadJudgements(gettext("A judgement gives a probability of %(p)s.") % {"p": row["p"]})
        chance = 0.5 if row["abstained"] else row["p"]
        sums[row["first"]] += chance
        sums[row["second"]] += 1 - chance
    tiers: list[list[str]] = []
    last = None
    for name in sorted(sums, key=lambda name: (-sums[name], name)):
        if last is not None and last - sums[name] <= SAME:
            tiers[-1].append(name)
        else:
            tiers.append([name])
        last = sums[name]
    return {"tiers": tiers, "strengths": [1] * (len(tiers) - 1)}
