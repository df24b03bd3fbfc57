"""What a model says of the windows of texts, made into one decision a text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.mechanics.tasks import answers
from training.mechanics.tasks.bio import spans_of
from training.mechanics.tasks.heads import TaskRule
from training.mechanics.tasks.reading import Example, Said, text_offsets
from training.mechanics.tasks.rows import Row, Span


@dataclass(frozen=True, slots=True)
class Decision:
    """A label with its probability, the entities of a text, or an answer, which is empty for none."""

    label: str = ""
    probability: float = 0.0
    spans: tuple[Span, ...] = ()
    answer: str = ""


def decide(rows: Sequence[Row], examples: Sequence[Example], said: Sequence[Said], *, rule: TaskRule) -> list[Decision]:
    """One a row, in their order; each row has an example."""
    of_row: dict[int, list[tuple[Example, Said]]] = defaultdict(list)
    for example, one in zip(examples, said, strict=True):
        of_row[example.window.row].append((example, one))
    return [decision(row, of_row[i], rule=rule) for i, row in enumerate(rows)]


def decision(row: Row, pairs: Sequence[tuple[Example, Said]], *, rule: TaskRule) -> Decision:
    match rule.task:
        case "classification":
            logs = np.asarray(pairs[0][1]["logs"])
            best = int(logs.argmax())
            return Decision(label=rule.names[best], probability=float(np.exp(logs[best])))
        case "entities":
            tags = [rule.names[tag] for tag in best_read(pairs)]
            return Decision(spans=spans_of(tags, text_offsets([example.window for example, _ in pairs])))
        case "answers":
            return Decision(answer=answers.choose(row.text, [one for _, one in pairs], has_none=rule.has_none))


def best_read(pairs: Sequence[tuple[Example, Said]]) -> list[int]:
    """Of each token of a text the tag by the window in which it stands farthest from an edge: there most is read around it."""
    best: dict[int, tuple[int, int]] = {}
    for example, one in pairs:
        window = example.window
        for place, tag in enumerate(one["tags"]):
            from_edge = min(place, len(window.offsets) - 1 - place)
            token = window.first + place
            if token not in best or from_edge > best[token][0]:
                best[token] = (from_edge, tag)
    return [best[token][1] for token in sorted(best)]
