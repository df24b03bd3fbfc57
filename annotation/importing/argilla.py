"""Records of Argilla 2 with a ranking question: nested as `records.to_json`, flat as `to_datasets`, or Argilla 1's feedback."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext, gettext_lazy

from annotation.importing.conversations import turns_of
from annotation.importing.drafts import Draft, Reader
from annotation.services.texts import BadLine

PROMPTS = ("prompt", "instruction", "question", "messages", "conversation", "chat", "query", "input", "text")
SUBMITTED = (None, "submitted")
RESPONSES, USERS, STATUS = ".responses", ".responses.users", ".responses.status"
OF_RECORD = {"id", "_server_id", "status", "metadata", "vectors", "suggestions", "responses", "fields"}


@dataclass(frozen=True, slots=True)
class Answer:
    rater: str
    value: Any


class Argilla(Reader):
    name = "argilla"
    label = gettext_lazy("Argilla records with a ranking question")

    def __init__(self) -> None:
        super().__init__()
        self.texts: dict[str, str] = {}  # option -> field, of the newest record that was ranked

    @classmethod
    def fits(cls, record: Mapping[str, Any]) -> bool:
        nested = isinstance(record.get("fields"), Mapping) and "responses" in record
        return nested or any(name.endswith(RESPONSES) for name in record) or any(map(is_feedback, record.values()))

    def drafts(self, record: Mapping[str, Any]) -> Iterator[Draft]:
        fields, questions = fields_of(record), questions_of(record)
        chosen = {name: found for name, found in questions.items() if any(is_order(one.value) for one in found)}
        for name, answers in chosen.items():
            options = sorted({option for answer in answers for option in options_in(answer.value)})
            texts = {option: field for option in options if (field := field_called(option, fields))}
            if len(texts) == len(options) >= 2:
                self.texts = texts
                yield self.draft(record, fields=fields, texts=texts, answers=answers, question=name)
                return
        if chosen:
            sentence = gettext("The options that are ranked name no fields of the record; it has %(names)s.")
            raise BadLine(sentence % {"names": ", ".join(sorted(fields))}, code="no_such_field")
        if not fields:
            raise BadLine(gettext("A record has fields, and answers to a ranking question."), code="no_ranking")
        if self.texts and set(self.texts.values()) <= set(fields):
            yield self.draft(record, fields=fields, texts=self.texts, answers=[], question="")
        else:
            self.note(
                gettext(
                    "Records that nobody has ranked are left out, as long as no other says which fields are ranked."
                )
            )

    def draft(
        self,
        record: Mapping[str, Any],
        *,
        fields: dict[str, Any],
        texts: dict[str, str],
        answers: list[Answer],
        question: str,
    ) -> Draft:
        if len(set(texts.values())) < len(texts):
            raise BadLine(gettext("Two options name the same field."), code="no_such_field")
        rest = {name: value for name, value in fields.items() if name not in texts.values()}
        prompt = next((name for name in PROMPTS if name in rest), next(iter(rest), ""))
        if not prompt:
            raise BadLine(gettext("No field is left that could be the prompt."), code="no_prompt")
        if question:
            note = gettext("The prompt is the field “%(prompt)s”; the order is the answer to “%(question)s”.")
            self.note(note % {"prompt": prompt, "question": question})
        if dropped := sorted(set(rest) - {prompt}):
            self.leave(dropped)
        return Draft(
            turns_of(rest[prompt]),
            tuple({"id": option, "text": fields[field]} for option, field in texts.items()),
            tuple(ranking_of(answer, options=list(texts)) for answer in answers),
            columns={"id": record.get("id")},
        )


def is_feedback(value: Any) -> bool:
    """Argilla 1: a question's column is a list of its answers."""
    return isinstance(value, list) and any(
        isinstance(one, Mapping) and {"user_id", "value"} <= set(one) and is_order(one["value"]) for one in value
    )


def is_order(value: Any) -> bool:
    """A list of options, best first, or of {"value", "rank"}."""
    return (
        isinstance(value, list)
        and len(value) > 1
        and all(
            isinstance(one, str) or (isinstance(one, Mapping) and isinstance(one.get("value"), str)) for one in value
        )
    )


def fields_of(record: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(record.get("fields"), Mapping):
        return dict(record["fields"])
    return {
        name: value
        for name, value in record.items()
        if name not in OF_RECORD and "." not in name and not is_feedback(value) and isinstance(value, str | list)
    }


def questions_of(record: Mapping[str, Any]) -> dict[str, list[Answer]]:
    """Answers that were submitted, by question."""
    nested = record.get("responses")
    if isinstance(nested, Mapping):
        return {name: answers_of(given) for name, given in nested.items()}
    if isinstance(nested, list):  # one object a user, with all that she answered
        found: dict[str, list[Answer]] = {}
        for user in nested:
            if (
                isinstance(user, Mapping)
                and isinstance(user.get("values"), Mapping)
                and user.get("status") in SUBMITTED
            ):
                for name, value in user["values"].items():
                    told = value.get("value") if isinstance(value, Mapping) else value
                    found.setdefault(name, []).append(Answer(str(user.get("user_id", "")), told))
        return found
    flat = {name.removesuffix(RESPONSES): zipped(record, name) for name in record if name.endswith(RESPONSES)}
    return flat | {name: answers_of(value) for name, value in record.items() if is_feedback(value)}


def answers_of(given: Any) -> list[Answer]:
    rows = [one for one in given if isinstance(one, Mapping)] if isinstance(given, list) else []
    return [Answer(str(one.get("user_id", "")), one.get("value")) for one in rows if one.get("status") in SUBMITTED]


def zipped(record: Mapping[str, Any], name: str) -> list[Answer]:
    values, users = record[name] or [], record.get(name + ".users") or []
    states = record.get(name + ".status") or [None] * len(values)
    if not len(values) == len(users) == len(states):
        raise BadLine(gettext("“%(name)s” has not one user for each response.") % {"name": name}, code="bad_shape")
    return [
        Answer(str(user), value) for value, user, state in zip(values, users, states, strict=True) if state in SUBMITTED
    ]


def options_in(value: Any) -> list[str]:
    return [one if isinstance(one, str) else one["value"] for one in value] if is_order(value) else []


def field_called(option: str, fields: Mapping[str, Any]) -> str:
    """The field that an option stands for: of that name, of that name but for signs, or of the same last part."""
    texts = [name for name, value in fields.items() if isinstance(value, str)]
    for simple in (lambda name: name, plain, last_part):
        found = [name for name in texts if simple(name) == simple(option)]
        if len(found) == 1:
            return found[0]
    return ""


def plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


def last_part(name: str) -> str:
    found = re.search(r"(\d+|(?<![a-z])[a-z])$", name.lower())
    return found.group() if found else name


def ranking_of(answer: Answer, *, options: list[str]) -> dict[str, Any]:
    """Options of one rank are tied; those without one are left out."""
    if not is_order(answer.value):
        raise BadLine(
            gettext("Rater %(name)s has answered with no order.") % {"name": answer.rater}, code="bad_ranking"
        )
    ranks: dict[str, float] = {}
    for place, one in enumerate(answer.value, start=1):
        name, rank = (one, place) if isinstance(one, str) else (one["value"], one.get("rank", place))
        if isinstance(rank, int | float) and not isinstance(rank, bool):
            ranks[name] = rank
    tiers = [[name for name in options if ranks.get(name) == rank] for rank in sorted(set(ranks.values()))]
    return {"rater": answer.rater, "tiers": tiers, "unranked": [name for name in options if name not in ranks]}
