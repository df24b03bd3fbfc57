"""Figures of quality on raters of known skill: consensus beside the majority, pauses and flags at their stated rates."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np

from annotation.quality.bias import position_bias
from annotation.quality.consensus import consensus, majority
from annotation.quality.judgement import Judgement
from annotation.quality.sequential import PauseTest, guessed_credits, update
from benchmarks import bench
from tests.annotation.quality.simulated import Crowd, a_crowd
from tests.annotation.quality.test_consensus import crowd_of, error_of

SEEDS = 5
CROWDS = {  # honest raters, spammers, tasks, K, overlap, noise of the honest
    "a third spam, overlap 5": (21, 9, 600, 4, 5, (0.3, 2.5)),
    "a third spam, overlap 3": (21, 9, 600, 4, 3, (0.6, 1.25)),
    "honest alone, overlap 5": (20, 0, 400, 4, 5, (0.6, 1.25)),
    "pairs, a third spam, overlap 3": (21, 9, 1200, 2, 3, (0.6, 1.25)),
}


def main() -> None:
    ratios = {name: crowd(name, *size) for name, size in CROWDS.items()}
    pauses = {k: paused(k) for k in (3, 4, 5)}
    print(f"position bias, honest: {flags(lean=0.0)} of 100 reports on ten raters flag anybody")
    print(f"position bias, one who leans by half a standard deviation a place: flagged in {flags(lean=0.5)} of 100")
    ratio = ratios["a third spam, overlap 5"]
    told = {"bench": "quality", "ratio": round(ratio, 3), "at_least": 1.1, "machine": bench.machine()}
    print(
        json.dumps(told | {"ratios": {name: round(r, 3) for name, r in ratios.items()}, "guesses_until_paused": pauses})
    )


def crowd(
    name: str, honest: int, spammers: int, tasks: int, k: int, overlap: int, noises: tuple[float, float]
) -> float:
    """The majority's errors over the consensus's."""
    rows = []
    for seed in range(SEEDS):
        made, skills = crowd_of(
            num_honest=honest, num_spammers=spammers, num_tasks=tasks, k=k, overlap=overlap, seed=seed, noises=noises
        )
        found = consensus(made.judgements)
        values = np.array([found.raters[f"r{i:03}"].value for i in range(len(skills))])
        ours = error_of({task: one.tiers for task, one in found.tasks.items()}, made.truth)
        theirs = error_of(majority(made.judgements), made.truth)
        rows.append((np.corrcoef(values, skills)[0, 1], np.mean(values - skills), ours, theirs))
    correlation, offset, ours, theirs = np.mean(rows, axis=0)
    print(
        f"{name}: reliability correlates {correlation:.2f} with the truth, {offset:+.3f} off; pairs ordered wrongly:"
        f" consensus {ours:.1%}, majority {theirs:.1%}"
    )
    return float(theirs / ours)


def paused(k: int) -> float:
    """Rankings until one who guesses is paused, on median of 1,000; prints how many at the floor are paused of 1,000."""
    values, chances = map(np.array, zip(*guessed_credits(k), strict=True))
    random = np.random.default_rng(k)
    delays = [next(until_paused(random.choice(values, p=chances, size=2000).tolist(), k)) for _ in range(1000)]
    weights = chances * np.exp(np.outer(np.linspace(0, 6, 6001), values))
    weights /= weights.sum(axis=1, keepdims=True)
    at_floor = weights[np.argmax(weights @ values >= PauseTest().floor)]  # a mean credit of exactly the floor
    falsely = sum(any(until_paused(random.choice(values, p=at_floor, size=500).tolist(), k)) for _ in range(1000))
    middle, nine = np.percentile(delays, [50, 90])
    print(
        f"K = {k}: a guesser is paused after {middle:.0f} on median, {nine:.0f} at 90 %; at 63 %: {falsely} of 1,000 by 500"
    )
    return float(middle)


def until_paused(credits: list[float], k: int) -> Iterator[int]:
    test = PauseTest()
    for value in credits:
        test = update(test, credit=value, k=k)
        if test.is_paused:
            yield test.num
            return


def flags(*, lean: float) -> int:
    """Reports, of 100, that flag anybody; without a lean all raters are honest, with one the first of ten is not."""
    count = 0
    for seed in range(100):
        rows = leaning(a_crowd([0.8] * 10, num_tasks=180, overlap=3, seed=seed), lean=lean, seed=seed)
        count += any(finding.is_flagged for finding in position_bias(rows))
    return count


def leaning(made: Crowd, *, lean: float, seed: int) -> list[Judgement]:
    if not lean:
        return made.judgements
    random = np.random.default_rng(seed)
    rows = []
    for one in made.judgements:
        if one.rater == "r000":
            seen = {
                name: made.truth[one.task][name] - lean * place + 0.8 * random.normal()
                for place, name in enumerate(one.shown)
            }
            one = Judgement(
                one.task, one.rater, tuple((name,) for name in sorted(seen, key=lambda n: -seen[n])), one.shown
            )
        rows.append(one)
    return rows


if __name__ == "__main__":
    main()
