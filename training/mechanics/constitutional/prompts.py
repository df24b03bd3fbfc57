"""How a critique and a revision are asked for: one turn of the user's each, and examples as turns before it.

An exchange is shown in the turn as a quotation between marks, not as turns of its own: so each turn of the assistant's is
exactly what is asked for, examples cannot run into the exchange, and what was said before may hold any words and signs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from training.mechanics.constitutional.principles import Example, Principle
from training.mechanics.datasets import Message

Wish = Literal["critique", "revision"]
SPEAKERS = {"system": "Setting", "user": "Person", "assistant": "Assistant"}
CRITIQUE = """\
Below are a conversation and the reply that an assistant gave to it.

<conversation>
{talk}
</conversation>
<reply>
{text}
</reply>

{request}

Name what is wrong in the reply, and where. Do not write another reply yet."""
REVISION = """\
Below are a conversation, the reply that an assistant gave to it, and what a reader found wrong in that reply.

<conversation>
{talk}
</conversation>
<reply>
{text}
</reply>
<criticism>
{critique}
</criticism>

{request}

Answer with the words of the new reply alone, as the person is to read them: nothing before them, nothing about them."""
MARKS = ("conversation", "reply", "criticism")


@dataclass(frozen=True, slots=True)
class Ask:
    """One critique or revision that is wanted. `critique` is "" where that is what is asked for."""

    wish: Wish
    talk: tuple[tuple[str, str], ...]
    """The prompt's turns: role and content."""
    text: str
    principle: Principle
    seed: int
    examples: tuple[tuple[Principle, Example], ...] = ()
    critique: str = ""

    @property
    def request(self) -> str:
        return self.principle.critique if self.wish == "critique" else self.principle.revision

    @property
    def size(self) -> int:
        """Characters of what differs from ask to ask, by which those of like length go together."""
        return len(self.text) + len(self.critique) + sum(len(content) for _, content in self.talk)


def messages_of(ask: Ask, *, examples: int | None = None) -> list[Message]:
    """The whole conversation that is put to the critic, up to where it is to speak, with the first `examples`."""
    turns: list[Message] = []
    for principle, example in ask.examples[:examples]:
        request = principle.critique if ask.wish == "critique" else principle.revision
        shown = put(ask.wish, [("user", example.prompt)], example.response, example.critique, request=request)
        answer = example.critique if ask.wish == "critique" else example.revision
        turns += [{"role": "user", "content": shown}, {"role": "assistant", "content": answer}]
    shown = put(ask.wish, ask.talk, ask.text, ask.critique, request=ask.request)
    return [*turns, {"role": "user", "content": shown}]


def put(wish: Wish, talk: Sequence[tuple[str, str]], text: str, critique: str, *, request: str) -> str:
    told = "\n".join(f"{SPEAKERS.get(role, role)}: {content}" for role, content in talk)
    form = CRITIQUE if wish == "critique" else REVISION
    return form.format(talk=told, text=text, critique=critique, request=request)
