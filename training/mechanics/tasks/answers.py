"""Answers as spans of a text: where they are in a window, the best of a model's, and SQuAD's way to compare two.

As in BERT (Devlin et al. 2018) and SQuAD 2.0 (Rajpurkar et al. 2018): a span scores by its ends, the windows of one text
compete, and "no answer" is the score of one token that is none of the text.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from training.mechanics.tasks.rows import Row
from training.mechanics.tasks.windows import NOWHERE, Window

MOST_ENDS = 20  # of each side that are combined

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)


def target_of(row: Row, window: Window, *, null: int) -> tuple[int, int]:
    """First and last token of the first answer that lies wholly in the window; the null place where there is none."""
    for span in row.spans:
        inside = [
            place
            for place, (start, end) in enumerate(window.offsets)
            if (start, end) != NOWHERE and start < span.end and end > span.start
        ]
        if inside and window.offsets[inside[0]][0] <= span.start and window.offsets[inside[-1]][1] >= span.end:
            return window.lead + inside[0], window.lead + inside[-1]
    return null, null


def best_answers(
    ends_T2: npt.NDArray[np.float64], window: Window, *, null: int, max_answer: int
) -> dict[str, float | int]:
    """The best span of a window in characters with its score, and the score of none; `start` is -1 where there is no span."""
    text = slice(window.lead, window.lead + len(window.offsets))
    firsts, lasts = ends_T2[text, 0], ends_T2[text, 1]
    told = [place for place, at in enumerate(window.offsets) if at != NOWHERE]
    found = {"start": -1, "end": -1, "score": float("-inf"), "none": float(ends_T2[null].sum())}
    ranked = [sorted(told, key=lambda place: -side[place])[:MOST_ENDS] for side in (firsts, lasts)]
    pairs = [(first, last) for first in ranked[0] for last in ranked[1] if first <= last < first + max_answer]
    if not pairs:
        return found | {"score": -1e9}  # JSON knows no infinity
    first, last = max(pairs, key=lambda pair: firsts[pair[0]] + lasts[pair[1]])
    return found | {
        "start": window.offsets[first][0], "end": window.offsets[last][1], "score": float(firsts[first] + lasts[last]),
    }  # fmt: skip


def choose(text: str, said: Sequence[dict[str, Any]], *, has_none: bool) -> str:
    """The answer of the window that is surest of one; empty where none is likelier, and none there may be."""
    best = max(said, key=lambda one: one["score"])
    if best["start"] < 0 or (has_none and min(one["none"] for one in said) > best["score"]):
        return ""
    return text[best["start"] : best["end"]]


# SQuAD's comparison


def normalised(text: str) -> str:
    """In lower case, without punctuation and articles, with single blanks: as SQuAD's own script has it."""
    return " ".join(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split())


def exact_match(said: str, right: Sequence[str]) -> float:
    return float(any(normalised(said) == normalised(one) for one in right or [""]))


def overlap(said: str, right: Sequence[str]) -> float:
    """F1 of words, by the most similar right answer; where there is no answer, 1 for none and 0 for any."""
    return max(word_f1(normalised(said).split(), normalised(one).split()) for one in right or [""])


def word_f1(said: Sequence[str], right: Sequence[str]) -> float:
    if not said or not right:
        return float(said == right)
    shared = sum((Counter(said) & Counter(right)).values())
    return 2 * shared / (len(said) + len(right))
