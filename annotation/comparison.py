"""What the side-by-side of two texts shows, as plain values: letters, words, marks, and no sign of who wrote which."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from annotation.differences import Difference, Piece, difference
from annotation.models import Assignment, Completion
from annotation.pages import compare_url


@dataclass(frozen=True, slots=True)
class Side:
    """`name` is that of its field in the form: left or right."""

    name: str
    letter: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class ComparisonPage:
    url: str
    letters: tuple[str, ...]
    sides: tuple[Side, Side]
    difference: Difference


def comparison_page(assignment: Assignment, *, left: str, right: str, url: str = "") -> ComparisonPage:
    """Two texts of a task under the letters that its rater sees; `left` and `right` are two of those."""
    ids = assignment.letters()
    texts = Completion.objects.in_bulk([uuid.UUID(ids[left]), uuid.UUID(ids[right])])
    found = difference(*(texts[uuid.UUID(ids[letter])].text.strip("\n") for letter in (left, right)))
    return ComparisonPage(
        url=url or compare_url(assignment, campaign=assignment.task.campaign),
        letters=tuple(ids),
        sides=(Side("left", left, found.left), Side("right", right, found.right)),
        difference=found,
    )
