"""A policy that is held to what it was before its first step: what DPO and KTO have in common, on a trainer of TRL.

The reference is the input model as it stands on disk. Its log-probabilities are taken once a text (`preference.reference`),
the first batch of training first and in its very company: so the first loss is that of equal models to the last bit, in
bfloat16 too, and anything else ends the run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import torch
from datasets import Dataset
from torch import Tensor, nn

from training.context import RunContext
from training.contract import Failure
from training.mechanics import models
from training.mechanics.datasets import Message
from training.mechanics.preference import reference as reference_log_probs
from training.mechanics.preference.reference import Reference
from training.mechanics.shared_prefix import READ, Reader, Text, on_device, read_together
from training.mechanics.trainers.base import RunTrainer
from training.mechanics.trainers.head import TextLogProbs, add_text_log_probs
from training.mechanics.trainers.pairs import GroupBatches, lengths_of
from training.mechanics.trainers.samples import pick_show
from training.mechanics.trainers.settings import settings
from training.recipes.dpo import DpoRecipe
from training.recipes.kto import KtoRecipe

SAMPLES = 4
ASKED = (*READ, "asked_ids", "asked_places", "asked_of")


class PolicyRun(RunTrainer):
    """A method's collator has `readings`, which tell what a batch of rows makes it read."""

    config_type: ClassVar[Any]
    collator_type: ClassVar[Any]
    recipe: DpoRecipe | KtoRecipe
    batches: GroupBatches
    _metrics: Any  # of TRL's trainer behind this mixin
    by_token = False
    """Whether the reference is asked for each token's log-probability, or for a text's sum."""

    def __init__(self, *args: Any, recipe: DpoRecipe | KtoRecipe, **kwargs: Any) -> None:
        self.recipe = recipe
        self.judged: dict[str, list[float]] = defaultdict(list)
        super().__init__(*args, **kwargs)
        self.prepare_policy()
        self.batches = GroupBatches(
            self.train_dataset["group_id"],
            lengths_of(self.train_dataset),
            batch_size=self.args.per_device_train_batch_size,
            seed=self.args.seed,
        )

    @classmethod
    def of(
        cls,
        context: RunContext,
        recipe: DpoRecipe | KtoRecipe,
        *,
        rows: Dataset,
        held_out: Dataset | None,
        asked: list[list[Message]],
        tokenizer: Any,
    ) -> Self:
        """With a fresh adapter, or all of the weights in float32; samples answer the first of `asked`. Raises `Failure`."""
        lora = recipe.lora
        # A trained matrix needs float32; a frozen one does not, and costs half the time and memory in bfloat16.
        model = models.load_causal(
            context.input("model"), dtype=torch.bfloat16 if recipe.bf16 and lora else torch.float32
        )
        if lora:
            model = models.add_lora(model, lora, task="causal")
        arguments = cls.config_type(
            beta=recipe.beta,
            max_length=None,  # nothing is cut: `leave_out_long` has left out what is too long
            precompute_ref_log_probs=True,
            disable_dropout=not (lora and lora.dropout),
            **settings(context, recipe, rows=len(rows), evaluated=bool(held_out)),
        )
        show = pick_show(
            asked, tokenizer=tokenizer, count=SAMPLES, max_length=recipe.max_length, max_new_tokens=recipe.sample_tokens
        )
        return cls(
            model=model,
            args=arguments,
            processing_class=tokenizer,
            data_collator=cls.collator_type(Reader.of(model, pad_token_id=tokenizer.pad_token_id)),
            train_dataset=rows,
            eval_dataset=held_out,
            context=context,
            show=show,
            recipe=recipe,
        )

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
        self.try_longest(
            self.model
        )  # first: what is read in parts is read so here, too, or the first loss would be off
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

    def read_alone(self, model: nn.Module, inputs: dict[str, Any]) -> Tensor:
        return self.log_probs(model, inputs)

    def log_probs(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """Summed log-probability (U,) of each text's completion, its end-of-turn token included."""
        log_probs: Tensor = self.ask(model, batch).log_probs
        return log_probs

    def ask(self, model: nn.Module, batch: dict[str, Tensor], *, squares: bool = False) -> Any:
        def read(some: dict[str, Any]) -> Any:
            return model(**{name: some[name] for name in ASKED}, num_texts=len(some["text_lengths"]), squares=squares)

        found = self.read_in_parts(read, batch)
        return found[0] if len(found) == 1 else put_together(found)

    def tell(self, mode: str, values: dict[str, Tensor]) -> None:
        """One entry a row: TRL takes the mean of the list, and batches are not all of one size."""
        for name, told in values.items():
            self._metrics[mode][name] += self.accelerator.gather(told.detach()).tolist()

    def begin_held_out(self) -> None:
        self.judged.clear()

    def count_tokens(self, inputs: dict[str, Tensor]) -> None:
        self._total_train_tokens += int(inputs["text_lengths"].sum())
        self._metrics["train"]["num_tokens"] = [self._total_train_tokens]


def refuse_empty(*texts: list[list[int]]) -> None:
    """Raises `Failure("no_trained_token")` for completions without a token."""
    if not all(ids for some in texts for ids in some):
        raise Failure(
            "no_trained_token",
            "A completion has no token of its own after the chat template: nothing of it could be learned.",
            advice="Look at the model's chat template.",
        )


def put_together(parts: Sequence[TextLogProbs]) -> TextLogProbs:
    """Of texts that were read one after the other, in their order."""
    squares = [part.squares for part in parts if part.squares is not None]
    return TextLogProbs(
        torch.cat([part.log_probs for part in parts if part.log_probs is not None]),
        torch.cat([part.by_token for part in parts if part.by_token is not None]),
        torch.cat(squares) if squares else None,
    )
