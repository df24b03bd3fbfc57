"""Before training on preferences: how much of them is length, and what to do where it is most of it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from training.context import RunContext
from training.mechanics.trainers.judgement import accuracy, interval

MOSTLY = (
    0.65  # right by length alone, at the lower end of the interval: from here on length is most of what is preferred
)


@dataclass(frozen=True, slots=True)
class LengthAudit:
    """Of n comparisons, in tokens of completions: `longer`, the share whose chosen text is the longer one (as long counts half);
    `difference`, chosen less rejected on average; `right`, of one who only looks at length and knows which way it goes, with
    95 % by bootstrap over prompts.
    """

    longer: float
    difference: float
    right: float
    low: float
    high: float
    n: int

    @property
    def is_mostly_length(self) -> bool:
        return self.low > MOSTLY

    def metrics(self) -> dict[str, float]:
        return {
            "chosen_longer": self.longer,
            "length_difference": self.difference,
            "length_accuracy": self.right,
            "length_accuracy_low": self.low,
            "length_accuracy_high": self.high,
        }


def audit(lengths: Sequence[tuple[int, int]], groups: Sequence[str]) -> LengthAudit:
    """`lengths`: of each comparison the tokens of the chosen and of the rejected completion; `groups`: its prompt."""
    differences = [float(chosen - rejected) for chosen, rejected in lengths]
    longer = accuracy(differences)
    sign = 1 if longer >= 0.5 else -1
    guesses = [sign * difference for difference in differences]
    low, high = interval(guesses, groups)
    return LengthAudit(longer, statistics.fmean(differences), accuracy(guesses), low, high, len(lengths))


def tell(found: LengthAudit, *, remedied: bool, context: RunContext) -> None:
    """As metrics of step 0 and a line of the log; as a warning where length is most of it and nothing is done about it."""
    context.metric(0, **found.metrics())
    context.log(
        f"The chosen text is the longer one in {found.longer:.0%} of {found.n} comparisons, by {found.difference:+.1f} tokens "
        f"on average. By length alone one is right in {found.right:.0%} ({found.low:.0%} to {found.high:.0%})."
    )
    if found.is_mostly_length and not remedied:
        way = "longer" if found.longer >= 0.5 else "shorter"
        context.warn(
            "mostly_length",
            f"Who only picks the {way} text is right in {found.right:.0%} of the comparisons (at least {found.low:.0%}): the "
            f"policy will learn to write {way} texts above all. Take the loss sigmoid_norm (with a beta of 2 or more) or "
            "ld_alpha 0.5, or ask raters about content.",
        )
