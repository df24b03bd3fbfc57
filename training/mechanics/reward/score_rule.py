"""How what the heads of a reward model say comes to one score; stored beside the model, so that it is the same everywhere.

    score = mean over heads - caution * standard deviation over heads - length_slope * tokens of the answer

The likelihood of rankings leaves open where a head's zero lies, and how large its steps are follows from its luck. That is no
doubt about a text, and where it counted as some, caution was worth less than nothing: so the heads of an ensemble are first
brought to one mean and one standard deviation, those of what they say of the texts they learned from.

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
    head_means: tuple[float, ...] = ()
    head_stds: tuple[float, ...] = ()
    """Of what each head says of the training texts; empty where heads are taken as they are."""

    def aligned(self, scores_UH: Tensor) -> Tensor:
        """What heads say with one mean and one standard deviation for all, which are the means of theirs."""
        if not self.head_means:
            return scores_UH
        means_H, stds_H = scores_UH.new_tensor(self.head_means), scores_UH.new_tensor(self.head_stds)
        return (scores_UH - means_H) / stds_H * stds_H.mean() + means_H.mean()

    def combined(self, scores_UH: Tensor) -> Tensor:
        """(U,), as yet without the length."""
        if self.heads == 1:
            return scores_UH.squeeze(-1)
        scores_UH = self.aligned(scores_UH)
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
        rule = cls(
            int(plain.get("heads", 1)),
            float(plain.get("caution", 0.0)),
            float(plain.get("length_slope", 0.0)),
            *(tuple(float(value) for value in plain.get(name, ())) for name in ("head_means", "head_stds")),
        )
        if not 1 <= rule.heads <= MOST_HEADS or rule.caution < 0:
            raise ValueError(f"a rule has 1 to {MOST_HEADS} heads and no caution below 0")
        if len(rule.head_means) != len(rule.head_stds):
            raise ValueError("a rule has a mean and a standard deviation for each head, or none")
        if not all(std > 0 for std in rule.head_stds):
            raise ValueError("heads of a rule differ from text to text")
        if not all(map(math.isfinite, (rule.caution, rule.length_slope, *rule.head_means, *rule.head_stds))):
            raise ValueError("a rule is made of finite numbers")
        return rule


PLAIN = ScoreRule()


def rule_of(model: Any) -> ScoreRule:
    """Of a model that `models.load_reward` read; any other one has a single head."""
    found: ScoreRule = getattr(model, "score_rule", PLAIN)
    return found
