"""Sentences that are kept: stored in English beside figures and decisions, and said in the language of whoever reads them.

A pause is stored when a ranking comes in, figures when a worker counts them: neither knows who will read it. So what is
stored is English, the same for all, and a page finds the sentence by what stands in it.
"""

from __future__ import annotations

import re
from functools import lru_cache

from django.utils.translation import gettext, gettext_noop

TEST_GONE = gettext_noop("The campaign has no test any more: you may rank.")
TEST_UNDEFINED = gettext_noop("The test can't be judged: %(why)s")
TEST_PASSED = gettext_noop(
    "You passed the test: you ordered %(share)s of %(pairs)s pairs as expected in %(tasks)s tasks"
    " (95 %% interval %(low)s to %(high)s); %(mark)s were needed."
)
TEST_FAILED = gettext_noop(
    "You did not pass the test: you ordered %(share)s of %(pairs)s pairs as expected in %(tasks)s tasks"
    " (95 %% interval %(low)s to %(high)s); %(mark)s were needed."
)
TEST_TOO_FEW = gettext_noop(
    "You did not pass the test: you ordered %(share)s of %(pairs)s pairs as expected in %(tasks)s tasks"
    " (95 %% interval %(low)s to %(high)s), and so few can't be told from guessing."
)
PAUSED_BY_CREDIT = gettext_noop(
    "%(num)s of your tasks were checks, whose order is known or that you had ranked before:"
    " %(share)s of the pairs came as expected, where guessing gives 50 %%."
)
PAUSED_BY_HASTE = gettext_noop(
    "%(share)s of your %(num)s rankings took less time than anybody needs to read the texts."
)
PAUSED_BY_LEANING = gettext_noop(
    "In your %(num)s rankings %(share)s of the pairs stand as they were shown on the page,"
    " and the page shows them in random order."
)
TOO_FEW_VALUES = gettext_noop("%(num)s are the fewest that give an interval.")
TOO_FEW_RANKINGS = gettext_noop("%(num)s of the %(fewest)s rankings that a test needs.")
TOO_FEW_COMPARED = gettext_noop("%(num)s of the %(fewest)s tasks that a test needs were ranked by two others too.")
PUTS_FIRST_FIRST = gettext_noop(
    "Puts the text that is shown first before the other: %(share)s (%(num)s rankings, p = %(p)s held over all raters)."
)
FAVOURS_LONGER = gettext_noop(
    "Favours the longer text more than others on the same texts: %(share)s"
    " (%(num)s rankings, p = %(p)s held over all raters)."
)
FAVOURS_SHORTER = gettext_noop(
    "Favours the longer text less than others on the same texts: %(share)s"
    " (%(num)s rankings, p = %(p)s held over all raters)."
)
RANKS_HASTILY = gettext_noop(
    "Ranks faster than %(fastest)s characters a second: %(share)s (%(num)s rankings, p = %(p)s held over all raters)."
)
NOTHING_TO_TEST = gettext_noop("There is nothing to test.")
ALL_TIED = gettext_noop("Every ranking ties all texts.")
OTHERS_BY_CHANCE = gettext_noop("The others agree no more than by chance, so that there is nothing to compare with.")
UNSHOWN = gettext_noop("It is not known in which order texts were shown.")
UNCOMPARED = gettext_noop("None of its texts was compared with another's.")

PATTERNS = (
    TEST_UNDEFINED,
    TEST_PASSED,
    TEST_FAILED,
    TEST_TOO_FEW,
    PAUSED_BY_CREDIT,
    PAUSED_BY_HASTE,
    PAUSED_BY_LEANING,
    TOO_FEW_VALUES,
    TOO_FEW_RANKINGS,
    TOO_FEW_COMPARED,
    PUTS_FIRST_FIRST,
    FAVOURS_LONGER,
    FAVOURS_SHORTER,
    RANKS_HASTILY,
)
PLACE = re.compile(r"%\((\w+)\)s")


def said(sentence: str) -> str:
    """A kept sentence in the reader's language. What nobody has marked, such as a person's own words, stays as it is."""
    if not sentence:
        return ""
    for pattern in PATTERNS:
        if found := expression(pattern).fullmatch(sentence):
            return gettext(pattern) % {name: gettext(value) for name, value in found.groupdict().items()}
    return gettext(sentence)


@lru_cache
def expression(pattern: str) -> re.Pattern[str]:
    """Matches what the pattern comes to, and gives what was put into it by name."""
    parts = PLACE.split(pattern)  # plain text and names, in turn
    plain = [re.escape(part.replace("%%", "%")) for part in parts[::2]]
    names = [f"(?P<{name}>.+)" for name in parts[1::2]]
    return re.compile("".join(text + name for text, name in zip(plain, [*names, ""], strict=True)))
