"""Partial credit of a ranking against a gold one, and how far a rater agrees with herself on a task that came twice."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.translation import gettext_noop

from annotation.quality.intervals import ratio_interval
from annotation.quality.judgement import Measure, Order, shared_votes, undefined, votes


def credit(tiers: Order, gold: Order) -> Measure:
    """Of the pairs that the gold ranking orders, the share ordered alike; a tie is half a pair. `num` counts those pairs.

    A random strict order earns 0.5 on average, as does one that ties all. It is (1 + tau-a) / 2 over the gold's pairs:
    Kendall's tau without a correction for ties, which would pay for a tie where the gold has an order. Pairs that the gold
    ties ask nothing.
    """
    asked = [said * wanted for wanted, said in shared_votes(votes(gold), votes(tiers)) if wanted]
    if not asked:
        return undefined("The gold ranking orders no two of the texts that were ranked.")
    return Measure(sum((1 + product) / 2 for product in asked) / len(asked), num=len(asked))


def credit_of_answer(tiers: Order, gold: Order) -> Measure:
    """As `credit`, of an answer to a task whose order is known: a pair that it leaves out, or ties, is half a pair.

    So is saying that there is no order (`tiers` empty), and leaving out is no way around being checked.
    """
    said = votes(tiers)
    asked = [said.get(pair, 0) * wanted for pair, wanted in votes(gold).items() if wanted]
    if not asked:
        return undefined("The gold ranking orders no two texts.")
    return Measure(sum((1 + product) / 2 for product in asked) / len(asked), num=len(asked))


def credit_over(rankings: Iterable[tuple[Order, Order]]) -> Measure:
    """Credit over all pairs of several (ranking, gold), with a 95 % interval that knows that pairs of a task go together."""
    return _over(credit(tiers, gold) for tiers, gold in rankings)


def credit_over_answers(answers: Iterable[tuple[Order, Order]]) -> Measure:
    """As `credit_over`, with what was left out counted as `credit_of_answer` does."""
    return _over(credit_of_answer(tiers, gold) for tiers, gold in answers)


def _over(found: Iterable[Measure]) -> Measure:
    counts = [(measure.value * measure.num, measure.num) for measure in found if measure.value is not None]
    return _share(counts, gettext_noop("No gold ranking orders two texts that were ranked."))


def self_consistency(repeats: Iterable[tuple[Order, Order]]) -> Measure:
    """Of pairs of texts that a rater ordered both times, the share ordered alike, over tasks that she ranked twice.

    Pairs tied in either ranking are left out, as between two raters: this is the most that her agreement with others can
    be expected to reach.
    """
    counts = []
    for first, second in repeats:
        products = [x * y for x, y in shared_votes(votes(first), votes(second)) if x and y]
        if products:
            counts.append((float(products.count(1)), len(products)))
    return _share(counts, gettext_noop("No pair of texts was ordered both times."))


def _share(counts: list[tuple[float, int]], why: str) -> Measure:
    if not counts:
        return undefined(why)
    num = sum(pairs for _, pairs in counts)
    low, high = ratio_interval(counts)
    return Measure(sum(right for right, _ in counts) / num, num=num, low=low, high=high)
