"""What the ranking page shows of a task, as plain values: texts under letters, and no sign of who wrote which."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.safestring import SafeString

from annotation.models import Assignment, Completion
from annotation.rendering import as_html
from annotation.services.rank import FLAGS

WHO = {"user": "Person", "assistant": "Assistant", "system": "Setting"}


@dataclass(frozen=True, slots=True)
class Turn:
    role: str
    who: str
    html: SafeString


@dataclass(frozen=True, slots=True)
class Text:
    letter: str
    html: SafeString


@dataclass(frozen=True, slots=True)
class TaskPage:
    """`line`, `reason` and `all_bad` come from the draft, so that the page without scripts shows it too."""

    assignment: uuid.UUID
    client_uuid: uuid.UUID
    turns: tuple[Turn, ...]
    texts: tuple[Text, ...]
    flags: tuple[tuple[str, str], ...]
    guideline: SafeString | None
    guideline_number: int
    lease_until: datetime
    draft_at: datetime | None
    draft: dict[str, Any]

    @property
    def letters(self) -> str:
        return "".join(text.letter for text in self.texts)

    @property
    def example(self) -> str:
        """What a typed line looks like, with this task's letters."""
        first, *rest = self.letters
        return f"{rest[0]} > {first}" if len(rest) == 1 else f"{rest[0]} > {first} = {rest[1]}"

    @property
    def line(self) -> str:
        return str(self.draft.get("line", ""))

    @property
    def reason(self) -> str:
        return str(self.draft.get("reason", ""))

    @property
    def all_bad(self) -> bool:
        return bool(self.draft.get("all_bad"))

    @property
    def draft_json(self) -> str:
        """For a script element: the characters that could end one are escaped."""
        escapes = {ord("<"): "\\u003C", ord(">"): "\\u003E", ord("&"): "\\u0026"}
        return json.dumps(self.draft).translate(escapes)


def task_page(assignment: Assignment) -> TaskPage:
    completions = Completion.objects.in_bulk([uuid.UUID(pk) for pk in assignment.order])
    texts = {str(pk): completion.text for pk, completion in completions.items()}
    guideline = assignment.guideline
    return TaskPage(
        assignment=assignment.pk,
        client_uuid=uuid.uuid4(),
        turns=tuple(
            Turn(message["role"], WHO.get(message["role"], message["role"]), as_html(message["content"]))
            for message in assignment.task.prompt.messages
        ),
        texts=tuple(Text(letter, as_html(texts[pk])) for letter, pk in assignment.letters().items()),
        flags=tuple(FLAGS.items()),
        guideline=as_html(guideline.text) if guideline else None,
        guideline_number=guideline.number if guideline else 0,
        lease_until=assignment.lease_until,
        draft_at=assignment.draft_at,
        draft=assignment.draft or {},
    )
