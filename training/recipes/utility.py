"""The utility that simulated raters state: what they rank by, and what an evaluation then measures. Free of torch."""

from __future__ import annotations

import math
import re

TARGET_WORDS = 25
WORD = re.compile(r"\w+(?:['’]\w+)*")
SENTENCE_END = re.compile(r"[.!?][\"'”’)]*$")


def brief(text: str) -> float:
    """How well a text is a brief, complete answer that does not repeat itself; higher is better, 1 is the most.

        brief = 1 * [ends with . ! or ?]  -  |ln((words + 1) / (25 + 1))|  -  2 * repeated

    `words` counts runs of letters and digits; `repeated` is the share of its 3-word runs that stood before in the
    text (case aside), 0 below three words. No length is right or wrong: twice and half of 25 words cost ln 2 alike.

    >>> brief("")
    -3.258...
    """
    words = WORD.findall(text.casefold())
    is_complete = 1.0 if words and SENTENCE_END.search(text.strip()) else 0.0
    return is_complete - abs(math.log((len(words) + 1) / (TARGET_WORDS + 1))) - 2 * repeated(words)


def repeated(words: list[str]) -> float:
    trigrams = [tuple(words[i : i + 3]) for i in range(len(words) - 2)]
    return 1 - len(set(trigrams)) / len(trigrams) if trigrams else 0.0
