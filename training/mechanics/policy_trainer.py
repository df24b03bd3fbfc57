"""A policy that is held to what it was before its first step: what DPO and KTO have in common, on a trainer of TRL.

The reference is the input model as it stands on disk. Its log-probabilities are taken once a text (`reference_log_probs`),
the first batch of training first and in its very company: so the first loss is that of equal models to the last bit, in
bfloat16 too, and anything else ends the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor, nn

from training.contract import Input
from training.mechanics import models, reference_log_probs
from training.mechanics.reference_log_probs import Reference
from training.mechanics.shared_prefix import READ, Text, on_device, read_together
from training.mechanics.trainer import RunTrainer
from training.mechanics.trainer_head import add_text_log_probs
from training.mechanics.trainer_pairs import GroupBatches
from training.recipes.lora import LoRA

ASKED = (*READ, "asked_ids", "asked_places", "asked_of")


def load_policy(given: Input, *, lora: LoRA | None, bf16: bool) -> Any:
    """With a fresh adapter, or all of its weights in float32. Raises `Failure`."""
    # A trained matrix needs float32; a frozen one does not, and costs half the time and memory in bfloat16.
    model = models.load_causal(given, dtype=torch.bfloat16 if bf16 and lora else torch.float32)
    return models.add_lora(model, lora, task="causal") if lora else model


class PolicyRun(RunTrainer):
    """A trainer calls `prepare_policy` when it is made; its collator's `readings` tell what a batch of rows makes it read."""

    batches: GroupBatches
    _metrics: Any  # of TRL's trainer behind this mixin
    by_token = False
    """Whether the reference is asked for each token's log-probability, or for a text's sum."""

    def prepare_policy(self) -> None:
        model = self.accelerator.unwrap_model(self.model)
        if hasattr(model, "peft_config"):
            # TRL copies a given adapter as a second one for the reference; ours are new, and switching off is enough.
            if "ref" in model.peft_config:
                model.delete_adapter("ref")
            model = model.get_base_model()
        add_text_log_probs(model)

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> GroupBatches:
        return self.batches

    def _precompute_ref_logps(self, dataset: Dataset, name: str, batch_size: int) -> Dataset:
        return dataset  # `take_reference` does it, where it can be seen and stopped

    # Reference

    def reference_batches(self) -> list[list[dict[str, Any]]]:
        """The rows of both splits, in the batches of training and of evaluation; those of the first epoch in their order."""
        found = [[self.train_dataset[row] for row in rows] for rows in self.batches.of_epoch(0)]
        if self.all_held_out is not None:
            size = self.args.per_device_eval_batch_size
            held_out = [self.all_held_out[row] for row in range(len(self.all_held_out))]
            found += [held_out[start : start + size] for start in range(0, len(held_out), size)]
        return found

    def read_reference(self) -> Reference:
        """Raises `Stopped` on request."""
        batches = [texts for rows in self.reference_batches() for texts in self.data_collator.readings(rows)]
        self.model.eval()
        model = self.accelerator.unwrap_model(self.model)
        found = reference_log_probs.fingerprint(
            self.context.input("model"), batches, dtype=str(next(model.parameters()).dtype), bf16=self.args.bf16,
            device=self.accelerator.device.type, shares=self.data_collator.reader.shares, by_token=self.by_token,
        )  # fmt: skip
        return reference_log_probs.take(batches, read=self.ask_reference, fingerprint=found, context=self.context)

    @torch.no_grad()
    def ask_reference(self, texts: Sequence[Text]) -> list[Tensor]:
        batch = on_device(read_together(texts, reader=self.data_collator.reader), self.accelerator.device)
        model = self.accelerator.unwrap_model(self.model)
        with self.accelerator.autocast():
            if hasattr(model, "disable_adapter"):
                with model.disable_adapter():
                    outputs = self.ask(model, batch)
            else:
                outputs = self.ask(model, batch)
        if not self.by_token:
            return list(outputs.log_probs.float().cpu().split(1))
        lengths = torch.bincount(batch["asked_of"], minlength=len(texts)).tolist()
        return list(outputs.by_token.float().cpu().split(lengths))

    # Policy

    def log_probs(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """Summed log-probability (U,) of each text's completion, its end-of-turn token included."""
        log_probs: Tensor = self.ask(model, batch).log_probs
        return log_probs

    def ask(self, model: nn.Module, batch: dict[str, Tensor]) -> Any:
        return model(**{name: batch[name] for name in ASKED}, num_texts=len(batch["text_lengths"]))

    def tell(self, mode: str, values: dict[str, Tensor]) -> None:
        """One entry a row: TRL takes the mean of the list, and batches are not all of one size."""
        for name, told in values.items():
            self._metrics[mode][name] += self.accelerator.gather(told.detach()).tolist()

    def count_tokens(self, inputs: dict[str, Tensor]) -> None:
        self._total_train_tokens += int(inputs["text_lengths"].sum())
        self._metrics["train"]["num_tokens"] = [self._total_train_tokens]
