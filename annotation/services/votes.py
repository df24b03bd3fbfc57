"""Votes: what a running run asks becomes tasks of a campaign, and the rankings that come in time its answers.

The run's folder is the contract (`training.questions`); raters see ordinary tasks and nothing of where they come from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext

from accounts.errors import UserError
from accounts.hints import hint
from annotation.models import (
    Assignment,
    AssignmentState,
    Campaign,
    CampaignState,
    Completion,
    Prompt,
    Ranking,
    RankingTask,
    RunQuestion,
)
from annotation.services.completions import MERGED, merged, save_tasks
from annotation.services.queues import begin_anew
from registry.services.schemas import conversation_sha256, split_of
from runs.audience import FIELD, KEY, Group
from runs.models import Run
from training import questions
from training.questions import Answer, Answers, AskedText, Question, Sheet

MOST_K = 9  # texts a task
SETTLE_S = 2.0  # after a deadline, until what was submitted just before it has been committed
VOTE_PRIORITY = 10  # a run waits for these: they go before what nobody waits for


class BadAudience(UserError):
    code = "bad_audience"


def groups() -> list[Group]:
    """Campaigns that can be asked."""
    campaigns = Campaign.objects.exclude(state=CampaignState.CLOSED).order_by("name")
    return [Group(campaign.slug, campaign.name) for campaign in campaigns]


def check(chosen: str, recipe: dict[str, Any]) -> str:
    """The key of the campaign of that slug or key. Raises `BadAudience`."""
    found = Campaign.objects.filter(slug=chosen).first()
    if found is None and chosen.isdecimal():
        found = Campaign.objects.filter(pk=int(chosen)).first()
    if found is None:
        raise BadAudience(gettext("There is no campaign called %(name)s.") % {"name": chosen}, field=FIELD)
    if found.state == CampaignState.CLOSED:
        raise BadAudience(gettext("%(name)s is closed: nobody ranks there.") % {"name": found.name}, field=FIELD)
    texts = recipe["k"] + bool(recipe["votes"].get("against_first"))
    if texts > MOST_K:
        raise BadAudience(
            gettext("People rank at most %(most)s texts at a time, not %(k)s.") % {"most": MOST_K, "k": texts},
            field="k",
        )
    return str(found.pk)


def attend(run: Run) -> None:
    """Makes tasks of the questions that stand open, and writes down what was answered."""
    sheets = questions.open_sheets(run.folder)
    if not sheets:
        return
    campaign = Campaign.objects.get(pk=run.context[KEY])
    for sheet in sheets:
        take_in(run, campaign, sheet)
        write_answers(run, sheet)


# Questions


def take_in(run: Run, campaign: Campaign, sheet: Sheet) -> int:
    """Makes a task of each question that is new; returns how many were. A question that is known is passed over."""
    ids = [UUID(question.id) for question in sheet.questions]
    known = set(RunQuestion.objects.filter(pk__in=ids).values_list("pk", flat=True))
    new = [question for question in sheet.questions if UUID(question.id) not in known]
    if not new:
        return 0
    with transaction.atomic():
        rows = [
            RunQuestion(id=UUID(each.id), run=run, campaign=campaign, number=sheet.number, deadline_at=sheet.deadline)
            for each in new
        ]
        RunQuestion.objects.bulk_create(rows)  # before any task: whoever comes second fails here, and makes none
        by_text = {UUID(each.id): completions_of(run, campaign, each, number=sheet.number) for each in new}
        groups_of = [(found[0].prompt_id, found) for found in by_text.values() if len(found) > 1]
        begin_anew(save_tasks(campaign, groups_of, priority=VOTE_PRIORITY, all_to_people=True))
        for row in rows:
            found = by_text[row.pk]
            if len(found) > 1:
                row.task = RankingTask.objects.get(completions=found[0])
        RunQuestion.objects.bulk_update(rows, ["task"])
        hint(f"campaign:{campaign.pk}")
    return len(new)


def completions_of(run: Run, campaign: Campaign, question: Question, *, number: int) -> list[Completion]:
    """The different texts of a question, stored; of one text alone nothing is, since there is nothing to rank."""
    if len({clean(one.text).strip() for one in question.completions}) < 2:
        return []
    prompt = prompt_of(campaign, question.messages)
    made = [
        Completion(
            id=UUID(one.id), prompt=prompt, text=clean(one.text), model_label=label_of(run, one),
            sampling={"index": index, "ended": one.ended, "num_tokens": len(one.ids), "rollout": number},
        )
        for index, one in enumerate(question.completions)
    ]  # fmt: skip
    Completion.objects.bulk_create(made)
    return merged(made)


def label_of(run: Run, one: AskedText) -> str:
    """Who wrote it, as statistics tell; the model that a run began from is another writer than its policy."""
    return f"{run.title[:100]}: first model" if one.is_first else run.title[:120]


def clean(text: str) -> str:
    return text.replace("\x00", "")


def prompt_of(campaign: Campaign, messages: list[dict[str, str]]) -> Prompt:
    sha256 = conversation_sha256(messages)
    prompt, _ = Prompt.objects.get_or_create(
        campaign=campaign, content_hash=sha256,
        defaults={"messages": messages, "split": split_of(sha256)},
    )  # fmt: skip
    return prompt


# Answers


def write_answers(run: Run, sheet: Sheet) -> None:
    """What was answered up to now, if it is more than what stands there."""
    path = questions.answers_path(run.folder, sheet.number)
    answers = answers_to(sheet)
    if questions.read_answers(path) != answers:
        questions.write(path, answers)


def answers_to(sheet: Sheet) -> Answers:
    """The rankings that came in time, by question; closed once the deadline is over.

    Of one that was corrected the last word in time counts: what is said later changes no answer. One that was taken back is none.
    """
    rows = RunQuestion.objects.filter(pk__in=[UUID(question.id) for question in sheet.questions])
    tasks = {str(row.pk): row.task_id for row in rows}
    asked = [task for task in tasks.values() if task is not None]
    rankings: defaultdict[UUID, list[Ranking]] = defaultdict(list)
    stands = Q(is_live=True) | Q(superseded_by__created_at__gt=sheet.deadline)
    in_time = Ranking.objects.filter(stands, task__in=asked, created_at__lte=sheet.deadline)
    for ranking in in_time.order_by("created_at", "pk"):
        rankings[ranking.task_id].append(ranking)
    open_tasks = still_open(asked)
    shown = shown_for(asked)
    return Answers(
        {
            question.id: answer_to(question, rankings[task], shown=shown, is_complete=task not in open_tasks)
            if (task := tasks[question.id])
            else all_tied(question)
            for question in sheet.questions
            if question.id in tasks
        },
        is_closed=timezone.now() > sheet.deadline + timedelta(seconds=SETTLE_S),
    )


def still_open(tasks: Sequence[UUID]) -> set[UUID]:
    """Those with a place that is free or at which somebody sits."""
    free = RankingTask.objects.filter(pk__in=tasks, slots__is_free=True).values_list("pk", flat=True)
    live = Assignment.objects.filter(task__in=tasks, state=AssignmentState.LIVE).values_list("task_id", flat=True)
    return {*free, *live}


def shown_for(tasks: Sequence[UUID]) -> dict[str, str]:
    """Completion -> the one of the same text that was shown in its place."""
    prompts = RankingTask.objects.filter(pk__in=tasks).values("prompt")
    merged_ones = Completion.objects.filter(prompt__in=prompts, sampling__has_key=MERGED)
    return {str(pk): sampling[MERGED] for pk, sampling in merged_ones.values_list("pk", "sampling")}


def answer_to(question: Question, rankings: list[Ranking], *, shown: dict[str, str], is_complete: bool) -> Answer:
    """One that cannot be ranked is no ranking; where nobody ranked, the question is complete and has none."""
    names = [one.id for one in question.completions]
    orders = [
        [[name for name in names if shown.get(name, name) in tier] for tier in ranking.shown_tiers]
        for ranking in rankings
        if not ranking.cannot_rank
    ]
    return Answer(orders, is_complete)


def all_tied(question: Question) -> Answer:
    return Answer([[[one.id for one in question.completions]]], is_complete=True)
