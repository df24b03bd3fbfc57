"""Label Studio's JSON export: tasks whose annotations rank a list (Ranker), or choose one of two texts (Pairwise)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.translation import gettext, gettext_lazy

from annotation.importing.conversations import turns_of
from annotation.importing.drafts import Draft, Reader
from annotation.services.texts import BadLine

PROMPTS = (
    "prompt",
    "question",
    "instruction",
    "query",
    "messages",
    "dialogue",
    "conversation",
    "task",
    "input",
    "text",
)
LEFT_OUT = "_"  # the list from which items are taken into buckets
SIDES = ("left", "right")


class LabelStudio(Reader):
    name = "label-studio"
    label = gettext_lazy("Label Studio export: Ranker and Pairwise")

    def __init__(self) -> None:
        super().__init__()
        self.names: tuple[str, str] | None = None  # columns of the newest comparison

    @classmethod
    def fits(cls, record: Mapping[str, Any]) -> bool:
        return isinstance(record.get("data"), Mapping) and ("annotations" in record or "completions" in record)

    def drafts(self, record: Mapping[str, Any]) -> Iterator[Draft]:
        data, found = record.get("data"), record.get("annotations", record.get("completions"))
        if not isinstance(data, Mapping) or not isinstance(found, list):
            raise BadLine(gettext("A task has data and a list of annotations."), code="bad_shape")
        annotations = [one for one in found if isinstance(one, Mapping) and not one.get("was_cancelled")]
        told = [(one, result) for one in annotations for result in results_of(one)]
        if any(result["type"] == "ranker" for _, result in told):
            yield self.ranked(record, data, [(one, result) for one, result in told if result["type"] == "ranker"])
        elif told:
            self.names = two_texts(data, told[0][1])
            yield self.compared(record, data, told, names=self.names)
        elif any(is_items(value) for value in data.values()):
            yield self.ranked(record, data, [])
        elif self.names and all(isinstance(data.get(name), str) for name in self.names):
            yield self.compared(record, data, [], names=self.names)
        else:
            self.note(
                gettext(
                    "Tasks that nobody has annotated are left out, as long as no other says which texts are compared."
                )
            )

    def ranked(self, record: Mapping[str, Any], data: Mapping[str, Any], told: list[tuple[Any, Any]]) -> Draft:
        name = next((name for name, value in data.items() if is_items(value)), "")
        if not name:
            raise BadLine(gettext("There is no list of items that have an id."), code="no_items")
        items = data[name]
        texts = tuple({"id": str(item["id"]), "text": text_of(item), "model": model_of(item)} for item in items)
        ids = [text["id"] for text in texts]
        rankings = tuple(self.ranking(one, order_of(result), ids=ids) for one, result in told)
        return Draft(self.prompt(data, without={name}), texts, rankings, columns={"id": record.get("id")})

    def ranking(
        self, annotation: Mapping[str, Any], order: list[tuple[str, list[str]]], *, ids: list[str]
    ) -> dict[str, Any]:
        if len(order) == 1 and order[0][0] != LEFT_OUT:
            tiers = [[name] for name in order[0][1]]
        else:
            buckets = [(bucket, names) for bucket, names in order if bucket != LEFT_OUT and names]
            tiers = [names for _, names in buckets]
            self.note(
                gettext(
                    "Buckets are read best first, in the order in which the file has them, and the items of one are tied; "
                    "what stayed in the list is left out of the order."
                )
            )
        ranked = {name for tier in tiers for name in tier}
        unranked = [name for name in ids if name not in ranked]
        return {"rater": rater_of(annotation), "tiers": tiers, "unranked": unranked} | seconds_of(annotation)

    def compared(
        self, record: Mapping[str, Any], data: Mapping[str, Any], told: list[tuple[Any, Any]], *, names: tuple[str, str]
    ) -> Draft:
        texts = tuple({"id": side, "text": data[name]} for side, name in zip(SIDES, names, strict=True))
        rankings = []
        for annotation, result in told:
            better = chosen_in(result, names=names)
            worse = SIDES[1 - SIDES.index(better)]
            rankings.append({"rater": rater_of(annotation), "tiers": [[better], [worse]]} | seconds_of(annotation))
        note = gettext("The texts that are compared are the columns “%(first)s” and “%(second)s”.")
        self.note(note % {"first": names[0], "second": names[1]})
        return Draft(self.prompt(data, without=set(names)), texts, tuple(rankings), columns={"id": record.get("id")})

    def prompt(self, data: Mapping[str, Any], *, without: set[str]) -> Any:
        rest = [name for name in data if name not in without]
        name = next((name for name in PROMPTS if name in rest), "")
        if not name:
            told = {"names": ", ".join(sorted(rest)), "needed": ", ".join(PROMPTS)}
            sentence = (
                gettext("No column is the prompt: there is %(names)s; one of %(needed)s is needed.")
                if rest
                else gettext("No column is the prompt: there is nothing; one of %(needed)s is needed.")
            )
            raise BadLine(sentence % told, code="no_prompt")
        self.leave(set(rest) - {name})
        return turns_of(data[name])


def results_of(annotation: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = annotation.get("result")
    return [
        one
        for one in (found if isinstance(found, list) else [])
        if isinstance(one, Mapping)
        and one.get("type") in ("ranker", "pairwise")
        and isinstance(one.get("value"), Mapping)
    ]


def is_items(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, Mapping) and "id" in one for one in value)


def text_of(item: Mapping[str, Any]) -> Any:
    return next((item[name] for name in ("body", "html", "text", "title") if name in item), None)


def model_of(item: Mapping[str, Any]) -> str:
    """Its own template puts the model's name there as the title."""
    title = item.get("title")
    return title[:120] if isinstance(title, str) and "body" in item else ""


