"""How much of a reward model's score is length, and what is left of it where the length is taken out.

Over comparisons, differences of scores are regressed on differences of length (least squares through the origin: which of
two texts is the first changes nothing). The slope, over the temperature that makes probabilities of differences hold and
times the standard deviation of lengths within a prompt, is the bias: by how many logits raters would have the longer of two
texts, one standard deviation apart, preferred for its length, as far as the model learned it.

Taken out is the line alone, score - slope * tokens of the answer, after training (Huang et al. 2024, "Post-hoc reward
calibration: a case study on length bias", arXiv 2409.17407, with a line in place of a local average; Chen et al. 2024,
"ODIN", arXiv 2402.07319, drop a head that learned the length, to the same end). Length that goes with merit goes, too:
whoever has reason to prefer long answers keeps the score as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from training.mechanics.reward_trust import Verdict
from training.mechanics.trainer_judgement import RESAMPLES


@dataclass(frozen=True, slots=True)
class LengthBias:
    """`slope` in raw scores a token; `bias` and its 95 % in logits a standard deviation of length."""

    slope: float
    bias: float
    low: float
    high: float

    def as_numbers(self, name: str) -> dict[str, float]:
        return {name: self.bias, f"{name}_low": self.low, f"{name}_high": self.high}


def length_bias(verdicts: Sequence[Verdict], *, temperature: float, seed: int = 0) -> LengthBias | None:
    """Resampled over prompts; None where all texts of each comparison are equally long."""
    names, index = np.unique([verdict.group for verdict in verdicts], return_inverse=True)
    apart = np.array([verdict.better_length - verdict.worse_length for verdict in verdicts], dtype=float)
    if not len(apart) or not apart.any():
        return None
    margins = np.array([verdict.margin for verdict in verdicts])
    with_G, squares_G = np.bincount(index, apart * margins), np.bincount(index, apart * apart)
    # Two texts whose lengths are drawn alike differ by a square of twice their variance.
    unit = float(np.sqrt(squares_G.sum() / len(apart) / 2)) / temperature
    lots = np.random.default_rng(seed).integers(0, len(names), size=(RESAMPLES, len(names)))
    drawn = with_G[lots].sum(axis=1) / np.maximum(squares_G[lots].sum(axis=1), 1e-12)
    slope = float(with_G.sum() / squares_G.sum())
    low, high = np.percentile(drawn, [2.5, 97.5]) * unit
    return LengthBias(slope, slope * unit, float(low), float(high))


def without_length(verdicts: Sequence[Verdict], slope: float) -> list[Verdict]:
    return [
        replace(one, margin=one.margin - slope * (one.better_length - one.worse_length)) for one in verdicts
    ]  # fmt: skip
