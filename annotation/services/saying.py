"""What a line of a rankings file says that one rater said, checked as what raters here say is.

A ranking is {"rater", "tiers"?, "strengths"?, "unranked"?, "all_bad"?, "cannot_rank"?, "flags"?, "ratings"?, "edit"?, "reason"?,
"seconds"?}; texts are called by their ids in the file, and an edit is {"of": id, "text": text}.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext, gettext_noop

from annotation.attributes import Attribute
from annotation.services.judge import BadRanking, Edit, Submission, judgement
from annotation.services.texts import BadLine

LONGEST = 120  # characters of an id, a model's or a rater's name
NOBODY = uuid.UUID(int=0)  # of a submission that no browser made


@dataclass(frozen=True, slots=True)
class Said:
    rater: str
    submission: Submission  # of completion ids as in the file


def is_list_of(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(type(one) is kind for one in value)


def is_duration(value: Any) -> bool:
    return value is None or (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
    )


def is_edit(value: Any) -> bool:
    return value is None or (
        isinstance(value, dict) and set(value) == {"of", "text"} and all(type(one) is str for one in value.values())
    )


SHAPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "tiers": (
        lambda value: is_list_of(value, list) and all(is_list_of(tier, str) for tier in value),
        gettext_noop('"tiers" is a list of lists of completion ids, the best first.'),
    ),
    "strengths": (lambda value: is_list_of(value, int), gettext_noop('"strengths" is a list of whole numbers.')),
    "unranked": (lambda value: is_list_of(value, str), gettext_noop('"unranked" is a list of completion ids.')),
    "all_bad": (lambda value: type(value) is bool, gettext_noop('"all_bad" is true or false.')),
    "cannot_rank": (lambda value: type(value) is str, gettext_noop('"cannot_rank" is a text.')),
    "flags": (
        lambda value: isinstance(value, dict) and all(is_list_of(flags, str) for flags in value.values()),
        gettext_noop('"flags" has a list of flags for a completion id.'),
    ),
    "ratings": (
        lambda value: isinstance(value, dict) and all(isinstance(levels, dict) for levels in value.values()),
        gettext_noop('"ratings" has levels by attribute for a completion id.'),
    ),
    "edit": (is_edit, gettext_noop('"edit" has the id of a completion as “of”, and a text.')),
    "reason": (lambda value: type(value) is str, gettext_noop('"reason" is a text.')),
    "seconds": (is_duration, gettext_noop('"seconds" is a number, 0 or more.')),
}


def said_of(given: Any, *, texts: Mapping[str, str], attributes: Sequence[Attribute]) -> Said:
    """Raises `BadLine`, which names the rater."""
    needed = {"rater"} if isinstance(given, dict) and given.get("cannot_rank") else {"rater", "tiers"}
    check_fields(given, known={"rater", *SHAPES}, needed=needed, what="a ranking")
    told = dict(given)
    rater = told.pop("rater")
    if not isinstance(rater, str) or not 1 <= len(rater) <= LONGEST:
        raise BadLine(gettext("A rater is a text of 1 to %(most)s characters.") % {"most": LONGEST})
    for name, value in told.items():
        fits, sentence = SHAPES[name]
        if not fits(value):
            raise BadLine(gettext(sentence))
    if told.get("edit"):
        told["edit"] = Edit(**told["edit"])
    submission = Submission(client_uuid=NOBODY, **told)
    try:
        body_of(submission, names={name: name for name in texts}, attributes=attributes, texts=texts)
    except BadRanking as error:
        raise BadLine(gettext("Rater %(name)s: %(complaint)s") % {"name": rater, "complaint": error}) from error
    return Said(rater, submission)


def body_of(
    submission: Submission, *, names: Mapping[str, str], attributes: Sequence[Attribute], texts: Mapping[str, str]
) -> dict[str, Any]:
    return judgement(submission, names=names, attributes=attributes, texts=lambda _: texts)


KINDS = (gettext_noop("a ranking"), gettext_noop("a row"), gettext_noop("a completion"))  # of `what` has fields


def check_fields(given: Any, *, known: set[str], needed: set[str], what: str) -> None:
    """`what` is one of `KINDS`. Raises `BadLine`."""
    kind = gettext(what)
    if not isinstance(given, dict):
        raise BadLine(
            gettext("This is not an object: %(what)s has %(fields)s.")
            % {"what": kind, "fields": ", ".join(sorted(needed))}
        )
    if missing := sorted(needed - set(given)):
        raise BadLine(gettext("There is no %(field)s in %(what)s.") % {"field": missing[0], "what": kind})
    if unknown := sorted(set(given) - known):
        raise BadLine(
            gettext("There is no field %(field)s in %(what)s; there are %(known)s.")
            % {"field": unknown[0], "what": kind, "known": ", ".join(sorted(known))}
        )
