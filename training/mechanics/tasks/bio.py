"""Entities as tags of tokens (begin, inside, outside) and back, by the definition that CoNLL's script and seqeval share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from training.mechanics.tasks.rows import Span
from training.mechanics.tasks.windows import NOWHERE

OUTSIDE = "O"


def tag_names(labels: Iterable[str]) -> list[str]:
    return [OUTSIDE, *(f"{prefix}-{label}" for label in sorted(set(labels)) for prefix in "BI")]


def tags_of(spans: Sequence[Span], offsets: Sequence[tuple[int, int]]) -> list[str]:
    """The tag of each token. A token that reaches into two entities is of the earlier one."""
    found = []
    ordered = sorted(spans, key=lambda span: span.start)
    begun: set[Span] = set()
    place = 0
    for start, end in offsets:
        if (start, end) == NOWHERE:
            found.append(OUTSIDE)
            continue
        while place < len(ordered) and ordered[place].end <= start:
            place += 1
        if place == len(ordered) or ordered[place].start >= end:
            found.append(OUTSIDE)
            continue
        span = ordered[place]
        found.append(f"{'I' if span in begun else 'B'}-{span.label}")
        begun.add(span)
    return found


def entities_of(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """(label, first, last) of each entity. An I that no entity of its label stands before begins one."""
    found: list[tuple[str, int, int]] = []
    before = OUTSIDE
    for place, tag in enumerate(tags):
        prefix, _, label = tag.partition("-")
        if prefix == "I" and before.partition("-")[2] == label and before != OUTSIDE:
            found[-1] = (label, found[-1][1], place)
        elif prefix in ("B", "I"):
            found.append((label, place, place))
        before = tag
    return found


def spans_of(tags: Sequence[str], offsets: Sequence[tuple[int, int]]) -> tuple[Span, ...]:
    """Entities in characters; tokens of blanks alone neither begin nor end one."""
    told = [(tag, at) for tag, at in zip(tags, offsets, strict=True) if at != NOWHERE]
    return tuple(
        Span(told[first][1][0], told[last][1][1], label) for label, first, last in entities_of([tag for tag, _ in told])
    )
