"""Snapshots: the live rankings of a campaign, frozen as comparisons and as whole rankings."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count, groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext

from accounts.errors import UserError
from accounts.models import User
from accounts.numbers import whole
from annotation.models import (
    Adjudication,
    Assignment,
    Campaign,
    Completion,
    Membership,
    Ranking,
    RankingTask,
    TaskKind,
)
from annotation.quality.ai_gate import Gate
from annotation.services.ai_labels import facts_of, labels_of
from annotation.services.completions import in_batches
from annotation.services.snapshot_card import SETTLED, card_of, query_of
from annotation.services.snapshot_rows import Judged, Sure, pseudonym, ranking_row, row_of, shuffled, sure_pairs
from audit.services import record
from registry.models import DatasetKind, DatasetVersion, ModelVersion
from registry.services.datasets import freeze_dataset
from registry.services.schemas import AI, RANKINGS, RATER_GROUP, SPLITS

BATCH = 500
CHOSEN = (
    "pk", "task__prompt__split", "rater", "is_simulated", "assignment__state", "guideline__number", "cannot_rank", "edit",
)  # fmt: skip


class NoRankings(UserError):
    code = "no_rankings"
    status = 409


class ShuffledAlone(UserError):
    code = "shuffled_alone"


class NoComparisons(UserError):
    code = "no_comparisons"
    status = 409


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Which rankings, read once, so that those which come in meanwhile are in no part of it."""

    name: str
    campaign: Campaign
    ids: dict[str, list[uuid.UUID]]  # split -> rankings, those of a prompt together
    shuffled_seed: int | None
    groups: dict[int, str]  # of raters, by user; empty where the campaign names none
    has_ai: bool = False  # rankings of a feedback model stand beside people's

    def rankings(self, split: str) -> Iterator[Judged]:
        numbers = count()
        for some in in_batches(self.ids[split], BATCH):
            asked = Ranking.with_ai.select_related("task__prompt", "assignment", "edit", "rater")
            found = asked.prefetch_related("preferences").in_bulk(some)
            found |= settled_among(some)
            names = {name for ranking in found.values() for name in names_of(ranking)}
            texts = {str(pk): text for pk, text in Completion.objects.filter(pk__in=names).values_list("pk", "text")}
            for pk in some:
                yield self.judged(found[pk], texts=texts, split=split, number=next(numbers))

    def judged(self, ranking: Ranking, *, texts: dict[str, str], split: str, number: int) -> Judged:
        """`number` counts the rankings of the split."""
        own = {name: texts[name] for name in names_of(ranking)}
        tiers, strengths = ranking.tiers, ranking.strengths
        if self.shuffled_seed is not None and split == "train":
            tiers, strengths = shuffled(tiers, strengths, texts=own, seed=self.shuffled_seed, number=number)
        if ranking.is_ai:
            return Judged(ranking, tiers, strengths, own, ranking.rater.username)
        # What a reviewer settled is of no group: it stands in place of all rankings of its task. It is saved nowhere.
        group = "" if ranking._state.adding else self.groups.get(ranking.rater_id, "")
        return Judged(ranking, tiers, strengths, own, pseudonym(self.name, ranking.rater_id), group)

    def rows(self, split: str) -> Iterator[dict[str, Any]]:
        """Comparisons; those of a prompt weigh 1 in sum, shared equally by its rankings, and by the pairs of each."""
        for _, group in groupby(self.rankings(split), key=lambda judged: judged.group):
            told = [(judged, pairs) for judged in group if (pairs := pairs_of(judged))]
            for judged, pairs in told:
                for number, sure in enumerate(pairs):
                    yield row_of(judged, sure, number=number, weight=1 / len(told) / len(pairs))


def pairs_of(judged: Judged) -> list[Sure]:
    """A person's comparisons are as she ordered the texts, a feedback model's as sure as it said."""
    return sure_pairs(judged) if judged.ranking.is_ai else [Sure(pair) for pair in judged.pairs()]


def names_of(ranking: Ranking) -> list[str]:
    """Every text that it speaks of: those that were shown, and her own better version."""
    if ranking.is_ai:
        return [name for tier in ranking.tiers for name in tier]
    shown: list[str] = ranking.own_assignment.order
    return [*([str(ranking.edit_id)] if ranking.edit_id else []), *shown]


