"""The trainer of reward models: TRL's, on prompts with all their ranked texts, with the likelihood of their orders as loss."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor, nn
from trl import RewardTrainer  # type: ignore[attr-defined]  # exported lazily

from training.contract import Failure
from training.mechanics.people.groups import NO_GROUPS, RaterGroups
from training.mechanics.people.likelihood import (
    bradley_terry_losses,
    losses_by_lot,
    num_choices,
    plackett_luce_losses,
    ties_of_equals,
)
from training.mechanics.people.rankings import Group
from training.mechanics.reward.score_rule import rule_of
from training.mechanics.reward.scores import Scorer
from training.mechanics.reward.trust import brier
from training.mechanics.shared_prefix import READ
from training.mechanics.trainers.base import RunTrainer
from training.mechanics.trainers.head import add_exact_score
from training.mechanics.trainers.judgement import accuracy, calibration_error, interval
from training.mechanics.trainers.pairs import GroupBatches
from training.recipes.reward import RewardRecipe

MOST_FIRST_LOSS = 3.0  # of a fresh head; ln 2 where it scores alike, more where the last layer's activations are large
ALIGNED = 1024  # training prompts that tell the mean and standard deviation of each head
TIES_RATE = 0.02  # learning rate of the weights of ties, a handful of numbers around which everything else moves


class RewardRun(RunTrainer, RewardTrainer):
    train_dataset: list[Group]
    eval_dataset: list[Group] | None

    def __init__(
        self, *args: Any, recipe: RewardRecipe, groups: list[Group], held_out: list[Group],
        rater_groups: RaterGroups = NO_GROUPS, **kwargs: Any,
    ) -> None:  # fmt: skip
        self.recipe = recipe
        self.rater_groups = rater_groups
        """Where each group has a head of its own."""
        self.groups = {"train": groups, "eval": held_out}
        self.pair_losses = torch.empty(0)
        self.margins: list[float] = []
        self.head_margins: list[list[float]] = []
        """Of each held-out comparison, by head; empty where there is one."""
        # TRL takes no other class; `_prepare_dataset` puts the groups in its place.
        named = {split: Dataset.from_dict({"group": [g.id for g in some]}) for split, some in self.groups.items()}
        heads, kwargs["model"].config.num_labels = kwargs["model"].config.num_labels, 1  # TRL refuses any other
        super().__init__(
            *args, train_dataset=named["train"], eval_dataset=named["eval"] if held_out else None, **kwargs
        )
        kwargs["model"].config.num_labels = heads
        model = self.accelerator.unwrap_model(self.model)
        model = model.get_base_model() if hasattr(model, "peft_config") else model
        add_exact_score(model)
        self.rule = replace(
            rule_of(model), caution=0.0 if recipe.groups != "none" else recipe.caution, length_slope=0.0,
            head_means=(), head_stds=(),
        )  # fmt: skip
        self.batches = GroupBatches(
            [group.id for group in self.train_dataset],
            [group.length for group in self.train_dataset],
            batch_size=self.args.per_device_train_batch_size,
            seed=self.args.seed,
        )
        tiers = [[len(tier) for tier in order.tiers] for group in self.train_dataset for order in group.orders]
        self.log_ties = torch.tensor(ties_of_equals(tiers), device=self.accelerator.device, requires_grad=True)
        if self.all_held_out is not None:
            # As many as are trained on between two evaluations (at least 64): they cost a third of it.
            self.eval_dataset = self.all_held_out[: max(64, recipe.batch_size * recipe.eval_every)]

    def _prepare_dataset(self, dataset: Any, processing_class: Any, args: Any, dataset_name: str) -> list[Group]:
        return self.groups[dataset_name]

    def _get_train_sampler(self, train_dataset: Any = None) -> GroupBatches:
        return self.batches

    # The weights of ties are learned beside the model, and are no part of it

    def create_optimizer(self, model: Any = None) -> Any:
        fresh = self.optimizer is None
        optimizer = super().create_optimizer(model)
        if fresh and len(self.log_ties):
            optimizer.add_param_group({"params": [self.log_ties], "lr": TIES_RATE, "weight_decay": 0.0})
        return optimizer

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        self.log_ties.grad = None  # the trainer clears those of the model alone
        return super().training_step(*args, **kwargs)

    def own_state(self) -> dict[str, Any]:
        return super().own_state() | {"log_ties": self.log_ties.tolist()}

    def load_own_state(self, state: dict[str, Any]) -> None:
        super().load_own_state(state)
        self.log_ties.grad = None
        with torch.no_grad():
            self.log_ties.copy_(torch.tensor(state["log_ties"]))

    # Loss

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Tensor], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        scores = self.read_alone(model, inputs)
        if self.rule.heads == 1:
            losses = self.order_losses(scores.squeeze(-1), inputs)
        else:
            of_heads = torch.stack([self.order_losses(of_head, inputs) for of_head in scores.unbind(dim=1)], dim=1)
            losses = (inputs["head_weights"] * of_heads).sum(dim=1)
        loss = (inputs["weights"] * losses).sum() / len(inputs["orders_of"])
        self.tell(scores.detach(), inputs, mode="train" if self.model.training else "eval")
        return (loss, {"logits": scores}) if return_outputs else loss

    def read_alone(self, model: nn.Module, inputs: dict[str, Any]) -> Tensor:
        """Scores (U, heads)."""

        def read(some: dict[str, Any]) -> Tensor:
            scores: Tensor = model(**{name: some[name] for name in (*READ, "last_places")}, use_cache=False).logits
            return scores

        return torch.cat(self.read_in_parts(read, inputs))

    def order_losses(self, scores: Tensor, inputs: dict[str, Tensor]) -> Tensor:
        """-log P of each order by each of its choices (O,), with the penalty that keeps rewards around 0."""
        tiers = inputs["tiers"]
        ranked = scores[inputs["places"]]
        losses = self.said_losses(ranked, inputs)
        if "soft_labels" in inputs:  # only orders of two have one below 1
            opposite = torch.cat([ranked[:, :2].flip(1), ranked[:, 2:]], dim=1)
            label = inputs["soft_labels"]
            losses = label * losses + (1 - label) * self.said_losses(opposite, inputs)
        here = tiers >= 0
        means = (ranked * here).sum(dim=1) / here.sum(dim=1)
        centring: Tensor = self.recipe.center_rewards * (2 * means) ** 2
        return losses + centring

    def said_losses(self, ranked: Tensor, inputs: dict[str, Tensor]) -> Tensor:
        tiers = inputs["tiers"]
        strengths = inputs["below"] if self.recipe.use_margin else None
        losses = plackett_luce_losses(ranked, tiers, log_ties=self.log_ties, strengths_OK=strengths)
        return losses_by_lot(losses, tiers, lots_O=inputs["lots"], log_ties=self.log_ties) / num_choices(tiers)

    @torch.no_grad()
    def tell(self, of_heads: Tensor, inputs: dict[str, Tensor], *, mode: str) -> None:
        scores = self.rule.combined(of_heads)
        chosen, rejected = scores[inputs["chosen"]], scores[inputs["rejected"]]
        self.pair_losses = bradley_terry_losses(chosen, rejected)
        margins = (chosen - rejected).tolist()
        told = self._metrics[mode]
        if mode == "train":
            self._total_train_tokens += int(inputs["text_lengths"].sum())
            told["num_tokens"] = [self._total_train_tokens]
        else:
            self.margins += margins
            if self.rule.heads > 1:
                aligned = self.rule.aligned(of_heads)
                self.head_margins += (aligned[inputs["chosen"]] - aligned[inputs["rejected"]]).tolist()
        if margins:  # a batch of ties alone has none
            told["margin"] += margins
            if mode == "train":
                told["accuracy"].append(accuracy(margins))
        told["min_reward"].append(scores.min().item())
        told["mean_reward"].append(scores.mean().item())
        told["max_reward"].append(scores.max().item())

    def check_first_loss(self, loss: float) -> None:
        first = self.pair_losses.mean().item()
        trained_before = Path(self.context.input("model").path, "reward.json").exists()
        if first > MOST_FIRST_LOSS and not trained_before:
            raise Failure(
                "first_loss",
                f"The first loss is {first:.2f}, far above ln 2 = 0.69: an untrained head should find no side better.",
                advice="Start from a model in float32 or bfloat16 whose last layer is normalised.",
            )

    # Evaluation

    def begin_held_out(self) -> None:
        self.margins = []
        self.head_margins = []

    def held_out(self) -> dict[str, float]:
        assert self.eval_dataset is not None
        low, high = interval(self.margins, [group.id for group in self.eval_dataset for _ in group.orders])
        return {
            "loss": sum(math.log1p(math.exp(-abs(m))) + max(-m, 0.0) for m in self.margins) / len(self.margins),
            "accuracy": accuracy(self.margins),
            "accuracy_low": low,
            "accuracy_high": high,
            "n": len(self.margins),
            "ece": calibration_error(self.margins),
            "brier": brier(self.margins),
        }

    def align_heads(self) -> None:
        """From now on the heads of an ensemble have one mean and one standard deviation on training texts. Groups keep
        theirs: how sure the raters of each are is what its head learned. Raises `Stopped`."""
        if self.rule.heads > 1 and not self.rater_groups:
            means, stds = self.scorer().head_scale(self.groups["train"][:ALIGNED])
            self.rule = replace(self.rule, head_means=means, head_stds=stds)

    def take_out_length(self, slope: float, apart: list[int]) -> None:
        """From now on scores are without it; `apart`, how many tokens longer the better text of each held-out comparison is."""
        self.rule = replace(self.rule, length_slope=slope)
        self.margins = [margin - slope * tokens for margin, tokens in zip(self.margins, apart, strict=True)]
        self.head_margins = [
            [margin - slope * tokens for margin in margins]
            for margins, tokens in zip(self.head_margins, apart, strict=False)  # of one head there are none
        ]

    def scorer(self) -> Scorer:
        reader, size = self.data_collator.reader, 2 * self.args.per_device_eval_batch_size
        return Scorer(self.model, self.accelerator, reader, self.context, size, self.rule, self.room)
