"""The demo's lessons: questions about the addresses with short answers taken from them, for fine-tuning a model from zero."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from operator import itemgetter
from typing import Any

from rlhf.demo.corpus import Address, Split, addresses, share

Talk = list[dict[str, str]]

PER_ADDRESS = 20
QUOTE = range(50, 170)  # characters of a sentence that a question quotes
ANSWER = range(40, 200)  # ... and of one that an answer gives
# Not behind a title, an initial or a number ("Mr. Speaker", "U. S. Grant", "No. 4").
SENTENCE_END = re.compile(r"(?<![A-Z])(?<!\bMr)(?<!\bMrs)(?<!\bDr)(?<!\bNo)(?<!\bSt)(?<=[.!?])\s+(?=[A-Z])")
UNFIT = re.compile(r"[\[\]()\"“”_]|\d{4,}|--|^(Mr|Members|Fellow|The White House)\b")

# What a question may be about, and the words by which a sentence shows that it is.
TOPICS = {
    "peace": r"\bpeace\b",
    "war": r"\bwars?\b",
    "the Navy": r"\b[Nn]avy\b|\bnaval\b",
    "the Army": r"\b[Aa]rmy\b",
    "trade": r"\btrade\b|\bcommerce\b",
    "taxes": r"\btax(es|ation)?\b",
    "the tariff": r"\btariffs?\b",
    "the public debt": r"\b(public|national) debt\b|\bdeficits?\b",
    "money": r"\bcurrency\b|\bgold\b|\bsilver\b",
    "schools": r"\bschools?\b|\beducation\b",
    "farming": r"\bfarm(ers?|s|ing)?\b|\bagricultur",
    "the railroads": r"\brailroads?\b|\brailways?\b",
    "work": r"\bjobs?\b|\bworkers?\b|\bwages\b|\blabor\b",
    "health": r"\bhealth\b|\bdisease\b",
    "justice": r"\bjustice\b|\bcourts?\b",
    "freedom": r"\bfreedom\b|\bliberty\b",
    "the Constitution": r"\bConstitution\b",
    "the public lands": r"\bpublic lands?\b|\bforests?\b",
    "the treaties": r"\btreat(y|ies)\b",
    "Mexico": r"\bMexic",
    "Great Britain": r"\bGreat Britain\b|\bBritish\b",
    "the post office": r"\b(post-?office|postal|mails?)\b",
    "prosperity": r"\bprosperity\b|\bprosperous\b",
    "Congress": r"\bCongress\b",
}


def rows(split: Split, *, per_address: int = PER_ADDRESS) -> Iterator[dict[str, Any]]:
    """Instruction rows {id, messages}; no opening question occurs twice, in one split or in both; order by hash."""
    found: list[dict[str, Any]] = [
        {"id": identity(talk), "messages": talk} for where, talk in all_talks(per_address) if where == split
    ]
    yield from sorted(found, key=itemgetter("id"))


def identity(talk: Talk) -> str:
    words = "\n".join(message["content"] for message in talk)
    return hashlib.sha256(words.encode()).hexdigest()[:16]


@cache
def all_talks(per_address: int) -> tuple[tuple[Split, Talk], ...]:
    """Of both splits at once: which of two equal questions stays must not depend on which split is asked for."""
    found: dict[str, tuple[Split, Talk]] = {}
    for address in addresses():
        for talk in talks(address, most=per_address):
            found.setdefault(talk[0]["content"], (address.split, talk))
    return tuple(found.values())


def talks(address: Address, *, most: int) -> list[Talk]:
    """At most `most` conversations about one address, the same ones each time."""
    lot = random.Random(address.key)
    text = sentences(address.text)
    made = [
        *facts(address, lot=lot),
        *about(address, text, lot=lot),
        *continued(text, lot=lot),
        *quoted(address, text, lot=lot),
    ]
    return lot.sample(made, min(most, len(made)))


Paragraphs = list[list[str]]


def sentences(text: str) -> Paragraphs:
    """The sentences of each paragraph; tables and signatures are left out."""
    found = []
    for paragraph in text.split("\n\n"):
        if "\n" not in paragraph.strip():
            found.append([part.strip() for part in SENTENCE_END.split(paragraph.strip())])
    return found


def fits(sentence: str, lengths: range) -> bool:
    return len(sentence) in lengths and sentence[0].isupper() and sentence.endswith(".") and not UNFIT.search(sentence)


def alone(text: Paragraphs, lengths: range) -> list[str]:
    return [one for paragraph in text for one in paragraph if fits(one, lengths)]


def talk(*turns: str) -> Talk:
    return [{"role": "assistant" if i % 2 else "user", "content": turn} for i, turn in enumerate(turns)]


def facts(address: Address, *, lot: random.Random) -> Iterator[Talk]:
    name, year = address.president, address.year
    yield talk(
        lot.choice([f"Who spoke to Congress in {year}?", f"Which president gave the address of {year}?"]),
        f"{name} did.",
    )
    yield talk(f"Which party did the president of {year} belong to?", party_of(address))


def party_of(address: Address) -> str:
    if address.party == "Nonpartisan":
        return f"{address.president} belonged to no party."
    return f"{address.president} belonged to the {address.party} Party."


def about(address: Address, text: Paragraphs, *, lot: random.Random) -> Iterator[Talk]:
    name, year = address.president, address.year
    candidates = alone(text, ANSWER)
    for topic, words in TOPICS.items():
        told = [one for one in candidates if re.search(words, one)]
        if not told:
            continue
        answer = lot.choice(told)
        if share(answer) < 0.2:
            yield talk(
                f"Who spoke to Congress in {year}, and what was said about {topic}?",
                f"{name} did.",
                "What was said?",
                answer,
            )
            continue
        question = lot.choice(
            [
                f"What did President {name} say to Congress in {year} about {topic}?",
                f"In one sentence, what was said about {topic} in the address of {year}?",
                f"Write a sentence about {topic} as {name} did in {year}.",
            ]
        )
        yield talk(question, answer)


def continued(text: Paragraphs, *, lot: random.Random) -> Iterator[Talk]:
    pairs = [
        (one, following)
        for paragraph in text
        for one, following in pairwise(paragraph)
        if fits(one, QUOTE) and fits(following, ANSWER)
    ]
    for one, following in lot.sample(pairs, min(8, len(pairs))):
        yield talk(
            lot.choice(["Continue this address: ", "What comes next? ", "Add a sentence to this: "]) + one, following
        )


def quoted(address: Address, text: Paragraphs, *, lot: random.Random) -> Iterator[Talk]:
    known = alone(text, QUOTE)
    for number, one in enumerate(lot.sample(known, min(6, len(known)))):
        if number % 2:
            yield talk(f'In which year did a president say this? "{one}"', f"In {address.year}.")
        else:
            yield talk(f'Which president wrote this? "{one}"', f"{address.president}, in {address.year}.")