def freeze_snapshot(
    campaign: Campaign,
    *,
    name: str,
    user: User | None,
    shuffled_seed: int | None = None,
    feedback: User | None = None,
    gate: Gate | None = None,
) -> DatasetVersion:
    """Freezes every live ranking of work, late ones included. Prompts keep the split that follows from their content.

    Where a reviewer settled the order of a task, that order stands in place of all rankings of the task.

    With `shuffled_seed` the completions of each ranking for training change places at random: a control, from which
    nothing should be learned, judged on held-out rankings as people made them. The seeds 2n and 2n + 1 say the opposite of
    each other. With `feedback` a feedback model's labels stand beside people's comparisons, as far as the `gate` that a
    person decided by lets them through, or the gate as it is now.
    Raises `NoRankings`, `NoComparisons`, `NameTaken`, and `ShuffledAlone` where both are asked for.
    """
    if shuffled_seed is not None and feedback is not None:
        raise ShuffledAlone(
            gettext("A shuffled control is of people's rankings alone: leave out the AI rater or the seed.")
        )
    live = Ranking.objects.filter(task__campaign=campaign, task__kind=TaskKind.WORK, is_live=True)
    settled = Adjudication.objects.filter(task__campaign=campaign, is_live=True)
    ordered = live.exclude(task__in=settled.values("task")).order_by("task__prompt__content_hash", "created_at", "pk")
    told = list(ordered.values_list(*CHOSEN, "task__prompt__content_hash", "created_at"))
    told += [settled_row(one) for one in settled.select_related("task__prompt")]
    gate, labels = labels_of(campaign, feedback, gate, live=live, settled=settled)
    said = list(labels.values_list(*CHOSEN, "task__prompt__content_hash", "created_at"))
    told += said
    chosen = sorted(told, key=lambda row: (row[8], row[9], row[0]))  # those of a prompt together
    if not chosen:
        raise NoRankings(gettext("%(campaign)s has no ranking yet.") % {"campaign": campaign.name})
    ids = {split: [row[0] for row in chosen if row[1] == split] for split in SPLITS}
    snapshot = Snapshot(name, campaign, ids, shuffled_seed, groups_of(campaign), has_ai=bool(said))
    refuse_without_comparisons(snapshot, chosen)
    task = OuterRef("pk")
    tasks = RankingTask.objects.filter(
        Exists(live.filter(task=task)) | Exists(settled.filter(task=task)) | Exists(labels.filter(task=task)),
        campaign=campaign,
    )
    ai = facts_of(gate, feedback, num=len(said))
    made = freeze_dataset(
        name, kind=DatasetKind.PREFERENCE, splits={split: snapshot.rows(split) for split in SPLITS}, user=user,
        query=query_of(snapshot, chosen) | ({"ai": ai} if ai else {}), card=card_of(snapshot, chosen, ai=ai),
        parents=parents_of(tasks),
        models_used=ModelVersion.objects.filter(completions__tasks__in=tasks).distinct(),
        is_simulated=any(row[3] for row in chosen) or is_by_rules(labels),
        extra_files=lambda folder: write_rankings(snapshot, folder=folder),
    )  # fmt: skip
    record("campaign.snapshot", actor=user, target=campaign, dataset=str(made.pk), num_rankings=len(chosen))
    return made


def is_by_rules(labels: QuerySet[Ranking]) -> bool:
    """Whether a list of words, and no model, judged: that stands in for a feedback model as programs do for raters."""
    return labels.filter(preferences__critic="rules").exists()


def groups_of(campaign: Campaign) -> dict[int, str]:
    """As an admin has named them, by user; those taken out of the campaign included, for their rankings are here."""
    named = Membership.objects.filter(campaign=campaign).exclude(group="")
    return dict(named.values_list("user_id", "group"))


def refuse_without_comparisons(snapshot: Snapshot, chosen: list[Any]) -> None:
    """The first ranking that prefers one text to another ends the search."""
    if any(True for split in SPLITS for _ in snapshot.rows(split)):
        return
    cannot = sum(row[6] != "" for row in chosen)
    raise NoComparisons(
        gettext(
            "No ranking of %(campaign)s prefers one text to another yet, so there is nothing to freeze "
            "(all texts tied: %(tied)s; cannot be ranked: %(cannot)s)."
        )
        % {"campaign": snapshot.campaign.name, "tied": whole(len(chosen) - cannot), "cannot": whole(cannot)},
        num_rankings=len(chosen), num_cannot_rank=cannot,
    )  # fmt: skip


def parents_of(tasks: QuerySet[RankingTask]) -> Iterable[DatasetVersion]:
    return DatasetVersion.objects.filter(completions__tasks__in=tasks).distinct()


def settled_row(settled: Adjudication) -> tuple[Any, ...]:
    """As `CHOSEN`, and what it is sorted by."""
    prompt = settled.task.prompt
    return (
        settled.pk, prompt.split, settled.by_id, False, SETTLED, None, "", None, prompt.content_hash, settled.created_at,
    )  # fmt: skip


def settled_among(ids: list[uuid.UUID]) -> dict[uuid.UUID, Ranking]:
    """Settled orders, as rankings of the reviewers who settled them; these are saved nowhere."""
    found = (
        Adjudication.objects.filter(pk__in=ids).select_related("task__prompt", "by").prefetch_related("task__entries")
    )
    return {one.pk: as_ranking(one) for one in found}


def as_ranking(settled: Adjudication) -> Ranking:
    order = [str(entry.completion_id) for entry in settled.task.entries.all()]
    return Ranking(
        id=settled.pk, task=settled.task, rater=settled.by, tiers=settled.tiers, strengths=settled.strengths,
        unranked=settled.unranked, assignment=Assignment(task=settled.task, rater=settled.by, order=order),
    )  # fmt: skip


def write_rankings(snapshot: Snapshot, *, folder: Path) -> None:
    (folder / "rankings").mkdir()
    schema = RANKINGS.append(RATER_GROUP) if snapshot.groups else RANKINGS
    if snapshot.has_ai:
        schema = pa.schema([*schema, *AI])
    for split, ids in snapshot.ids.items():
        if not ids:
            continue
        path = folder / "rankings" / f"{split}-00000-of-00001.parquet"
        with pq.ParquetWriter(path, schema, compression="zstd") as file:
            for some in in_batches(snapshot.rankings(split), BATCH):
                rows = [ranking_row(judged) for judged in some]
                file.write_batch(pa.RecordBatch.from_pylist(rows, schema=schema))
