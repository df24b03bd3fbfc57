"""Open-Assistant's trees: wherever two answers or more to one prompt have a rank, they are a task with its consensus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.translation import gettext, gettext_lazy

from annotation.importing.drafts import Draft, Reader
from annotation.services.texts import BadLine

ROLES = {"prompter": "user", "assistant": "assistant"}
CONSENSUS = "Open-Assistant consensus"
DEEPEST = 100


class OpenAssistant(Reader):
    name = "open-assistant"
    label = gettext_lazy("Open-Assistant trees")

    @classmethod
    def fits(cls, record: Mapping[str, Any]) -> bool:
        prompt = record.get("prompt")
        return isinstance(prompt, Mapping) and "text" in prompt and "role" in prompt

    def drafts(self, record: Mapping[str, Any]) -> Iterator[Draft]:
        root = record.get("prompt")
        if not isinstance(root, Mapping):
            raise BadLine(gettext("A tree has a prompt with its replies."), code="bad_shape")
        found = list(self.walk(root, before=[]))
        if not found:
            yield Draft([turn_of(root)], columns=columns_of(root))
            return
        self.note(gettext("A rank is the consensus of several people: it is imported as one rater's order."))
        yield from found

    def walk(self, node: Mapping[str, Any], *, before: list[dict[str, str]]) -> Iterator[Draft]:
        """Depth first. What was deleted or failed its review is left out, with all that follows it."""
        if len(before) >= DEEPEST:
            raise BadLine(gettext("This is nested too deeply."), code="too_deep")
        messages = [*before, turn_of(node)]
        replies = [reply for reply in replies_of(node) if is_shown(reply)]
        if node.get("role") == "prompter" and len(replies) > 1:
            ranked = [reply for reply in replies if is_rank(reply.get("rank"))]
            yield Draft(
                messages,
                tuple(completion_of(reply) for reply in replies),
                (order_of(replies),) if len(ranked) > 1 else (),
                columns=columns_of(node),
            )
        for reply in replies:
            yield from self.walk(reply, before=messages)


def turn_of(node: Mapping[str, Any]) -> dict[str, str]:
    role = ROLES.get(str(node.get("role")))
    if role is None:
        raise BadLine(gettext("A message's role is prompter or assistant."), code="bad_shape")
    text = node.get("text")
    if not isinstance(text, str):
        raise BadLine(gettext("A message's text is a text."), code="bad_shape")
    return {"role": role, "content": text}


def replies_of(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    replies = node.get("replies") or []
    if not isinstance(replies, list) or not all(isinstance(reply, Mapping) for reply in replies):
        raise BadLine(gettext("Replies are a list of messages."), code="bad_shape")
    return replies


def is_shown(reply: Mapping[str, Any]) -> bool:
    return not reply.get("deleted") and reply.get("review_result") is not False


def is_rank(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def name_of(reply: Mapping[str, Any]) -> str:
    return str(reply.get("message_id") or "")


def completion_of(reply: Mapping[str, Any]) -> dict[str, Any]:
    model = reply.get("model_name") or ("a model" if reply.get("synthetic") else "a person of Open-Assistant")
    return {"id": name_of(reply), "text": reply.get("text"), "model": str(model)[:120]}


def order_of(replies: list[Mapping[str, Any]]) -> dict[str, Any]:
    ranks = sorted({reply["rank"] for reply in replies if is_rank(reply.get("rank"))})
    return {
        "rater": CONSENSUS,
        "tiers": [[name_of(reply) for reply in replies if reply.get("rank") == rank] for rank in ranks],
        "unranked": [name_of(reply) for reply in replies if not is_rank(reply.get("rank"))],
    }


def columns_of(node: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": node.get("message_id"), "language": node.get("lang")}
