"""What the ranking page shows of a task, as plain values: texts under letters, and no sign of who wrote which."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_noop

from annotation.attributes import Attribute, attributes_of
from annotation.differences import Change, changes
from annotation.guides import Guide, guide_of
from annotation.models import Assignment, Campaign, CannotRank, Ranking
from annotation.rendering import as_html
from annotation.services.judge import FLAGS, as_written
from annotation.weak_order import canonical, format_order

LONGEST_ASKED = 120  # characters
WHO = {"user": gettext_noop("Person"), "assistant": gettext_noop("Assistant"), "system": gettext_noop("Setting")}


@dataclass(frozen=True, slots=True)
class Turn:
    role: str
    who: str
    html: SafeString


@dataclass(frozen=True, slots=True)
class Scale:
    """One attribute on one text; `level` is what it was rated, 0 where it was not."""

    attribute: Attribute
    level: int


@dataclass(frozen=True, slots=True)
class Text:
    """`html` is empty where the text is blank. `flags` are (name, label, whether it is set).

    `source` is as it was written, for a better version to start from; `edit` is that version, where there is one.
    """

    letter: str
    html: SafeString
    flags: tuple[tuple[str, str, bool], ...]
    scales: tuple[Scale, ...]
    source: str
    edit: str

    @property
    def changes(self) -> tuple[Change, ...]:
        return changes(as_written(self.source), as_written(self.edit)) if self.edit else ()


@dataclass(frozen=True, slots=True)
class TaskPage:
    """One task to rank, or one ranking to correct; `draft` is what stands in the form: line, all_bad, flags, reason."""

    assignment: uuid.UUID
    client_uuid: uuid.UUID
    turns: tuple[Turn, ...]
    texts: tuple[Text, ...]
    guide: Guide | None
    submit_url: str
    compare_url: str
    draft_url: str = ""  # without them, nothing is saved before it is submitted, and no lease runs
    renew_url: str = ""
    ahead_url: str = ""
    give_back_url: str = ""
    lease_seconds: int = 0
    draft_at: datetime | None = None
    draft: dict[str, Any] = field(default_factory=dict)

    difference_url: str = ""
    last_words: str = ""

    @property
    def cannot_rank(self) -> list[tuple[str, str, bool]]:
        """Why it cannot be ranked: (name, label, whether it is chosen)."""
        return [(name, str(label), name == self.draft.get("cannot_rank")) for name, label in CannotRank.choices]

    @property
    def asked(self) -> str:
        """The last words of the person: by them she knows the task again where it waits to be sent."""
        return self.last_words[:LONGEST_ASKED]

    @property
    def letters(self) -> str:
        return "".join(text.letter for text in self.texts)

    @property
    def draft_json(self) -> str:
        """For the script, as an attribute: script elements don't survive a swap."""
        return json.dumps(self.draft)

    @property
    def example(self) -> str:
        """What a typed line looks like; a task has two texts at least."""
        return "b > a" if len(self.texts) == 2 else "b > a = c"


def task_page(assignment: Assignment, *, campaign: Campaign, typed: dict[str, Any] | None = None) -> TaskPage:
    """The task on a rater's desk, as her draft has it, or with what she `typed` and was refused."""
    draft = typed or assignment.draft or {}
    return TaskPage(
        assignment=assignment.pk,
        client_uuid=uuid.uuid4(),
        turns=turns_of(assignment),
        texts=texts_of(assignment, draft=draft),
        guide=guide_of(assignment.guideline, rater=assignment.rater if assignment.rater_id else None),
        submit_url=reverse("rank_submit", args=[campaign.slug]),
        compare_url=compare_url(assignment, campaign=campaign),
        draft_url=reverse("rank_draft", args=[campaign.slug]),
        renew_url=reverse("rank_renew", args=[campaign.slug]),
        ahead_url=reverse("rank_ahead", args=[campaign.slug]),
        give_back_url=reverse("rank_give_back", args=[campaign.slug]),
        difference_url=reverse("rank_difference", args=[campaign.slug]),
        lease_seconds=seconds_left(assignment),
        draft_at=assignment.draft_at,
        draft=draft,
        last_words=assignment.task.prompt.messages[-1]["content"],
    )


def correction_page(ranking: Ranking, *, typed: dict[str, Any] | None = None) -> TaskPage:
    """A ranking of her own, to be corrected: the same texts under the same letters."""
    assignment = ranking.own_assignment
    draft = typed or as_draft(ranking)
    return TaskPage(
        assignment=assignment.pk,
        client_uuid=uuid.uuid4(),
        turns=turns_of(assignment),
        texts=texts_of(assignment, draft=draft),
        guide=guide_of(assignment.guideline, rater=assignment.rater if assignment.rater_id else None),
        submit_url=reverse("rank_correct", args=[ranking.pk]),
        difference_url=reverse("rank_difference", args=[ranking.task.campaign.slug]),
        compare_url=compare_url(assignment, campaign=ranking.task.campaign),
        draft=draft,
        last_words=assignment.task.prompt.messages[-1]["content"],
    )


def compare_url(assignment: Assignment, *, campaign: Campaign) -> str:
    return reverse("rank_compare", args=[campaign.slug, assignment.pk])


def as_draft(ranking: Ranking) -> dict[str, Any]:
    letter_of = {completion: letter for letter, completion in ranking.own_assignment.letters().items()}
    edit = ranking.edit
    return {
        "line": line_of(ranking),
        "all_bad": ranking.all_bad,
        "cannot_rank": ranking.cannot_rank,
        "flags": {letter_of[completion]: names for completion, names in ranking.flags.items()},
        "ratings": {letter_of[completion]: levels for completion, levels in ranking.ratings.items()},
        "edits": {letter_of[str(edit.parent_id)]: edit.text} if edit else {},
        "reason": ranking.reason,
    }


def line_of(ranking: Ranking) -> str:
    """The order in the letters that the rater saw; empty where there is none."""
    if ranking.cannot_rank:
        return ""
    letter_of = {completion: letter for letter, completion in ranking.own_assignment.letters().items()}
    tiers = [[letter_of[completion] for completion in tier] for tier in ranking.shown_tiers]
    unranked = [letter_of[completion] for completion in ranking.unranked]
    return format_order(canonical(tiers, ranking.shown_strengths, unranked))


def turns_of(assignment: Assignment) -> tuple[Turn, ...]:
    return tuple(
        Turn(message["role"], gettext(WHO[message["role"]]), as_html(message["content"]))
        for message in assignment.task.prompt.messages
    )


def texts_of(assignment: Assignment, *, draft: dict[str, Any]) -> tuple[Text, ...]:
    """With what `draft` says of them. A program may have written it: what is not there is left out."""
    texts = assignment.texts
    attributes = attributes_of(assignment.task.campaign.attributes)
    flags, ratings, edits = (part_of(draft, name) for name in ("flags", "ratings", "edits"))
    return tuple(
        Text(
            letter=letter,
            html=as_html(texts[pk].strip("\n")),
            flags=tuple((name, label, name in flags.get(letter, ())) for name, label in FLAGS.items()),
            scales=tuple(Scale(one, part_of(ratings, letter).get(one.name, 0)) for one in attributes),
            source=texts[pk],
            edit=str(edits.get(letter, "")),
        )
        for letter, pk in assignment.letters().items()
    )


def part_of(draft: dict[str, Any], name: str) -> dict[str, Any]:
    part = draft.get(name)
    return part if isinstance(part, dict) else {}


def seconds_left(assignment: Assignment) -> int:
    """By the server's clock: the browser's may be off by hours."""
    return max(0, round((assignment.lease_until - timezone.now()).total_seconds()))
