"""Rankings by raters who are simulated, of texts whose worth is known: what must be found by a model that reads the texts.

A text of `tasks` is eight letters, `a` or `z`, among up to eight others that say nothing: it is worth its `a`s, and its length
is chance. A text of `words` is four to twelve letters out of many, each with a worth of its own: there is more to learn.
"""

from __future__ import annotations

import math
import random
import statistics
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from benchmarks.real_rankings import comparisons_of, ranking

Row = dict[str, Any]

FILL = 8  # at most so many letters that say nothing
WORD = (4, 12)  # letters of a word
MOST_SURE = 100  # what makes her own noise small beside a letter more
FILL_STD = math.sqrt((FILL + 1) * (FILL + 2) / 12)  # of numbers of them that differ within a prompt


@dataclass(frozen=True, slots=True)
class Task:
    """A prompt and its texts; on a prompt of matters of taste, raters of the second group prefer what the others don't."""

    number: int
    texts: tuple[str, ...]
    is_of_taste: bool = False

    @property
    def prompt(self) -> str:
        return f"{'Tell' if self.is_of_taste else 'Say'} {self.number}"


def worth(text: str) -> float:
    return text.count("a")


def spread(some: Sequence[Task]) -> float:
    """The standard deviation of lengths within a prompt, in letters."""
    apart = [len(one) - len(other) for task in some for one, other in combinations(task.texts, 2)]
    return math.sqrt(statistics.fmean(difference**2 for difference in apart) / 2)


def tasks(count: int, *, texts: int, seed: int, first: int = 0, fill: bool = True, taste: bool = False) -> list[Task]:
    """Texts of one prompt differ in their worth; every other prompt is of taste, if any is.

    Every second prompt has texts as good as those of the one before, short ones for long ones: over both, length and worth
    have nothing to do with each other, so that whatever length a model likes was planted.
    """
    luck = random.Random(f"tasks {seed} {first}")
    found = []
    facts: list[tuple[int, int]] = []
    for number in range(first, first + count):
        if (number - first) % 2 == 0:
            fills = luck.sample(range(FILL + 1), texts) if fill else [0] * texts
            facts = list(zip(luck.sample(range(9), texts), fills, strict=True))
        else:
            facts = [(worth_of_it, FILL - filled if fill else 0) for worth_of_it, filled in facts]
        said = []
        for worth_of_it, filled in facts:
            letters = "a" * worth_of_it + "z" * (8 - worth_of_it) + "".join(luck.choices("bcdefgh", k=filled))
            said.append("".join(luck.sample(letters, len(letters))))
        found.append(Task(number, tuple(said), taste and number % 2 == 1))
    return found


# Words, of which every letter has to be learned


def words(count: int, *, texts: int, seed: int, first: int = 0, letters: int = 20) -> list[Task]:
    """Texts of the first `letters` of a to Z, drawn alike, their lengths too."""
    luck = random.Random(f"words {seed} {first}")
    return [
        Task(number, tuple(word(luck, letters=letters) for _ in range(texts))) for number in range(first, first + count)
    ]


def word(luck: random.Random, *, letters: int = 20) -> str:
    return "".join(luck.choices(string.ascii_letters[:letters], k=luck.randint(*WORD)))


def worth_of_words(seed: int, *, letters: int = 20) -> Callable[[str], float]:
    """The sum of its letters' worths, which are drawn with mean 0 and standard deviation 1: length is worth nothing."""
    luck = random.Random(f"worths {seed}")
    drawn = [luck.gauss(0, 1) for _ in range(letters)]
    mean, std = statistics.fmean(drawn), statistics.pstdev(drawn)
    worths = {letter: (one - mean) / std for letter, one in zip(string.ascii_letters, drawn, strict=False)}
    return lambda text: sum(worths[letter] for letter in text)


# Comparisons, some of them wrong


def flipped(some: Sequence[Task], *, rate: float, seed: int, worth: Callable[[str], float] = worth) -> list[Row]:
    """All comparisons by worth, each turned around with probability `rate`; 0.5 tells nothing. Equal worths give none."""
    luck = random.Random(f"flips {seed} {rate}")
    rows = []
    for task in some:
        order = sorted(task.texts, key=worth, reverse=True)
        pairs = [(one, other) for one, other in combinations(order, 2) if worth(one) > worth(other)]
        for number, (better, worse) in enumerate(pairs):
            if luck.random() < rate:
                better, worse = worse, better
            rows.append({
                "id": f"{task.number}-{number}", "prompt_id": f"p{task.number}", "group_id": f"g{task.number}",
                "ranking_id": f"{task.number}", "rater": "ada", "margin": 1.0, "weight": 1 / len(pairs), "simulated": True,
                "prompt": [{"role": "user", "content": task.prompt}],
                "chosen": [{"role": "assistant", "content": better}],
                "rejected": [{"role": "assistant", "content": worse}],
            })  # fmt: skip
    return rows


# Whole rankings


def ranked(
    some: Sequence[Task],
    *,
    raters: Sequence[str],
    seed: int,
    sharpness: float = 0.6,
    length: float = 0.0,
    std: float = FILL_STD,
    a_task: int | None = None,
    worth: Callable[[str], float] = worth,
) -> tuple[list[Row], list[Row]]:
    """Rankings, and their comparisons, by `a_task` of the raters each (all without it).

    A rater orders texts by `sharpness` x worth + `length` x their length / `std` + her own Gumbel noise, which is
    Plackett-Luce. Whose name begins with "x" orders by lot, with "l" by length alone, with "n" by the opposite of worth;
    with "o", she turns around what is of taste.
    """
    luck = random.Random(f"ranked {seed} {some[0].number if some else 0}")
    rankings = []
    for task in some:
        for rater in luck.sample(sorted(raters), a_task or len(raters)):
            sign = -1 if rater.startswith("n") or (task.is_of_taste and rater.startswith("o")) else 1
            scored = {}
            for number, text in enumerate(task.texts):
                told = sign * sharpness * worth(text) + length * len(text) / std
                told = {"x": 0.0, "l": float(MOST_SURE * len(text))}.get(rater[0], told)
                scored[str(number)] = told - math.log(-math.log(luck.random()))
            order = sorted(scored, key=lambda name: -scored[name])
            texts = {str(number): text for number, text in enumerate(task.texts)}
            rankings.append(ranking(task.number, task.prompt, texts, [[name] for name in order], rater=rater))
    share = 1 / (a_task or len(raters))
    return rankings, [row for one in rankings for row in comparisons_of(one, share=share)]
