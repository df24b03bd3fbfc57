"""How much of a reward model's score is length, how much of people's choices, and scores without it.

Over comparisons, differences of scores are regressed on differences of length (least squares through the origin: which of
two texts is the first changes nothing): `slope`, what the model gives for a token. What people give for it is that, and what
their choices say beyond the scores, by a logistic regression of choices on both,

    P(first is preferred) = logistic(a (difference of scores) + c (difference of lengths)),     bias = a slope' + c,

times the standard deviation of lengths within a prompt: by how many logits the longer of two texts, one standard deviation
apart, is preferred for its length. A model that has learned too little of it underestimates it by the slope alone.

Scores level off: a token changes them less between texts that lie far apart than between close ones. Which of two texts far
apart is preferred tells next to nothing, so c makes up for what scores give for length between close ones, and slope' has to
be the slope there, too: that with each comparison weighted by what its choice tells, p (1 - p), as the logistic regression
weighs it. With the slope over all of them, planted biases were found up to a sixth too small. p is that of the scores without
the line of length: were length in it, weights would favour comparisons in which length and merit disagree.

Taken out is the line alone, score - slope * tokens of the answer, after training (Huang et al. 2024, "Post-hoc reward
calibration: a case study on length bias", arXiv 2409.17407, with a line in place of a local average; Chen et al. 2024,
"ODIN", arXiv 2402.07319, drop a head that learned the length, to the same end). Length that goes with merit goes, too:
whoever has reason to prefer long answers keeps the score as it is.

Shapes: N comparisons, G prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from training.mechanics.reward.trust import Verdict
from training.mechanics.trainers.judgement import RESAMPLES

ROUNDS = 25
RIDGE = 1e-3  # keeps the regression finite where scores tell every choice


@dataclass(frozen=True, slots=True)
class LengthBias:
    """`slope` in raw scores a token; in logits a standard deviation of length, `people`'s with its 95 %, and `of_scores`."""

    slope: float
    of_scores: float
    people: float
    low: float
    high: float


def length_bias(verdicts: Sequence[Verdict], *, seed: int = 0) -> LengthBias | None:
    """Resampled over prompts, each resample one step of Newton from the whole; None where lengths are all alike."""
    names, index_N = np.unique([verdict.group for verdict in verdicts], return_inverse=True)
    apart_N = np.array([verdict.better_length - verdict.worse_length for verdict in verdicts], dtype=float)
    if not len(apart_N) or not apart_N.any():
        return None
    # Two texts whose lengths are drawn alike differ by a square of twice their variance.
    unit = float(np.sqrt(np.square(apart_N).mean() / 2))
    facts_N2 = np.column_stack([[verdict.margin for verdict in verdicts], apart_N / unit])
    size = max(float(facts_N2[:, 0].std()), 1e-9)
    facts_N2[:, 0] /= size
    theta_2 = np.zeros(2)
    for _ in range(ROUNDS):
        rises_N2, bends_N22 = derivatives(facts_N2, theta_2)
        theta_2 = theta_2 + np.linalg.solve(bends_N22.sum(axis=0), rises_N2.sum(axis=0))
    rises_N2, bends_N22 = derivatives(facts_N2, theta_2)

    def of_prompts(values_N: np.ndarray) -> np.ndarray:
        found = np.zeros((len(names), *values_N.shape[1:]))
        np.add.at(found, index_N, values_N)
        return found

    luck = np.random.default_rng(seed)
    rises_G2, bends_G22 = of_prompts(rises_N2), of_prompts(bends_N22)
    margins_N, lengths_N = facts_N2.T
    own = float(margins_N @ lengths_N / (lengths_N @ lengths_N))
    p_N = logistic(theta_2[0] * (margins_N - own * lengths_N))
    weights_N = p_N * (1 - p_N)
    with_G, squares_G = of_prompts(weights_N * margins_N * lengths_N), of_prompts(weights_N * lengths_N**2)
    drawn = []
    for _ in range(RESAMPLES):
        lots_G = luck.integers(0, len(names), len(names))  # one at a time: all at once would fill a memory
        a, c = theta_2 + np.linalg.solve(
            bends_G22[lots_G].sum(axis=0) + RIDGE * np.eye(2), rises_G2[lots_G].sum(axis=0)
        )
        drawn.append(a * with_G[lots_G].sum() / max(squares_G[lots_G].sum(), 1e-12) + c)
    low, high = np.percentile(drawn, [2.5, 97.5])
    a, c = theta_2
    people = a * with_G.sum() / squares_G.sum() + c
    return LengthBias(own * size / unit, float(a * own), float(people), float(low), float(high))


def derivatives(facts_N2: np.ndarray, theta_2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the log-likelihood that each better text is preferred: its gradient (N, 2), and its negative curvature (N, 2, 2)."""
    p_N = logistic(facts_N2 @ theta_2)
    ridge = RIDGE / len(facts_N2)
    rises_N2 = (1 - p_N)[:, None] * facts_N2 - ridge * theta_2
    bends_N22 = (p_N * (1 - p_N))[:, None, None] * facts_N2[:, :, None] * facts_N2[:, None, :] + ridge * np.eye(2)
    return rises_N2, bends_N22


def logistic(logits_N: np.ndarray) -> np.ndarray:
    found: np.ndarray = 1 / (1 + np.exp(-np.clip(logits_N, -60, 60)))
    return found


def without_length(verdicts: Sequence[Verdict], slope: float) -> list[Verdict]:
    return [
        replace(one, margin=one.margin - slope * (one.better_length - one.worse_length)) for one in verdicts
    ]  # fmt: skip
