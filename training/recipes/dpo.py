"""What DPO and its kin are told: which loss, of which comparisons, and what holds the policy up."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, get_args

from pydantic import Field, model_validator

from training.recipes.base import OutputKind, Recipe
from training.recipes.lora import LoRA

Loss = Literal[
    "sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "aot_unpaired", "apo_zero",
    "apo_down", "discopop", "sft", "sigmoid_norm",
]  # fmt: skip
ROBUST = {"sigmoid", "robust"}
SORTED = {"aot", "aot_unpaired"}
DIVERGED = {"sigmoid", "sigmoid_norm", "hinge", "ipo", "exo_pair", "robust", "discopop", "sft"}
DIVERGED_ALONE = (
    "f_divergence_type is for the losses discopop, exo_pair, hinge, ipo, robust, sft, sigmoid and sigmoid_norm"
)
SMOOTHED = ROBUST | {"exo_pair", "aot", "aot_unpaired"}


class DpoRecipe(Recipe):
    summary: ClassVar[str] = "Train a policy directly on preferences (Rafailov et al. 2023)."
    inputs: ClassVar[dict[str, str]] = {"model": "model", "preferences": "dataset:preference"}
    output: ClassVar[OutputKind] = "model"
    role: ClassVar[str] = "policy"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"lora": None, "epochs": 3, "batch_size": 16, "learning_rate": 5e-4, "max_length": 192, "bf16": False},
        # One epoch: a second one went on to 20 nats of KL and wrote worse texts, with no better order of held-out ones.
        "demo": {"epochs": 1, "batch_size": 24, "learning_rate": 6e-4, "max_length": 320, "eval_every": 20},
    }

    lora: LoRA | None = Field(LoRA(), description="Train an adapter; none trains the whole model.")
    loss: Loss = Field(
        "sigmoid", description="What is made of a comparison; sigmoid is DPO, and robust DPO with flips."
    )
    more_losses: tuple[str, ...] = Field(
        (), description="Losses added to the first one, with their weights: bco_pair:0.5, sft:1."
    )
    beta: float = Field(0.1, gt=0, le=10, description="How strongly the policy is held to its reference.")
    f_divergence_type: Literal["reverse_kl", "forward_kl", "js_divergence", "alpha_divergence"] = Field(
        "reverse_kl", description="By what the policy is held to its reference (f-DPO); DPO's own is the reverse KL."
    )
    f_alpha_divergence_coef: float = Field(
        0.5, ge=0, le=1, description="Of alpha_divergence: 0 is the forward KL, 1 the reverse KL."
    )
    discopop_tau: float = Field(
        0.05, gt=0, le=10, description="Of discopop: how gradually it goes from DPO's loss over to the exponential one."
    )
    use_weighting: bool = Field(
        False, description="Comparisons count by how likely the policy is to write their texts itself (WPO)."
    )
    pairs: Literal["all", "adjacent", "best_worst", "weighted"] = Field(
        "all",
        description="Comparisons of a ranking that are learned: all, neighbours, best against worst, or all by their distance.",
    )
    ld_alpha: float | None = Field(
        None,
        ge=0,
        le=1,
        description="What counts of a text beyond the length of the other one (LD-DPO); none counts all.",
    )
    sft: Literal["never", "falling", "always"] = Field(
        "never", description="Learn the preferred texts by themselves too: always, or once they are falling."
    )
    sft_weight: float = Field(1.0, gt=0, le=100, description="Of the SFT term, beside the loss on comparisons.")
    fall_limit: float = Field(
        0.5, gt=0, le=100, description="Nats a token below the reference from which preferred texts count as falling."
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=0.5, description="The share of comparisons that is taken to be wrong (robust DPO)."
    )
    flips: Literal["label_smoothing", "estimated"] = Field(
        "label_smoothing",
        description="The share taken to be wrong is the same of all, or estimated of each rater by who agrees with whom.",
    )
    epochs: float = Field(2, gt=0, le=20, description="Passes over the comparisons.")
    batch_size: int = Field(8, ge=1, le=1024, description="Comparisons a step.")
    learning_rate: float = Field(1e-4, gt=0, le=1, description="Peak learning rate.")
    max_length: int = Field(
        512, ge=16, le=131_072, description="Longer prompt + completion pairs are left out, and counted."
    )
    eval_every: int = Field(10, ge=1, description="Steps between held-out evaluations, samples and checkpoints.")
    sample_tokens: int = Field(
        48, ge=0, le=2048, description="Length of the samples shown while it learns; 0 shows none."
    )
    bf16: bool = Field(True, description="bfloat16 arithmetic; trained weights stay in float32.")
    seed: int = Field(0, ge=0, description="Of the order of the data.")

    @property
    def losses(self) -> dict[str, float]:
        """The weight of each loss."""
        told = [one.partition(":") for one in self.more_losses]
        return {self.loss: 1.0} | {name.strip(): float(weight) for name, _, weight in told}

    @model_validator(mode="after")
    def losses_are_known(self) -> DpoRecipe:
        try:
            weights = self.losses
        except ValueError:
            weights = {}
        good = weights.keys() <= set(get_args(Loss)) and all(0 < weight <= 100 for weight in weights.values())
        if not good or len(weights) != 1 + len(self.more_losses):
            raise ValueError("more_losses are other losses, each with a weight above 0 and up to 100, such as sft:1")
        return self

    @model_validator(mode="after")
    def flips_have_a_loss(self) -> DpoRecipe:
        names = self.losses.keys()
        if "exo_pair" in names and not self.label_smoothing:
            raise ValueError("exo_pair needs a label_smoothing above 0, such as 0.001")
        if self.label_smoothing and not names & SMOOTHED:
            raise ValueError("label_smoothing is for the losses sigmoid, robust, exo_pair, aot and aot_unpaired")
        if self.flips == "estimated" and (not names & ROBUST or names & SMOOTHED - ROBUST):
            raise ValueError("estimated flips are for the losses sigmoid and robust, beside which no other takes them")
        return self

    @model_validator(mode="after")
    def losses_know_what_holds_them(self) -> DpoRecipe:
        names = self.losses.keys()
        if self.f_divergence_type != "reverse_kl" and not names <= DIVERGED:
            # The reward has a term of the prompt alone, which is gone only where chosen and rejected are subtracted.
            raise ValueError(DIVERGED_ALONE)
        if self.f_alpha_divergence_coef != 0.5 and self.f_divergence_type != "alpha_divergence":
            raise ValueError("f_alpha_divergence_coef is for the f_divergence_type alpha_divergence")
        if self.discopop_tau != 0.05 and "discopop" not in names:
            raise ValueError("discopop_tau is for the loss discopop")
        if self.use_weighting and names & SORTED:
            raise ValueError(
                "use_weighting is not for aot and aot_unpaired, whose sorted margins belong to no comparison"
            )
        return self
