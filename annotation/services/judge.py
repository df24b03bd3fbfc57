"""What a rater may say of a task: read, checked against the task, and written in one way."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext, gettext_lazy

from accounts.errors import UserError
from accounts.numbers import whole
from annotation import weak_order
from annotation.attributes import Attribute, BadRatings, checked_ratings
from annotation.models import CannotRank, Completion
from annotation.services.texts import complaint_about

LONGEST_REASON = 4000
LONGEST_EDIT = 50_000  # characters
FLAGS: dict[str, Any] = {  # lazy: read in as many languages as there are raters
    "unsafe": gettext_lazy("Unsafe"),
    "personal_data": gettext_lazy("Personal data"),
    "wrong_language": gettext_lazy("Wrong language"),
}


class BadRanking(UserError):
    code = "bad_ranking"


@dataclass(frozen=True, slots=True)
class Edit:
    """A better version of the text called `of`."""

    of: str
    text: str


@dataclass(frozen=True, slots=True)
class Submission:
    """What a rater sends. Names of texts are letters as she saw them, or completion ids.

    Every text is in `tiers` or in `unranked`. Where all are bad, both may be empty: then all are tied. With `cannot_rank`,
    a `CannotRank`, there is no order.
    """

    client_uuid: uuid.UUID
    tiers: Sequence[Sequence[str]] = ()
    strengths: Sequence[int] = ()
    unranked: Sequence[str] = ()
    all_bad: bool = False
    cannot_rank: str = ""
    flags: Mapping[str, Sequence[str]] = field(default_factory=dict)
    ratings: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    edit: Edit | None = None
    reason: str = ""
    seconds: float | None = None


def texts_of(ids: Sequence[str]) -> dict[str, str]:
    return {str(pk): text for pk, text in Completion.objects.filter(pk__in=ids).values_list("pk", "text")}


def judgement(
    submission: Submission,
    *,
    names: Mapping[str, str],
    attributes: Sequence[Attribute] = (),
    texts: Callable[[Sequence[str]], Mapping[str, str]] = texts_of,
) -> dict[str, Any]:
    """The body of the row, as `Ranking.body` has it: canonical, of completion ids. Raises `BadRanking`.

    `names` are the texts as the rater calls them, with their ids, in her order; `texts` finds what ids say.
    """
    shown = {completion: name for name, completion in names.items()}

    def completion(name: str) -> str:
        return names.get(name) or names.get(name.lower()) or name

    order = order_of(submission, shown=shown, completion=completion)
    ranked = [name for tier in order.tiers for name in tier]
    try:
        ratings = checked_ratings(
            {completion(name): levels for name, levels in submission.ratings.items()},
            attributes=attributes, names=shown, needed=sorted(ranked, key=shown.__getitem__),
        )  # fmt: skip
    except BadRatings as error:
        raise BadRanking(str(error)) from error
    return {
        "tiers": [list(tier) for tier in order.tiers],
        "strengths": list(order.strengths),
        "unranked": list(order.unranked),
        "all_bad": submission.all_bad,
        "cannot_rank": submission.cannot_rank,
        "flags": checked_flags({completion(name): flags for name, flags in submission.flags.items()}, known=shown),
        "ratings": ratings,
        "reason": checked_reason(submission.reason, is_needed=submission.cannot_rank == CannotRank.OTHER),
        "edit": checked_edit(submission.edit, completion=completion, shown=shown, ranked=ranked, texts=texts),
    }


def order_of(
    submission: Submission, *, shown: Mapping[str, str], completion: Callable[[str], str]
) -> weak_order.WeakOrder:
    if submission.cannot_rank:
        return no_order(submission)
    tiers: Sequence[Sequence[str]] = submission.tiers
    if submission.all_bad and not tiers and not submission.unranked:
        tiers = [list(shown)]

    def called(name: str) -> str:
        """A complaint names texts as the rater does."""
        return shown.get(completion(name), name)

    try:
        order = weak_order.canonical(
            [[called(name) for name in tier] for tier in tiers], submission.strengths, map(called, submission.unranked)
        )
        weak_order.check_complete(order, names=shown.values())
    except weak_order.BadOrder as error:
        raise BadRanking(str(error)) from error
    return weak_order.renamed(order, {name: completion for completion, name in shown.items()})


def no_order(submission: Submission) -> weak_order.WeakOrder:
    if submission.cannot_rank not in CannotRank.values:
        raise BadRanking(
            gettext("There is no reason called %(name)s why something cannot be ranked; there are %(known)s.")
            % {"name": submission.cannot_rank, "known": ", ".join(CannotRank.values)}
        )
    if submission.tiers or submission.strengths or submission.unranked or submission.all_bad:
        raise BadRanking(gettext("It is ranked, or it cannot be ranked: take back the one or the other."))
    if submission.edit is not None:
        raise BadRanking(gettext("A better version leads an order, and what cannot be ranked has none."))
    return weak_order.WeakOrder((), ())


def checked_flags(flags: Mapping[str, Sequence[str]], *, known: Mapping[str, str]) -> dict[str, list[str]]:
    for name, given in flags.items():
        if name not in known:
            raise BadRanking(gettext("There is no text %(name)s to flag.") % {"name": name})
        if unknown := sorted(set(given) - set(FLAGS)):
            raise BadRanking(
                gettext("There is no flag called %(name)s; there are %(known)s.")
                % {"name": unknown[0], "known": ", ".join(FLAGS)}
            )
    return {name: sorted(set(given)) for name, given in sorted(flags.items()) if given}


def checked_reason(reason: str, *, is_needed: bool) -> str:
    if len(reason) > LONGEST_REASON:
        raise BadRanking(gettext("A reason has at most %(most)s characters.") % {"most": LONGEST_REASON})
    if complaint := complaint_about(reason):
        raise BadRanking(gettext("There is %(complaint)s in the reason.") % {"complaint": complaint})
    if is_needed and not reason.strip():
        raise BadRanking(gettext("Say in the reason why this cannot be ranked."))
    return reason.strip()


def checked_edit(
    edit: Edit | None,
    *,
    completion: Callable[[str], str],
    shown: Mapping[str, str],
    ranked: Sequence[str],
    texts: Callable[[Sequence[str]], Mapping[str, str]],
) -> dict[str, str] | None:
    """It leads the order, so its original must be in it, and it may say what none of the other texts says."""
    if edit is None:
        return None
    of, text = completion(edit.of), as_written(edit.text)
    if of not in shown:
        raise BadRanking(gettext("There is no text %(name)s to better.") % {"name": edit.of})
    name = shown[of].upper()
    if not text:
        raise BadRanking(gettext("Your better version of %(name)s is empty.") % {"name": name})
    if len(text) > LONGEST_EDIT:
        raise BadRanking(gettext("A better version has at most %(most)s characters.") % {"most": whole(LONGEST_EDIT)})
    if complaint := complaint_about(text):
        raise BadRanking(
            gettext("There is %(complaint)s in your better version of %(name)s.")
            % {"complaint": complaint, "name": name}
        )
    if of not in ranked:
        raise BadRanking(gettext("Rank %(name)s, or take back your better version of it.") % {"name": name})
    said = {pk for pk, other in texts(list(shown)).items() if as_written(other) == text}
    if of in said:
        raise BadRanking(gettext("Your better version of %(name)s says the same as %(name)s.") % {"name": name})
    if said:
        other = min(shown[pk] for pk in said).upper()
        raise BadRanking(
            gettext("Your better version of %(name)s says the same as %(other)s: rank %(other)s higher instead.")
            % {"name": name, "other": other}
        )
    return {"of": of, "text": text}


def as_written(text: str) -> str:
    """Without what a form adds to a text, and blanks at its ends."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()
