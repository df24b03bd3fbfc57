"""What of a critic's answer is the revised reply: words about the revision are cut off, and what is no reply is refused.

Cut: thoughts, the marks of our own request, a role's label before the reply, a preface ("Sure, here is a revised reply:"), a last
paragraph about the changes, and a conversation that goes on by itself. All of it by what it says, at the edges: a colon alone
is no sign, and a text without such words stays as it is, to the letter. So does one whose reply before had the like: a person
may have asked for a revised letter, or for a dialogue.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from training.mechanics.constitutional.prompts import MARKS

Why = Literal["", "empty", "unchanged", "echo", "example", "leak", "cut", "too_long"]
WHYS: tuple[Why, ...] = ("empty", "unchanged", "echo", "example", "leak", "cut", "too_long")

NOUN = r"(?:reply|replies|response|answer|version|text|message|wording|rewrite|revision|draft)"
REVISED = r"(?:revised|rewritten|reworded|rephrased|reworked|amended|improved)"
BETTER = r"(?:revised|rewritten|reworded|rephrased|reworked|amended|improved|updated|edited|corrected|modified|new|better|safer)"
REVISING = r"(?:revised|rewritten|rewrote|reworded|rephrased|reworked)"
CHANGING = r"(?:revised|rewritten|rewrote|reworded|rephrased|edited|corrected|removed|replaced|changed|modified)"
YES = r"(?:(?:sure(?:\s+thing)?|certainly|of\s+course|absolutely|okay|ok|yes|understood|alright|gladly)[,.!:;]?\s+(?:[-–—]\s+)?)?"
ITS = r"(?:my|the|a|an|your|this|that|its|one)"
I_HAVE = r"i(?:'ve|\s+have)?"
# "Here is a revised reply that harms nobody:", "I have rewritten the answer as follows:", "**Revised response:**", "Revision:"
ANNOUNCED = re.compile(
    rf"""\A[*_#>\s]*{YES}(?:
        (?:here(?:'s|\s+is|\s+are)|below\s+is)\b[^:\n]{{0,60}}?\b{BETTER}\s+(?:and\s+\w+\s+)?(?:\w+\s+)?{NOUN}\b[^:\n]{{0,120}}
        | (?:this|the\s+following)\s+is\b[^:\n]{{0,60}}?\b{REVISED}\s+(?:\w+\s+)?{NOUN}\b[^:\n]{{0,120}}
        | {I_HAVE}\s+{REVISING}\b[^:\n]{{0,60}}?\b{NOUN}\b[^:\n]{{0,120}}
        | (?:{ITS}\s+)?{REVISED}\s+(?:\w+\s+)?{NOUN}\b[^:\n]{{0,40}}
        | (?:{ITS}\s+)?(?:revision|rewrite)(?:\s+\d+)?
    )[*_]*[ \t]*:[*_]*(?:\s+|\Z)""",
    re.I | re.X,
)
# The same as a sentence or a line of its own.
TOLD = re.compile(
    rf"""\A\s*{YES}(?:{I_HAVE}\s+{REVISING}\s+(?:{ITS}\s+)?(?:\w+\s+)?{NOUN}|here(?:'s|\s+is)\s+{ITS}\s+{REVISED}\s+(?:\w+\s+)?{NOUN})\b
    [^.!?:\n]{{0,120}}(?:[.!]+(?:\s+|\Z)|\n+|\Z)""",
    re.I | re.X,
)
# A last paragraph about what was done: "(I removed the harmful advice.)", "Changes made: ..."
AFTERWARDS = re.compile(
    rf"""\n[ \t]*\n[*_(\[\s]*(?:note:?[ \t]+)?(?:
        {I_HAVE}\s+{CHANGING}\b[^\n]{{0,160}}?\b(?:reply|response|answer|wording|tone|language|suggestions?|advice|harm\w*|critici\w+)\b
        | (?:the|this|my)\s+{REVISED}\s+{NOUN}\b | (?:changes|edits)\s+made\s*: | explanation\s+of\s+(?:the\s+)?changes\s*:
    )(?:(?!\n[ \t]*\n).)*\Z""",
    re.I | re.X | re.S,
)
THOUGHT = re.compile(r"\A\s*<(think|thinking)>.*?(?:</\1>|\Z)", re.I | re.S)
# Our own quotation, begun by the critic itself: the reply is what stands in it, and nothing behind its end is.
OPENED = re.compile(r"\A.*?<reply>\s*", re.I | re.S)
CLOSED = re.compile(rf"\s*<(?:/(?:{'|'.join(MARKS)})|conversation|criticism)>.*\Z", re.I | re.S)
# The same under another name, which the reply itself did not open.
UNOPENED = re.compile(r"\s*</(?P<name>response|answer|revision)>.*\Z", re.I | re.S)
LABEL = re.compile(r"\A\s*[*_]{0,2}assistant[*_]{0,2}\s*:[*_]{0,2}\s+", re.I)
# Case counts, and so does the beginning of a line: "Human: ..." is a turn, "the human: a study" is none.
TURN = re.compile(
    r"(?:(?:\A|\n)[ \t]*(?:Human|HUMAN|Assistant|ASSISTANT)|\n[ \t]*\n[ \t]*(?:User|USER|Person))[ \t]*:(?=\s|\Z)"
)
STILL = re.compile(
    rf"""\b(?:my|the|this|your)\s+(?:revised|rewritten|original|previous)\s+(?:reply|response|answer)\b
    | \bthe\s+critici(?:sm|que)\s+above\b | \b(?:critique|revision)\s+request\b
    | \bthe\s+words\s+of\s+the\s+new\s+reply\b | </?(?:{"|".join(MARKS)})>""",
    re.I | re.X,
)
LONG_ENOUGH = 24  # characters of a request that are no accident in a reply
LONG_SENTENCE = 48  # characters of an example's sentence that are none, either
RUN = 5  # words in a row that an example has, too, are its words ...
MOST_BORROWED = 0.25  # ... of which a reply may have so large a share
FEW = 10  # ... or fewer than so many
WORD = re.compile(r"[\w']+")
SENTENCES = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True, slots=True)
class Cleaned:
    """`text` is the reply, as far as there is one; `why` it is not taken, "" where it is."""

    text: str
    why: Why = ""

    @property
    def is_kept(self) -> bool:
        return not self.why


def clean(
    answer: str, *, before: str, request: str = "", asked: str = "", critique: str = "", examples: Iterable[str] = ()
) -> Cleaned:
    """The reply in `answer`, which was to revise `before` by `request`.

    `asked` are the person's last words, `critique` what was found wrong, `examples` what the critic was shown of others' replies.
    """
    if not answer.strip():
        return Cleaned("", "empty")
    text = stripped(answer, before=before)
    if not text:
        return Cleaned("", "leak")  # there was nothing but words about it
    if plain(text) == plain(before):
        return Cleaned(text, "unchanged")
    if is_echo(text, request=request, asked=asked, critique=critique):
        return Cleaned(text, "echo")
    if is_copied(text, examples, before=f"{before} {asked}"):
        return Cleaned(text, "example")
    if has(STILL, text) and not has(STILL, before):
        return Cleaned(text, "leak")
    return Cleaned(text)


def stripped(answer: str, *, before: str = "") -> str:
    """Without what stands around the reply; where nothing does, the very same text, but for spaces at its ends."""
    cuts = [THOUGHT, *(cut for cut in (OPENED, CLOSED, LABEL, ANNOUNCED, TOLD, AFTERWARDS) if not has(cut, before))]
    text, was = answer.strip(), ""
    while text != was:
        was = text
        for cut in cuts:
            text = without(cut, text).strip()
        if (turn := TURN.search(text)) and not TURN.search(before):
            text = text[: turn.start()].strip()
        if (
            (end := UNOPENED.search(text))
            and f"<{end['name']}" not in text[: end.start()]
            and not UNOPENED.search(before)
        ):
            text = text[: end.start()].strip()
    return text


def is_echo(text: str, *, request: str, asked: str, critique: str) -> bool:
    """Whether it says the request again, or no more than what was asked or found wrong."""
    said, wish = plain(text), plain(request)
    return (len(wish) >= LONG_ENOUGH and wish in said) or said in (plain(asked), plain(critique))


def is_copied(text: str, examples: Iterable[str], *, before: str) -> bool:
    """Whether a whole sentence of an example is in it, or much of it is in an example's words, which small models like better
    than to write their own."""
    said, known, given = plain(text), plain(before), list(examples)
    sentences = (plain(sentence) for example in given for sentence in SENTENCES.split(example))
    if any(len(one) >= LONG_SENTENCE and one in said and one not in known for one in sentences):
        return True
    borrowed, num = num_borrowed(text, given, before=before)
    return borrowed >= FEW and borrowed >= MOST_BORROWED * num


def num_borrowed(text: str, examples: Iterable[str], *, before: str) -> tuple[int, int]:
    """How many words of it stand in runs that an example has, and nothing before it had; and how many words it has."""
    runs = {run for example in examples for run in runs_of(example)} - set(runs_of(before))
    found = runs_of(text)
    places = {place + i for place, run in enumerate(found) if run in runs for i in range(RUN)}
    return len(places), len(found) + RUN - 1


def runs_of(text: str) -> list[tuple[str, ...]]:
    words = WORD.findall(straight(text).casefold())
    return [tuple(words[i : i + RUN]) for i in range(len(words) - RUN + 1)]


def without(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(straight(text))
    return text[: found.start()] + text[found.end() :] if found else text


def has(pattern: re.Pattern[str], text: str) -> bool:
    return bool(pattern.search(straight(text)))


def straight(text: str) -> str:
    """Letter for letter, so that places in it are places in the text."""
    return text.replace("’", "'")


def plain(text: str) -> str:
    return " ".join(text.casefold().split())
