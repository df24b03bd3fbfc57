"""The layouts in which people have their rows, each turned into the columns of a kind: Alpaca, Dolly, ShareGPT, TRL, HH."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.translation import gettext

from registry.models import DatasetKind
from registry.services import labelled
from registry.services.lines import BadLine
from registry.services.schemas import about_messages, canonical, conversation_sha256

TURN = re.compile(r"\n\n(Human|Assistant):")
SPEAKERS = {"Human": "user", "Assistant": "assistant"}
# Question, what it is about, answer: Alpaca, Dolly, TRL, and plain pairs.
ASKED = (
    ("instruction", "input", "output"), ("instruction", "context", "response"), ("prompt", "", "completion"),
    ("prompt", "", "response"), ("question", "", "answer"), ("query", "", "response"),
)  # fmt: skip
# Who speaks in ShareGPT's conversations, by the names that are in use.
SAYS = {"human": "user", "user": "user", "gpt": "assistant", "chatgpt": "assistant", "assistant": "assistant",
        "bot": "assistant", "model": "assistant", "system": "system"}  # fmt: skip


def unfolded(raw: Any, *, kind: str) -> Iterator[Any]:
    """A row of Self-Instruct, an instruction with several instances, as one row an instance; any other as it is."""
    instances = raw.get("instances") if kind == DatasetKind.INSTRUCTIONS and isinstance(raw, Mapping) else None
    if not isinstance(instances, list) or not instances or not all(isinstance(one, Mapping) for one in instances):
        yield raw
        return
    for place, instance in enumerate(instances):
        row = {name: value for name, value in raw.items() if name != "instances"} | dict(instance)
        if len(instances) > 1 and isinstance(raw.get("id"), str):
            row["id"] = f"{raw['id']}-{place + 1}"
        yield row


def shaped(raw: Mapping[str, Any], *, kind: str) -> tuple[dict[str, Any], frozenset[str]]:
    """The row with the kind's columns, made from other layouts that are in use, and the columns which that took."""
    row = dict(raw)
    match kind:
        case DatasetKind.CORPUS:
            if "text" not in row and "content" in row:
                return {"source": "", **row, "text": row["content"]}, frozenset({"content"})
            return {"source": "", **row}, frozenset()
        case DatasetKind.LABELLED:
            return labelled.shaped(row)
        case DatasetKind.PROMPTS if "messages" not in row and "prompt" in row:
            return {**row, "messages": talk(row["prompt"], role="user")}, frozenset({"prompt"})
        case DatasetKind.INSTRUCTIONS if "messages" not in row:
            if "conversations" in row or "conversation" in row:
                column = "conversations" if "conversations" in row else "conversation"
                return {**row, "messages": spoken(row[column], system=row.get("system"))}, frozenset({column, "system"})
            for asked, more, answer in ASKED:
                if asked in row and answer in row:
                    question = row[asked]
                    if more and isinstance(row.get(more), str) and row[more].strip():
                        question = f"{question}\n\n{row[more]}"
                    said = [*talk(question, role="user"), *talk(row[answer], role="assistant")]
                    return {**row, "messages": system_turn(row.get("system")) + said}, frozenset(
                        {asked, more, answer, "system"}
                    )
        case DatasetKind.PREFERENCE:
            return comparison(row), frozenset()
    return row, frozenset()


def talk(value: Any, *, role: str) -> Any:
    """A text as a conversation of one turn; a conversation as it is."""
    return [{"role": role, "content": value}] if isinstance(value, str) else value


def comparison(row: dict[str, Any]) -> dict[str, Any]:
    """TRL's preference layouts (explicit or implicit prompt, texts or messages) and Anthropic's HH transcripts."""
    chosen, rejected = row.get("chosen"), row.get("rejected")
    if "prompt" in row:
        sides = [talk(row["prompt"], role="user"), talk(chosen, role="assistant"), talk(rejected, role="assistant")]
    else:
        one, other = transcript_turns(chosen), transcript_turns(rejected)
        if one[:-1] != other[:-1]:
            raise BadLine(gettext("has no prompt that chosen and rejected share"))
        sides = [one[:-1], one[-1:], other[-1:]]
    made = {**row, **dict(zip(("prompt", "chosen", "rejected"), sides, strict=True))}
    if complaint := about_messages(made["prompt"]):
        raise BadLine(gettext("%(complaint)s in %(column)s") % {"complaint": complaint, "column": "prompt"})
    about = conversation_sha256(made["prompt"])
    made = {"group_id": about, "prompt_id": about, "rater": "", "margin": 1.0, "simulated": False, **made}
    made.setdefault("ranking_id", content_id({name: made[name] for name in ("prompt", "chosen", "rejected")}))
    return made


def transcript_turns(value: Any) -> list[dict[str, str]]:
    """ "\\n\\nHuman: Why?\\n\\nAssistant: So." as messages; messages as they are."""
    if isinstance(value, list) and len(value) > 1:
        return value
    parts = TURN.split(value) if isinstance(value, str) else []
    if len(parts) < 5:
        raise BadLine(gettext("has neither a prompt nor a transcript of Human and Assistant"))
    before = [{"role": "system", "content": parts[0].strip()}] if parts[0].strip() else []
    spoken = zip(parts[1::2], parts[2::2], strict=True)
    return before + [{"role": SPEAKERS[who], "content": text.removeprefix(" ")} for who, text in spoken]


def spoken(turns: Any, *, system: Any = None) -> list[dict[str, Any]]:
    """ShareGPT's `from` and `value`, or `role` and `content`, as messages; who says what is named in many ways."""
    if not isinstance(turns, list) or not turns:
        raise BadLine(gettext("has no list of turns"))
    messages = []
    for turn in turns:
        who = turn.get("from", turn.get("role")) if isinstance(turn, Mapping) else None
        if not isinstance(who, str) or who.lower() not in SAYS:
            raise BadLine(gettext("has a turn of nobody known: %(who)s") % {"who": str(who)[:40]})
        messages.append({"role": SAYS[who.lower()], "content": turn.get("value", turn.get("content"))})
    return system_turn(system) + messages if messages[0]["role"] != "system" else messages


def system_turn(text: Any) -> list[dict[str, Any]]:
    return [{"role": "system", "content": text}] if isinstance(text, str) and text.strip() else []


def content_id(row: dict[str, Any]) -> str:
    """An id by content, so that the same file imported twice gives the same rows."""
    try:
        return hashlib.sha256(canonical(row)).hexdigest()[:20]
    except (ValueError, TypeError) as error:  # half characters, endless numbers, dates of Parquet
        raise BadLine(gettext("has a value that is neither text nor number")) from error
