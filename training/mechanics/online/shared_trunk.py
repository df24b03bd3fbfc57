"""A reward model that is an adapter of the policy's own trunk: both are read by one copy of its weights.

Policy and reward model are usually trained from one SFT model, each by a small adapter. Then the trunk is in memory once:
the policy's adapter on it is the policy, the reward model's is the reward model, none is the reference. The critic asks the
reward model (ADR 7), so it has no trunk either.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from training.contract import Failure, Input
from training.mechanics import adapters, models
from training.mechanics.naming import first_line, named

POLICY, REWARD = "default", "reward"  # names of adapters; the first is peft's for the one that a model begins with


def can_share(policy: Any, trunk: Input, reward: Input) -> bool:
    """Whether the reward model is an adapter of `trunk`, the model that the policy's own adapter was put on."""
    if not isinstance(policy, PeftModel) or not reward.below:
        return False
    return [Path(one).resolve() for one in trunk.folders] == [Path(one).resolve() for one in reward.below]


class OnTrunk:
    """Stands for a sequence classifier where it is read: `base_model(...)`, `score`, `score_rule`, `device`.

    Raises `Failure("bad_model")` for an adapter that does not fit.
    """

    def __init__(self, policy: PeftModel, given: Input) -> None:
        self.policy = policy
        self.score_rule = models.checked_score_rule(given)
        try:
            weights = load_file(str(Path(given.path, adapters.ADAPTER)))
            [head] = [weights.pop(name) for name in list(weights) if name.endswith("score.weight")]
            told = LoraConfig.from_pretrained(given.path)
            config = LoraConfig(
                r=told.r, lora_alpha=told.lora_alpha, lora_dropout=0.0, target_modules=told.target_modules,
                task_type="CAUSAL_LM", inference_mode=True,
            )  # fmt: skip
            policy.add_adapter(REWARD, config)
            missed: Any = set_peft_model_state_dict(policy, weights, adapter_name=REWARD)
        except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
            raise Failure("bad_model", f"{named(given)} can't be loaded: {first_line(error)}") from error
        if missed.unexpected_keys:
            raise Failure("bad_model", f"{named(given)} has weights for layers that its base does not have.")
        policy.set_adapter(POLICY)
        self.score = nn.Linear(head.shape[1], head.shape[0], bias=False, device=self.device)
        self.score.weight.data.copy_(head)
        self.score.requires_grad_(False)

    @property
    def device(self) -> Any:
        return self.policy.device

    def base_model(self, **read: Any) -> Any:
        """Reads by the reward model's adapter, and leaves the policy's switched on."""
        self.policy.set_adapter(REWARD, inference_mode=True)
        try:
            trunk: Any = self.policy.get_base_model()
            return trunk.base_model(**read)
        finally:
            self.policy.set_adapter(POLICY)


def take_off(policy: Any) -> None:
    """Leaves the policy with its own adapter alone, as it is published."""
    if isinstance(policy, PeftModel) and REWARD in policy.peft_config:
        policy.delete_adapter(REWARD)
        policy.set_adapter(POLICY)
