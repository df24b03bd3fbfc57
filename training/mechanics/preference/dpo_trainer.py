"""The trainer of DPO and its kin: TRL's, on comparisons whose texts are read once, with the losses of `preference.losses`."""

from __future__ import annotations

import math
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor, nn
from trl import DPOConfig, DPOTrainer  # type: ignore[attr-defined]  # exported lazily

from training.contract import Failure
from training.mechanics.preference.chosen_guard import ChosenGuard
from training.mechanics.preference.losses import (
    LOSSES,
    Divergence,
    Pairs,
    Terms,
    dpo_losses,
    length_desensitised,
    on_policy_weights,
    weighed_loss,
)
from training.mechanics.preference.policy_trainer import PolicyRun, refuse_empty
from training.mechanics.preference.reference import Reference
from training.mechanics.shared_prefix import Text
from training.mechanics.trainers.judgement import accuracy, interval
from training.mechanics.trainers.pairs import PairCollator, leave_out_long, some_held_out, text_of
from training.recipes.dpo import DpoRecipe

KEPT = ("prompt_ids", "chosen_ids", "rejected_ids", "weight", "group_id", "label_smoothing", "label")


class DpoRun(PolicyRun, DPOTrainer):
    config_type = DPOConfig
    collator_type = PairCollator
    recipe: DpoRecipe

    def __init__(self, *args: Any, recipe: DpoRecipe, **kwargs: Any) -> None:
        self.by_token = recipe.ld_alpha is not None
        self.guard = ChosenGuard(limit=recipe.fall_limit, acts=recipe.sft == "falling", weight=recipe.sft_weight)
        self.pair_losses = torch.empty(0)
        super().__init__(*args, recipe=recipe, **kwargs)

    def _prepare_dataset(self, dataset: Dataset, processing_class: Any, args: DPOConfig, dataset_name: str) -> Dataset:
        if "chosen_ids" in dataset.column_names:
            return dataset
        dataset = super()._prepare_dataset(dataset, processing_class, args, dataset_name)
        dataset = dataset.select_columns([name for name in KEPT if name in dataset.column_names])
        refuse_empty(dataset["chosen_ids"], dataset["rejected_ids"])
        split = "train" if dataset_name == "train" else "held-out"
        return leave_out_long(dataset, max_length=self.recipe.max_length, context=self.context, split=split)

    # Reference

    def take_reference(self) -> None:
        """Adds `ref_chosen_logps` and `ref_rejected_logps` to both splits. Raises `Stopped` on request."""
        reference = self.read_reference()
        self.train_dataset = self.referred(self.train_dataset, reference)
        if self.all_held_out is not None:
            self.all_held_out = self.referred(self.all_held_out, reference)
            self.eval_dataset = some_held_out(
                self.all_held_out, batch_size=self.recipe.batch_size, every=self.recipe.eval_every
            )

    def referred(self, dataset: Dataset, reference: Reference) -> Dataset:
        sides = [(text_of(row, "chosen_ids"), text_of(row, "rejected_ids")) for row in dataset]
        chosen = [self.referred_text(a, beside=b, reference=reference) for a, b in sides]
        rejected = [self.referred_text(b, beside=a, reference=reference) for a, b in sides]
        return dataset.add_column("ref_chosen_logps", chosen).add_column("ref_rejected_logps", rejected)

    def referred_text(self, text: Text, *, beside: Text, reference: Reference) -> float:
        if self.recipe.ld_alpha is None:
            return reference.total(text)
        tokens = reference.tokens(text).double()
        shared = min(len(tokens), len(reference.tokens(beside)))
        return float(tokens[:shared].sum() + self.recipe.ld_alpha * tokens[shared:].sum())

    # Loss

    def pairs_of(self, model: nn.Module, inputs: dict[str, Tensor]) -> tuple[Pairs, Tensor | None]:
        """The batch's comparisons, as the model finds them now, and how much each counts by WPO (B,)."""
        recipe = self.recipe
        found = self.ask(model, inputs, squares=recipe.use_weighting)
        chosen, rejected = inputs["chosen"], inputs["rejected"]
        lengths = torch.bincount(inputs["asked_of"], minlength=len(inputs["text_lengths"]))

        def side(texts: Tensor, others: Tensor) -> Tensor:
            whole: Tensor = found.log_probs[texts]
            if self.recipe.ld_alpha is None:
                return whole
            return length_desensitised(
                found.by_token, inputs["asked_of"], texts_B=texts, others_B=others, num_texts=len(lengths),
                alpha=self.recipe.ld_alpha,
            )  # fmt: skip

        pairs = Pairs(
            side(chosen, rejected), side(rejected, chosen), inputs["ref_chosen_logps"], inputs["ref_rejected_logps"],
            lengths[chosen], lengths[rejected], chosen_whole=found.log_probs[chosen], rejected_whole=found.log_probs[rejected],
            divergence=Divergence(recipe.f_divergence_type, recipe.f_alpha_divergence_coef),
        )  # fmt: skip
        if not recipe.use_weighting:
            return pairs, None
        of_texts = on_policy_weights(found.by_token, found.squares, inputs["asked_of"], num_texts=len(lengths))
        return pairs, of_texts[chosen] * of_texts[rejected]

    def _compute_loss(self, model: nn.Module, inputs: dict[str, Tensor], return_outputs: bool) -> Tensor:
        recipe = self.recipe
        pairs, on_policy = self.pairs_of(model, inputs)
        terms = Terms(self.beta, inputs.get("label_smoothing", recipe.label_smoothing), recipe.discopop_tau)
        weights = inputs["weight"] if on_policy is None else inputs["weight"] * on_policy
        labels = inputs.get("label")
        loss = sum(
            (
                by * weighed_loss(name, pairs, terms, weights=weights, labels=labels)
                for name, by in recipe.losses.items()
            ),
            start=torch.zeros((), device=pairs.chosen.device),
        )
        mode = "train" if self.model.training else "eval"
        if mode == "train":
            self.count_tokens(inputs)
            self.watch_chosen(inputs, pairs.chosen.detach())
            if self.sft_is_on:
                also = weighed_loss("sft", pairs, terms, weights=inputs["weight"], labels=labels)
                loss = loss + recipe.sft_weight * also
        else:
            losses = [by * LOSSES[name](pairs, terms).detach() for name, by in recipe.losses.items()]
            self.judged["losses"] += torch.stack(losses).sum(dim=0).tolist()
            self.judged["margins"] += pairs.margins(self.beta).tolist()
        self.tell_pairs(mode, pairs)
        if on_policy is not None:
            self.tell(mode, {"on_policy_weight": on_policy})
        return loss

    def tell_pairs(self, mode: str, pairs: Pairs) -> None:
        margins = pairs.margins(self.beta).detach()
        self.pair_losses = dpo_losses(margins)
        self.tell(
            mode,
            {
                "rewards/chosen": self.beta * pairs.c,
                "rewards/rejected": self.beta * pairs.r,
                "rewards/accuracies": (margins > 0).float(),
                "rewards/margins": margins,
                "logps/chosen": pairs.chosen,
                "logps/rejected": pairs.rejected,
            },
        )

    def check_first_loss(self, loss: float) -> None:
        """By plain DPO's, whichever loss is learned: ln 2 says that all margins are 0."""
        first = self.pair_losses.mean().item()
        if abs(first - math.log(2)) > 1e-3:
            raise Failure(
                "first_loss",
                f"The first loss is {first:.4f} and not ln 2 = 0.6931: policy and reference differ before any training.",
                advice="The input model's folder does not hold the model that was loaded; store it again.",
            )

    # What holds the chosen texts up

    @property
    def sft_is_on(self) -> bool:
        return self.recipe.sft == "always" or self.guard.is_on

    def watch_chosen(self, inputs: dict[str, Tensor], chosen: Tensor) -> None:
        lengths = torch.bincount(inputs["asked_of"], minlength=len(inputs["text_lengths"]))[inputs["chosen"]]
        change = ((chosen - inputs["ref_chosen_logps"]) / lengths).mean().item()
        self.guard.see(change, step=self.state.global_step + 1, context=self.context)
        if self.recipe.sft != "never":
            self._metrics["train"]["sft_weight"] = [self.recipe.sft_weight if self.sft_is_on else 0.0]

    def recent_change(self) -> float:
        """Mean log-ratio to the reference of the last steps' chosen texts, in nats a token."""
        return self.guard.recent

    def own_state(self) -> dict[str, Any]:
        return {**super().own_state(), "guard": self.guard.state()}

    def load_own_state(self, state: dict[str, Any]) -> None:
        super().load_own_state(state)
        self.guard.load(state["guard"])

    # Evaluation

    def held_out(self) -> dict[str, float]:
        """Of the loss on comparisons, by comparison; an SFT term is no part of it, so that its curve has no step."""
        assert self.eval_dataset is not None
        margins = self.judged["margins"]
        low, high = interval(margins, self.eval_dataset["group_id"])
        return {
            "loss": torch.tensor(self.judged["losses"]).mean().item(),
            "accuracy": accuracy(margins),
            "accuracy_low": low,
            "accuracy_high": high,
            "n": len(margins),
        }
