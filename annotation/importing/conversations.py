"""Prompts and ready-made completions in the layouts of Hugging Face datasets: a conversation or a question, and its answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.translation import gettext, gettext_lazy

from annotation.importing.columns import OPTIONAL
from annotation.importing.drafts import Draft, Reader
from annotation.services.texts import BadLine

TALKS = ("messages", "prompt", "conversations", "conversation", "instruction", "question")
ANSWERS = ("completions", "responses", "completion", "response", "output", "answer")
SPEAKERS = {"human": "user", "gpt": "assistant", "prompter": "user", "bot": "assistant", "model": "assistant"}


class Conversations(Reader):
    name = "conversations"
    label = gettext_lazy("Prompts, with completions or without")

    @classmethod
    def fits(cls, record: Mapping[str, Any]) -> bool:
        return any(name in record for name in TALKS) and "chosen" not in record

    def drafts(self, record: Mapping[str, Any]) -> Iterator[Draft]:
        talk = talk_in(record)
        messages = turns_of(record[talk])
        used = {talk}
        if talk == "instruction" and record.get("input"):
            messages = [{"role": "user", "content": f"{record[talk]}\n\n{record['input']}"}]
            used.add("input")
        answers: tuple[Any, ...] = ()
        if messages[-1:] and is_answer(messages[-1]) and len(messages) > 1:
            answers = ({"id": "1", "text": messages[-1]["content"]},)
            messages = messages[:-1]
            self.note(
                gettext(
                    "A conversation that ends with an assistant's turn gives a prompt, and that turn as a completion."
                )
            )
        if (name := next((name for name in ANSWERS if name in record), "")) and not answers:
            answers = completions_of(record[name], model=record.get("model", ""))
            used |= {name, "model"}
        self.leave(set(record) - used - OPTIONAL)
        yield Draft(messages, answers, columns=record)


def talk_in(record: Mapping[str, Any]) -> str:
    found = [name for name in TALKS if name in record]
    if not found:
        sentence = gettext("There is no prompt: a column called %(names)s or %(last)s.")
        raise BadLine(sentence % {"names": ", ".join(TALKS[:-1]), "last": TALKS[-1]}, code="no_prompt")
    if found[:2] == ["messages", "prompt"]:
        raise BadLine(gettext('Give either "prompt" or "messages".'), code="two_prompts")
    return found[0]


def is_answer(message: Any) -> bool:
    return isinstance(message, Mapping) and message.get("role") == "assistant"


def turns_of(given: Any) -> list[Any]:
    """Messages of roles and contents, from a text, or from messages that call them `from` and `value`."""
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    if not isinstance(given, list):
        raise BadLine(gettext("A prompt is a text or a list of messages."), code="bad_prompt")
    return [turn_of(message) for message in given]


def turn_of(message: Any) -> Any:
    if not isinstance(message, Mapping):
        return message  # told when it is checked
    if {"from", "value"} <= set(message):
        role, content = message["from"], message["value"]
    elif {"role", "content"} <= set(message):
        role, content = message["role"], message["content"]
    else:
        return message
    return {"role": SPEAKERS.get(role, role) if isinstance(role, str) else role, "content": content}


def completions_of(given: Any, *, model: Any = "") -> tuple[Any, ...]:
    """A text, or a list of texts or of {"id"?, "text", "model"?}, as {"id", "text", "model"}."""
    texts = given if isinstance(given, list) else [given]
    return tuple(
        {"id": str(number), "text": one, "model": model} if not isinstance(one, Mapping) else {"id": str(number), **one}
        for number, one in enumerate(texts, start=1)
    )
