"""What an endpoint's answers say of (A) against (B), as log-odds: by log-probabilities of the letter, or by counting answers."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from training.mechanics.generation.endpoint import Choice

AROUND = "()[]*\"'.:` \n\t▁Ġ"  # what a token may have around the letter
NAMED = re.compile(r"\(([AB])\)|\b([AB])\b(?!['’])")
LEAST = 1e-30  # a probability whose logarithm is a number
PRIOR = 0.5  # of an answer each (Jeffreys): votes that all agree are not certainty


def by_logprobs(choice: Choice) -> float | None:
    """log P(A) - log P(B) where the letter is written; none where it is nowhere among the likeliest tokens.

    That place is the first at which the two letters have most of the probability, or else the one at which they have the most:
    where a bracket comes first, letters without it stand among its alternatives. Tokens that write the same letter are added.
    One letter of the two may be missing there: then it is as likely as the least likely token that is told, or less, and
    counts as that.
    """
    found: list[tuple[float, float]] = []
    for top in choice.tops or []:
        sums = [sum(math.exp(p) for token, p in top.items() if token.strip(AROUND) == letter) for letter in "AB"]
        if mass := sum(sums):
            least = math.exp(min(top.values()))
            a, b = (math.log(max(one or least, LEAST)) for one in sums)
            found.append((mass, a - b))
            if mass > 0.5:
                return a - b
    return max(found)[1] if found else None


def by_votes(choices: Sequence[Choice]) -> float | None:
    """Of answers that name a letter; none where no answer does."""
    named = [letter_of(choice.text) for choice in choices]
    a, b = named.count("A"), named.count("B")
    return math.log(a + PRIOR) - math.log(b + PRIOR) if a + b else None


def letter_of(text: str) -> str:
    """The letter that an answer names first, in brackets if any; "" for none."""
    found = [one or other for one, other in NAMED.findall(text)]
    bracketed = [one for one, _ in NAMED.findall(text) if one]
    return next(iter(bracketed or found), "")