def order_of(result: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Buckets with the ids in them; a plain list is one bucket."""
    given = result["value"].get("ranker", result["value"].get("rank"))
    buckets = given if isinstance(given, Mapping) else {"": given}
    order = []
    for name, ids in buckets.items():
        if not isinstance(ids, list) or not all(isinstance(one, str | int) for one in ids):
            raise BadLine(gettext("A ranker's value is a list of ids, or such lists by bucket."), code="bad_ranking")
        order.append((name, [str(one) for one in ids]))
    return order


def two_texts(data: Mapping[str, Any], result: Mapping[str, Any]) -> tuple[str, str]:
    """The columns that hold the two texts: those that the result names, else the two that are left beside the prompt."""
    given = result.get("to_name")
    names = given.split(",") if isinstance(given, str) else given if isinstance(given, list) else []
    names = [str(name).strip() for name in names]
    if len(names) == 2 and all(isinstance(data.get(name), str) for name in names):
        return names[0], names[1]
    rest = [name for name, value in data.items() if isinstance(value, str) and name not in PROMPTS]
    if len(rest) != 2:
        raise BadLine(
            gettext("Which columns hold the two texts is not clear: there is %(names)s.")
            % {"names": ", ".join(sorted(data))}
            if data
            else gettext("Which columns hold the two texts is not clear: there is nothing."),
            code="no_items",
        )
    return rest[0], rest[1]


def chosen_in(result: Mapping[str, Any], *, names: tuple[str, str]) -> str:
    selected = result["value"].get("selected", result["value"].get("pairwise"))
    if selected in SIDES:
        return str(selected)
    if selected in names:
        return SIDES[names.index(selected)]
    raise BadLine(gettext("A comparison selects left or right."), code="bad_ranking")


def rater_of(annotation: Mapping[str, Any]) -> str | None:
    by = annotation.get("completed_by")
    name = next((by[key] for key in ("email", "id") if by.get(key)), None) if isinstance(by, Mapping) else by
    return None if name is None or name == "" else str(name)[:120]


def seconds_of(annotation: Mapping[str, Any]) -> dict[str, Any]:
    seconds = annotation.get("lead_time")
    return (
        {"seconds": seconds}
        if isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds >= 0
        else {}
    )
