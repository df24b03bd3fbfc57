"""A draft of any format, checked by the rules that hold here: conversations, completions, what raters may say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext

from accounts.numbers import whole
from annotation.attributes import Attribute
from annotation.importing.columns import optional_columns
from annotation.importing.drafts import Draft
from annotation.services.prompts import conversation
from annotation.services.saying import LONGEST, Said, check_fields, said_of
from annotation.services.texts import BadLine, complaint_about

MOST_COMPLETIONS = 9
LARGEST_COMPLETION = 200_000  # characters
COMPLETION = {"id", "text", "model"}
UNNAMED = "unnamed rater"


@dataclass(frozen=True, slots=True)
class Row:
    """`completions` are (id, text, model's name). A judgement of `UNNAMED` is by somebody whom the file does not name."""

    number: int
    messages: list[dict[str, str]]
    completions: tuple[tuple[str, str, str], ...]
    judgements: tuple[Said, ...]
    fields: Mapping[str, Any]  # of the prompt, from its optional columns

    @property
    def is_task(self) -> bool:
        return len(self.completions) > 1


def row_of(number: int, draft: Draft, *, attributes: Sequence[Attribute]) -> Row:
    """Raises `BadLine`."""
    fields = optional_columns(draft.columns)
    if complaint := complaint_about([draft.prompt, draft.completions, draft.rankings, fields]):
        raise BadLine(gettext("There is %(complaint)s.") % {"complaint": complaint}, code="bad_text")
    completions = tuple(completions_of(draft.completions))
    if draft.rankings and len(completions) < 2:
        raise BadLine(gettext("A ranking needs two completions at least."), code="bad_completions")
    texts = {name: text for name, text, _ in completions}
    judgements = tuple(judgements_of(draft.rankings, texts=texts, attributes=attributes))
    raters = [judgement.rater for judgement in judgements if judgement.rater != UNNAMED]
    if twice := sorted({rater for rater in raters if raters.count(rater) > 1}):
        raise BadLine(gettext("Rater %(name)s ranks this twice.") % {"name": twice[0]}, code="ranked_twice")
    return Row(number, conversation(draft.prompt), completions, judgements, fields)


def completions_of(given: Sequence[Any]) -> Iterator[tuple[str, str, str]]:
    if len(given) > MOST_COMPLETIONS:
        sentence = gettext("There are 2 to %(most)s completions to a prompt, not %(num)s.")
        raise BadLine(sentence % {"most": MOST_COMPLETIONS, "num": len(given)}, code="bad_completions")
    seen: set[str] = set()
    for one in given:
        check_fields(one, known=COMPLETION, needed={"id", "text"}, what=gettext("a completion"))
        name, text, model = one["id"], one["text"], one.get("model", "")
        for value in (name, text, model):
            if not isinstance(value, str):
                raise BadLine(gettext("A completion's id, text and model are texts."), code="bad_completions")
        if not 1 <= len(name) <= LONGEST or len(model) > LONGEST:
            sentence = gettext("A completion's id has 1 to %(most)s characters, and so has a model's name.")
            raise BadLine(sentence % {"most": LONGEST}, code="bad_completions")
        if len(text) > LARGEST_COMPLETION:
            sentence = gettext("A completion has at most %(most)s characters.")
            raise BadLine(sentence % {"most": whole(LARGEST_COMPLETION)}, code="too_long")
        if name in seen:
            raise BadLine(gettext("Two completions are called %(name)s.") % {"name": name}, code="bad_completions")
        seen.add(name)
        yield name, text, model


def judgements_of(
    rankings: Sequence[Any], *, texts: Mapping[str, str], attributes: Sequence[Attribute]
) -> Iterator[Said]:
    for ranking in rankings:
        is_unnamed = isinstance(ranking, Mapping) and "rater" in ranking and ranking["rater"] is None
        told = {**ranking, "rater": UNNAMED} if is_unnamed else ranking
        try:
            yield said_of(told, texts=texts, attributes=attributes)
        except BadLine as error:
            raise BadLine(str(error), code="bad_ranking") from error
