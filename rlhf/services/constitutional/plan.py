"""What a constitutional run plans for its stages, as it is kept with the run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from django.utils.translation import gettext

from accounts.errors import UserError
from annotation.quality.ai_gate import Rule
from rlhf.models import CaiStage
from runs.services.start import check_recipe
from training.recipes import RECIPES

POLICIES = ("dpo", "ppo")


class BadPlan(UserError):
    code = "bad_plan"


@dataclass(frozen=True, slots=True)
class Plan:
    """`changes` alter the preset's recipe by stage. `people_share` is the percentage of training prompts whose pairs people
    rank, too, without knowing what the feedback model says; `ai_share` how much of what is learned is harmlessness."""

    preset: str = "demo"
    policy: str = "dpo"
    people_share: int = 30
    ai_share: float = 0.5
    rule: Rule = field(default_factory=Rule)
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, told: dict[str, Any]) -> Plan:
        return cls(**{**told, "rule": Rule(**told["rule"])})

    def method(self, stage: CaiStage) -> str:
        return self.policy if stage == CaiStage.POLICY else METHODS[stage]

    def recipe(self, stage: CaiStage) -> dict[str, Any]:
        return {**RECIPES[self.method(stage)].presets[self.preset], **self.changes.get(stage, {})}


METHODS = {
    CaiStage.CHAINS: "constitutional",
    CaiStage.SFT: "sft",
    CaiStage.PAIRS: "generate",
    CaiStage.JUDGE: "judge",
    CaiStage.REWARD: "reward",
    CaiStage.ANSWERS_BEFORE: "generate",
    CaiStage.ANSWERS_SFT: "generate",
    CaiStage.ANSWERS_POLICY: "generate",
    CaiStage.COMPARE: "evaluate",
    CaiStage.SCORES: "score",
}


def check_plan(plan: Plan) -> None:
    """Raises `BadPlan`, one sentence, and `BadRecipe` for a change that no stage's recipe takes."""
    if plan.policy not in POLICIES:
        known = ", ".join(POLICIES)
        raise BadPlan(
            gettext("A policy is made by %(known)s, not by %(method)s.") % {"known": known, "method": plan.policy}
        )
    if plan.preset not in RECIPES["dpo"].presets:
        known = ", ".join(RECIPES["dpo"].presets)
        raise BadPlan(
            gettext("There is no preset called %(preset)s; there are %(known)s.")
            % {"preset": plan.preset, "known": known}
        )
    if not 0 <= plan.people_share <= 100:
        raise BadPlan(
            gettext("People rank 0 to 100 percent of the pairs, not %(share)s.") % {"share": plan.people_share}
        )
    if not 0 < plan.ai_share < 1:
        raise BadPlan(gettext("Harmlessness has a share between 0 and 1, not %(share)s.") % {"share": plan.ai_share})
    if unknown := sorted(set(plan.changes) - set(CaiStage.values)):
        raise BadPlan(gettext("There is no stage called %(name)s.") % {"name": unknown[0]})
    for stage in CaiStage:
        check_recipe(plan.method(stage), plan.recipe(stage))
