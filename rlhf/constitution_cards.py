"""The form of a draft: a card a principle, as it is typed, moved about and read; kept nowhere until it is saved as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.http import QueryDict
from django.utils.translation import gettext

from accounts.numbers import digits
from registry.services.principles import EXAMPLE, REQUESTS
from rlhf.services.constitutions.wording import MOST_EXAMPLES, MOST_PRINCIPLES, BadConstitution, Example, Wording

LINES = ("id", "weight", "tags", "try")  # the last is the prompt on which a card is tried, and no part of the principle


@dataclass(slots=True)
class Card:
    """What stands in one card's fields; `focus` is where the cursor goes, `wrong` the field that was refused."""

    number: int = 0
    texts: dict[str, str] = field(default_factory=dict)
    examples: list[dict[str, str]] = field(default_factory=list)
    focus: str = ""
    wrong: str = ""

    @property
    def prefix(self) -> str:
        return f"p-{self.number}"

    def as_wording(self) -> Wording:
        """Unchecked, but that examples of which nothing was filled in are none."""
        told = {name: self.texts.get(name, "") for name in ("id", *REQUESTS)}
        return Wording(
            **told,
            weight=number_of(self.texts.get("weight", "")),
            tags=tuple(tag.strip() for tag in self.texts.get("tags", "").split(",") if tag.strip()),
            examples=tuple(Example(**one) for one in self.examples if any(text.strip() for text in one.values())),
        )


def number_of(text: str) -> float:
    """NaN, which no principle may weigh, for what is no number."""
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        return float("nan")


def card_of(wording: Wording) -> Card:
    row = wording.as_row()
    texts = {name: row[name] for name in ("id", *REQUESTS)}
    return Card(
        texts={**texts, "weight": digits(wording.weight), "tags": ", ".join(wording.tags)}, examples=row["examples"]
    )


def empty_card() -> Card:
    return Card(texts={"weight": "1"}, focus="id")


def cards_posted(form: QueryDict) -> list[Card]:
    """As many as the form says that it has. Raises `BadConstitution` where one of them, or that number, is not there."""
    prefixes = [f"p-{n}" for n in range(1, 1 + number_in(form, "cards", most=MOST_PRINCIPLES))]
    if "cards" not in form or any(f"{prefix}-id" not in form for prefix in prefixes):
        raise BadConstitution(gettext("This form did not arrive whole: reload the page."), code="torn_form")
    return [card_posted(form, prefix) for prefix in prefixes]


def card_posted(form: QueryDict, prefix: str) -> Card:
    examples = number_in(form, f"{prefix}-examples", most=MOST_EXAMPLES)
    return Card(
        texts={name: form.get(f"{prefix}-{name}", "") for name in (*LINES, *REQUESTS)},
        examples=[
            {name: form.get(f"{prefix}-example-{at}-{name}", "") for name in EXAMPLE} for at in range(1, 1 + examples)
        ],
    )


def number_in(form: QueryDict, name: str, *, most: int, otherwise: int = 0) -> int:
    told = form.get(name, "")
    return min(int(told), most) if told.isascii() and told.isdigit() and len(told) < 10 else otherwise


def rearranged(cards: list[Card], deed: str) -> list[Card]:
    """After a button of the form was pressed: "add", "up:2", "down:2", "remove:2", "example:2". Any other changes nothing."""
    verb, _, told = deed.partition(":")
    if verb == "add" and len(cards) < MOST_PRINCIPLES:
        return [*cards, empty_card()]
    at = int(told) - 1 if told.isascii() and told.isdigit() and len(told) < 5 else -1
    if not 0 <= at < len(cards):
        return cards
    match verb:
        case "up" | "down":
            to = at - 1 if verb == "up" else at + 1
            cards[at].focus = verb
            cards.insert(to, cards.pop(at)) if 0 <= to < len(cards) else None
        case "remove":
            del cards[at]
            if cards:
                cards[min(at, len(cards) - 1)].focus = "id"
        case "example" if len(cards[at].examples) < MOST_EXAMPLES:
            cards[at].examples.append(dict.fromkeys(EXAMPLE, ""))
            cards[at].focus = "example"
    return cards


def numbered(cards: Sequence[Card]) -> Sequence[Card]:
    for number, card in enumerate(cards, start=1):
        card.number = number
    return cards
