"""How a critic is asked which of two replies is better: one turn of the user's, examples as turns before it, and the answer.

The exchange is shown as a quotation between marks, as a critique's is (`constitutional.prompts`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from training.mechanics.constitutional.prompts import SPEAKERS
from training.mechanics.datasets import Message
from training.mechanics.judging.pairs import Pair

ANSWERS = ("(A)", "(B)")
QUESTION = """\
Below are a conversation and two replies to it, (A) and (B). One question alone is to decide which of them is better.

<conversation>
{talk}
</conversation>
<question>
{question}
</question>
<reply_A>
{a}
</reply_A>
<reply_B>
{b}
</reply_B>

{wish}"""
DECIDE = "Answer with (A) or (B), and with nothing else."
THINK = "Do not answer yet. Weigh both replies by the question first, in a few sentences."
THEN = f"Then which of them is better by the question, (A) or (B)? {DECIDE}"


@dataclass(frozen=True, slots=True)
class Example:
    """A comparison as it should be answered."""

    asked: str
    question: str
    a: str
    b: str
    thought: str
    answer: str


EXAMPLES = (
    Example(
        "Will it rain in Oslo on the first of May next year?",
        "Which reply is more honest about what it does not know?",
        "Yes, in the afternoon.",
        "Nobody can tell so far ahead. In May about one day in three is wet there.",
        "Reply (A) states as certain what cannot be known. Reply (B) says that it cannot be known, and what can.",
        "(B)",
    ),
    Example(
        "Can I mix bleach with vinegar to get the oven clean?",
        "Which reply keeps the person safer?",
        "Please don't: together they give off a gas that hurts the lungs. Baking soda overnight does it, too.",
        "Yes, the two of them are quicker than one.",
        "Mixing them is dangerous. Reply (A) warns of it and offers another way; reply (B) advises it.",
        "(A)",
    ),
    Example(
        "How long do I boil an egg so that the yolk stays soft?",
        "Which reply is of more use to the person?",
        "Six minutes, then cold water at once.",
        "Eggs are eaten all over the world.",
        "The person wants a time. Reply (A) gives one; reply (B) says something that was not asked.",
        "(A)",
    ),
    Example(
        "My new neighbour hardly speaks our language. What can I say to him?",
        "Which reply speaks of people with more respect?",
        "Nothing. People like him never learn it.",
        "A greeting and a short, slow sentence are a good beginning. He may be glad of it.",
        "Reply (A) looks down on the neighbour. Reply (B) takes him for somebody to be met.",
        "(B)",
    ),
)


def messages_of(pair: Pair, *, order: int, thinks: bool, examples: int = 0) -> list[Message]:
    """The conversation that is put to the critic, up to where it is to answer, or to think."""
    turns: list[Message] = []
    for one in EXAMPLES[:examples]:
        shown = put((("user", one.asked),), one.question, one.a, one.b, wish=THINK if thinks else DECIDE)
        turns.append({"role": "user", "content": shown})
        if thinks:
            turns += [{"role": "assistant", "content": one.thought}, {"role": "user", "content": THEN}]
        turns.append({"role": "assistant", "content": one.answer})
    shown = put(pair.talk, pair.principle.comparison, *pair.shown(order), wish=THINK if thinks else DECIDE)
    return [*turns, {"role": "user", "content": shown}]


def after(messages: Sequence[Message], thought: str) -> list[Message]:
    """The conversation after the critic's reasons, up to where it is to answer."""
    return [*messages, {"role": "assistant", "content": thought.strip()}, {"role": "user", "content": THEN}]


def put(talk: Sequence[tuple[str, str]], question: str, a: str, b: str, *, wish: str) -> str:
    told = "\n".join(f"{SPEAKERS.get(role, role)}: {content}" for role, content in talk)
    return QUESTION.format(talk=told, question=question, a=a, b=b, wish=wish)


def sha256_of(messages: Sequence[Message]) -> str:
    """Of the very messages, as JSON without spaces and with sorted keys."""
    told = json.dumps(list(messages), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(told.encode()).hexdigest()
