"""The trainer of KTO: TRL's, on batches of prompts with all their judged texts, each read once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor, nn
from trl import KTOConfig, KTOTrainer  # type: ignore[attr-defined]  # exported lazily

from training.contract import Failure
from training.mechanics.preference.losses import kto_losses, reference_point
from training.mechanics.preference.policy_trainer import PolicyRun, refuse_empty
from training.mechanics.preference.reference import Reference
from training.mechanics.shared_prefix import Reader, Text, read_together
from training.mechanics.trainers.judgement import accuracy, interval
from training.mechanics.trainers.pairs import leave_out_long, some_held_out, text_of
from training.recipes.kto import KtoRecipe

KEPT = ["prompt_ids", "completion_ids", "label", "weight", "group_id"]


@dataclass(slots=True)
class KtoCollator:
    """A batch of B judged texts, and under `others` completions of other prompts in their place, which tell the KL.

    `others` is missing where a batch holds one prompt alone. `reference` is there once it was taken.
    """

    reader: Reader
    reference: Reference | None = None

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        texts = [text_of(row, "completion_ids") for row in rows]
        own, others = self.readings(rows)
        number = {text: i for i, text in enumerate(own)}
        # `texts` stands first: the trainer takes the size of a batch from the first tensor it meets.
        batch = {
            "texts": torch.tensor([number[text] for text in texts]),
            "desirable": torch.tensor([row["label"] for row in rows], dtype=torch.bool),
            "weight": torch.tensor([row["weight"] for row in rows], dtype=torch.float32),
            "reference": self.referred(texts),
            **read_together(own, reader=self.reader),
        }
        if others:
            batch["others"] = {"reference": self.referred(others), **read_together(others, reader=self.reader)}
        return batch

    def readings(self, rows: list[dict[str, Any]]) -> list[list[Text]]:
        """What a batch makes a model read: its texts, and mismatched ones."""
        return [list(dict.fromkeys(text_of(row, "completion_ids") for row in rows)), mismatched(rows)]

    def referred(self, texts: Sequence[Text]) -> Tensor:
        if self.reference is None:
            return torch.empty(0)
        return torch.tensor([self.reference.total(text) for text in texts])


def mismatched(rows: list[dict[str, Any]]) -> list[Text]:
    """Each row's prompt with the completion of an earlier row, the batch being a circle, that answers another prompt.

    With one text a prompt that is the row before, as in TRL. With several, the step is their number: so other prompts' texts
    are met in turn, and not one of them again and again.
    """
    size = len(rows)
    of_group = Counter(row["group_id"] for row in rows)
    found: dict[Text, None] = {}
    for i, row in enumerate(rows):
        steps = range(of_group[row["group_id"]], size)
        others = (rows[(i - step) % size] for step in steps)
        other = next((other for other in others if other["group_id"] != row["group_id"]), None)
        if other is not None:
            found[text_of({**row, "completion_ids": other["completion_ids"]}, "completion_ids")] = None
    return list(found)


class KtoRun(PolicyRun, KTOTrainer):
    config_type = KTOConfig
    collator_type = KtoCollator
    recipe: KtoRecipe
    first_losses: Tensor

    def _prepare_dataset(self, dataset: Dataset, processing_class: Any, args: KTOConfig, dataset_name: str) -> Dataset:
        if "completion_ids" in dataset.column_names:
            return dataset
        split = "train" if dataset_name == "train" else "held-out"
        # Under another name: of "train" TRL counts rows to advise on weights, which here are balanced by weight.
        dataset = super()._prepare_dataset(dataset, processing_class, args, f"{split} texts").select_columns(KEPT)
        refuse_empty(dataset["completion_ids"])
        dataset = leave_out_long(
            dataset, max_length=self.recipe.max_length, context=self.context, split=split, what="texts"
        )
        if split == "train" and len(set(dataset["label"])) == 1:
            left = "desirable" if dataset[0]["label"] else "undesirable"
            raise Failure(
                "one_sided",
                f"All texts of up to {self.recipe.max_length} tokens are {left}: KTO learns from both kinds.",
                advice="Raise max_length.",
            )
        return dataset

    def take_reference(self) -> None:
        """Raises `Stopped` on request."""
        self.data_collator.reference = self.read_reference()
        if self.all_held_out is not None:
            size = self.recipe.batch_size
            some = some_held_out(self.all_held_out, batch_size=size, every=self.recipe.eval_every)
            if len(some) < len(self.all_held_out):
                # Whole batches alone: in a cut one other texts would be mismatched than those the reference was asked for.
                some = some.select(range(len(some) // size * size or size))
            self.eval_dataset = some

    # Loss

    def _compute_loss(self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool) -> Tensor:
        log_ratios = self.log_probs(model, inputs)[inputs["texts"]] - inputs["reference"]
        desirable = inputs["desirable"]
        kl = self.kl_of(model, inputs)
        losses = kto_losses(log_ratios, desirable, kl=kl, beta=self.beta)
        self.first_losses = losses.detach()
        rewards = (self.beta * log_ratios).detach()
        mode = "train" if self.model.training else "eval"
        if mode == "train":
            self.count_tokens(inputs)
        else:
            self.judged["losses"] += (inputs["weight"] * losses).tolist()
            self.judged["rewards"] += rewards.tolist()
        self._metrics[mode]["kl"].append(kl.item())
        for name, some in (("desirable", rewards[desirable]), ("undesirable", rewards[~desirable])):
            if len(some):  # TRL takes the mean of what is listed
                self.tell(mode, {f"rewards/{name}": some})
        loss: Tensor = (inputs["weight"] * losses).mean()
        return loss

    @torch.no_grad()
    def kl_of(self, model: nn.Module, inputs: dict[str, Any]) -> Tensor:
        others = inputs.get("others")
        if others is None:
            return reference_point(inputs["reference"][:0])
        return reference_point(self.log_probs(model, others) - others["reference"])

    def check_first_loss(self, loss: float) -> None:
        """At log-ratios and KL of 0 a text's loss is 1 - s(0) = 1/2, before its weight; each one's, for errors cancel out."""
        off = (self.first_losses - 0.5).abs().mean().item()
        if off > 1e-3:
            raise Failure(
                "first_loss",
                f"The first losses of texts are not 1/2 but {off:.4f} off: policy and reference differ before any training.",
                advice="The input model's folder does not hold the model that was loaded; store it again.",
            )

    # Evaluation

    def held_out(self) -> dict[str, float]:
        """`accuracy`: of a prompt's desirable and undesirable texts, how many couples the policy's change puts right."""
        rows = self.eval_dataset
        found = {"loss": sum(self.judged["losses"]) / len(rows)}
        margins, groups = couples(self.judged["rewards"], rows["label"], rows["group_id"])
        if margins:
            low, high = interval(margins, groups)
            found |= {
                "accuracy": accuracy(margins), "accuracy_low": low, "accuracy_high": high, "n": len(margins),
            }  # fmt: skip
        return found


def couples(
    rewards: Sequence[float], desirable: Sequence[bool], groups: Sequence[str]
) -> tuple[list[float], list[str]]:
    """Reward of a desirable text less that of an undesirable one of the same prompt, and the prompt, for every such two."""
    of_group: dict[str, dict[bool, list[float]]] = defaultdict(lambda: {True: [], False: []})
    for reward, good, group in zip(rewards, desirable, groups, strict=True):
        of_group[group][bool(good)].append(reward)
    told = [(a - b, group) for group, kinds in of_group.items() for a in kinds[True] for b in kinds[False]]
    return [margin for margin, _ in told], [group for _, group in told]
