"""Worked examples of a guideline: a prompt, texts, the right order, and why it is right. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.utils.translation import gettext

from accounts.numbers import whole
from annotation.services.texts import complaint_about
from annotation.weak_order import BadOrder, check_complete, format_order, parse_order

MOST = 12
FEWEST_TEXTS, MOST_TEXTS = 2, 6
LONGEST = 20_000  # characters of a prompt or a text
LONGEST_WHY = 4_000
LETTERS = "abcdef"


class BadExample(ValueError):
    """An example that can't be used; its text is a sentence for a person, `field` where it is wrong."""

    def __init__(self, sentence: str, *, field: str) -> None:
        super().__init__(sentence)
        self.field = field


@dataclass(frozen=True, slots=True)
class Example:
    """`order` is a line as raters type it: the first text is a."""

    prompt: str
    texts: tuple[str, ...]
    order: str
    why: str


def example_of(*, prompt: str, texts: Sequence[str], order: str, why: str) -> Example:
    """From what a person fills in. Raises `BadExample`."""
    prompt, why = tidy(prompt), tidy(why)
    told = tuple(text for text in map(tidy, texts) if text)
    if not prompt or len(prompt) > LONGEST:
        raise BadExample(
            gettext("An example has a prompt of 1 to %(most)s characters.") % {"most": whole(LONGEST)}, field="prompt"
        )
    if not FEWEST_TEXTS <= len(told) <= MOST_TEXTS or max(map(len, told)) > LONGEST:
        raise BadExample(
            gettext("An example has %(fewest)s to %(most)s texts of at most %(longest)s characters.")
            % {"fewest": FEWEST_TEXTS, "most": MOST_TEXTS, "longest": whole(LONGEST)},
            field="text_a",
        )
    if not why or len(why) > LONGEST_WHY:
        raise BadExample(
            gettext("Say why the order is right, in at most %(most)s characters.") % {"most": whole(LONGEST_WHY)},
            field="why",
        )
    if complaint := complaint_about([prompt, told, why, order]):
        raise BadExample(gettext("There is %(complaint)s in the example.") % {"complaint": complaint}, field="prompt")
    try:
        read = parse_order(order)
        check_complete(read, names=LETTERS[: len(told)])
    except BadOrder as error:
        raise BadExample(str(error), field="order") from error
    return Example(prompt, told, format_order(read), why)


def tidy(text: str) -> str:
    return text.replace("\r\n", "\n").strip()


def examples_of(given: Iterable[Any]) -> tuple[Example, ...]:
    """As they are stored."""
    return tuple(Example(one["prompt"], tuple(one["texts"]), one["order"], one["why"]) for one in given)


def as_json(examples: Iterable[Example]) -> list[dict[str, Any]]:
    return [asdict(example) | {"texts": list(example.texts)} for example in examples]
