"""How what the heads of a reward model say comes to one score; stored beside the model, so that it is the same everywhere.

    score = mean over heads - caution * standard deviation over heads - length_slope * tokens of the answer

Several heads that saw different resamples of the prompts differ most where they know least (Osband et al. 2016, "Deep
exploration via bootstrapped DQN"; Lakshminarayanan et al. 2017, "Simple and scalable predictive uncertainty estimation
using deep ensembles"); a policy that is rewarded for their mean alone goes where one of them errs (Coste et al. 2024,
"Reward model ensembles help mitigate overoptimization"). The slope is that of `length_bias`.

Shapes: U texts, H heads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

MOST_HEADS = 16


@dataclass(frozen=True, slots=True)
class ScoreRule:
    heads: int = 1
    caution: float = 0.0
    length_slope: float = 0.0
    """In raw scores a token of the answer."""

    def combined(self, scores_UH: Tensor) -> Tensor:
        """(U,), as yet without the length."""
        if self.heads == 1:
            return scores_UH.squeeze(-1)
        means_U = scores_UH.mean(dim=-1)
        return means_U - self.caution * scores_UH.std(dim=-1, correction=0) if self.caution else means_U

    def corrected(self, raw: float, *, answer_tokens: int) -> float:
        return raw - self.length_slope * answer_tokens

    def as_plain(self) -> dict[str, Any]:
        """What differs from one head that is taken as it is."""
        return {name: value for name, value in asdict(self).items() if value != getattr(PLAIN, name)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> ScoreRule:
        """Raises ValueError or TypeError for what is no rule."""
        rule = cls(int(plain.get("heads", 1)), float(plain.get("caution", 0.0)), float(plain.get("length_slope", 0.0)))
        if not 1 <= rule.heads <= MOST_HEADS or rule.caution < 0:
            raise ValueError(f"a rule has 1 to {MOST_HEADS} heads and no caution below 0")
        if not math.isfinite(rule.caution) or not math.isfinite(rule.length_slope):
            raise ValueError("a rule is made of finite numbers")
        return rule


PLAIN = ScoreRule()


def rule_of(model: Any) -> ScoreRule:
    """Of a model that `models.load_reward` read; any other one has a single head."""
    found: ScoreRule = getattr(model, "score_rule", PLAIN)
    return found
