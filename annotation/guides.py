"""The guideline as a rater meets it: its version, whether she has read it, what has changed since, and worked examples."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.safestring import SafeString

from accounts.models import User
from annotation.differences import Change, changes
from annotation.examples import LETTERS, Example, examples_of
from annotation.models import Guideline
from annotation.rendering import as_html
from annotation.services.guidelines import last_read


@dataclass(frozen=True, slots=True)
class Worked:
    """One worked example as it is shown; `is_new` where it came after what she has read."""

    prompt: SafeString
    texts: tuple[tuple[str, SafeString], ...]  # letter, html
    order: str
    why: SafeString
    is_new: bool


@dataclass(frozen=True, slots=True)
class Guide:
    """The guideline that a ranking is made under. `read` is the newest version that she says she has read, 0 for none."""

    id: int
    number: int
    html: SafeString
    examples: tuple[Worked, ...]
    read: int
    changes: tuple[Change, ...]
    num_gone: int  # worked examples that were there when she read it

    @property
    def is_unread(self) -> bool:
        return not self.read

    @property
    def is_changed(self) -> bool:
        return 0 < self.read < self.number


def guide_of(guideline: Guideline | None, *, rater: User | None) -> Guide | None:
    """Of no rater, as somebody sees it who has read this version."""
    if guideline is None:
        return None
    before = last_read(guideline.campaign_id, rater=rater) if rater is not None else guideline
    now, then = examples_of(guideline.examples), examples_of(before.examples) if before else ()
    is_changed = before is not None and before.number < guideline.number
    return Guide(
        id=guideline.pk,
        number=guideline.number,
        html=as_html(guideline.text),
        examples=tuple(worked(one, is_new=is_changed and one not in then) for one in now),
        read=before.number if before else 0,
        changes=changes(before.text, guideline.text) if before and is_changed and before.text != guideline.text else (),
        num_gone=sum(one not in now for one in then) if is_changed else 0,
    )


def worked(example: Example, *, is_new: bool = False) -> Worked:
    texts = tuple((letter, as_html(text)) for letter, text in zip(LETTERS, example.texts, strict=False))
    return Worked(as_html(example.prompt), texts, example.order, as_html(example.why), is_new)
