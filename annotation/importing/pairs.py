"""Comparisons of two: Anthropic's HH transcripts, and TRL's chosen and rejected with a prompt or without."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.translation import gettext, gettext_lazy

from annotation.importing.columns import OPTIONAL
from annotation.importing.conversations import turns_of
from annotation.importing.drafts import Draft, Reader
from annotation.services.texts import BadLine

TURN = re.compile(r"\n\n(Human|Assistant):")
SPEAKERS = {"Human": "user", "Assistant": "assistant"}


class Pairs(Reader):
    name = "pairs"
    label = gettext_lazy("Anthropic HH or TRL: chosen and rejected")

    @classmethod
    def fits(cls, record: Mapping[str, Any]) -> bool:
        return "chosen" in record and "rejected" in record

    def drafts(self, record: Mapping[str, Any]) -> Iterator[Draft]:
        for side in ("chosen", "rejected"):
            if side not in record:
                raise BadLine(gettext("There is no %(name)s.") % {"name": side}, code="no_pair")
        sides = [record["chosen"], record["rejected"]]
        if "prompt" in record:
            prompt, answers = turns_of(record["prompt"]), [answer_of(side) for side in sides]
        else:
            (prompt, answer), (other_prompt, other) = (split(transcript_of(side)) for side in sides)
            if prompt != other_prompt:
                raise BadLine(
                    gettext("Chosen and rejected do not answer the same conversation."), code="different_prompts"
                )
            answers = [answer, other]
        if answers[0] == answers[1]:
            raise BadLine(gettext("Chosen and rejected say the same."), code="same_texts")
        rater = record.get("rater") or None
        self.note(
            gettext("Each line is one rater's preference; where the file names no rater, she is one unnamed rater.")
        )
        self.leave(set(record) - {"chosen", "rejected", "prompt", "rater"} - OPTIONAL)
        # In the order of the texts: which of them comes first must not tell which was chosen.
        better, worse = ("1", "2") if answers[0] < answers[1] else ("2", "1")
        texts = sorted(answers)
        yield Draft(
            prompt,
            tuple({"id": str(number), "text": text} for number, text in enumerate(texts, start=1)),
            ({"rater": rater, "tiers": [[better], [worse]]},),
            columns=record,
        )


def transcript_of(side: Any) -> list[Any]:
    """`\\n\\nHuman: Why?\\n\\nAssistant: So.` as messages; messages as they are."""
    if isinstance(side, list):
        return turns_of(side)
    parts = TURN.split(side) if isinstance(side, str) else []
    if len(parts) < 5:
        raise BadLine(gettext("There is neither a prompt nor a transcript of Human and Assistant."), code="no_prompt")
    before = [{"role": "system", "content": parts[0].strip()}] if parts[0].strip() else []
    spoken = zip(parts[1::2], parts[2::2], strict=True)
    return before + [{"role": SPEAKERS[who], "content": text.removeprefix(" ")} for who, text in spoken]


def split(messages: list[Any]) -> tuple[list[Any], str]:
    """The conversation and the answer that ends it."""
    last = messages[-1] if messages else None
    if not isinstance(last, Mapping) or last.get("role") != "assistant" or not isinstance(last.get("content"), str):
        raise BadLine(gettext("A transcript ends with the assistant's turn."), code="no_answer")
    return messages[:-1], last["content"]


def answer_of(side: Any) -> str:
    """A text, or a list of the one message that it is."""
    if isinstance(side, str):
        return side
    if isinstance(side, list) and len(side) == 1:
        return split(turns_of(side))[1]
    raise BadLine(
        gettext("Beside a prompt, chosen and rejected are a text or one assistant's message."), code="no_answer"
    )
