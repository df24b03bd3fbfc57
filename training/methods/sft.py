"""Supervised fine-tuning on instructions: only the assistant's words are learned, on TRL's SFTTrainer.

Every assistant turn of a conversation is learned, each to its end-of-turn token: without it a model never stops. Which
tokens those are is found by rendering the conversation up to each turn, so any chat template will do that renders a
conversation's beginning as the beginning of the conversation; a turn where it does not is left unlearned.

Where we depart from TRL 1.16: packed rows stay rows. TRL lays a whole batch of packs into one sequence, for the
variable-length kernels of flash attention; without them attention is quadratic in the batch. Here a pack is a row
with positions that start anew at each example, which transformers turns into a mask that keeps examples apart.
`batch_size` counts examples, packed or not: packing changes the time a step takes, and not the number of steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor, nn
from trl import SFTConfig, SFTTrainer, pack_dataset  # type: ignore[attr-defined]  # exported lazily

from training.context import RunContext
from training.contract import Failure
from training.mechanics import datasets, models
from training.mechanics.instructions.talks import IGNORED, Example, Talk, encode, learned_of, question_of, read_talks
from training.mechanics.trainers.base import RunTrainer
from training.mechanics.trainers.head import add_compact_head
from training.mechanics.trainers.samples import Show, pick_show
from training.mechanics.trainers.settings import settings
from training.recipes.sft import SftRecipe

SAMPLES = 8


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, SftRecipe)
    model_input, instructions = context.input("model"), context.input("instructions")
    tokenizer = models.load_tokenizer(model_input)
    talks = {split: read_talks(datasets.read_rows(instructions, split=split)) for split in ("train", "test")}
    train, held_out = (
        encode_all(tokenizer, talks[split], max_length=recipe.max_length, context=context, split=split)
        for split in ("train", "test")
    )
    asked = [question_of(talk) for talk in talks["test"] or talks["train"]]
    show = pick_show(
        asked, tokenizer=tokenizer, count=SAMPLES, max_length=recipe.max_length, max_new_tokens=recipe.sample_tokens
    )
    context.metric(0, **learned_of(train))
    trainer = build(context, recipe, train=train, held_out=held_out, tokenizer=tokenizer, show=show)
    trainer.train_to_the_end()
    metrics = {"train_rows": len(train), "held_out_rows": len(held_out), **trainer.end_metrics()}
    models.publish_model(trainer.model, tokenizer, context.output, adapter_allowed=model_input.base is None)
    return metrics


# Data


def encode_all(tokenizer: Any, talks: list[Talk], *, max_length: int, context: RunContext, split: str) -> list[Example]:
    """Leaves out, and counts, what is too long or has no word to learn. Raises `Failure` where no training row is left."""
    examples = [encode(tokenizer, talk) for talk in talks]
    if split == "train" and not talks:
        raise Failure(
            "no_rows", "The dataset has no conversation to train on.", advice="Import or freeze one with rows."
        )
    spoken = [example for example in examples if any(label != IGNORED for label in example.labels)]
    fitting = [example for example in spoken if len(example.input_ids) <= max_length]
    if split == "train" and not spoken:
        raise Failure(
            "no_trained_token",
            f"None of the {len(examples)} conversations has a token of the assistant's to learn.",
            advice="Each conversation needs an assistant turn that the model's chat template renders.",
        )
    if split == "train" and not fitting:
        raise Failure("no_rows", f"All conversations are longer than {max_length} tokens.", advice="Raise max_length.")
    if len(spoken) < len(examples):
        count = len(examples) - len(spoken)
        context.warn("left_out_silent", f"{count} conversations ({split}) have nothing to learn and were left out.")
    if len(fitting) < len(spoken):
        count = len(spoken) - len(fitting)
        context.warn(
            "left_out_long",
            f"{count} of {len(spoken)} conversations ({split}) are longer than {max_length} tokens and were left out.",
        )
    return fitting


def as_dataset(examples: list[Example]) -> Dataset:
    return Dataset.from_dict(
        {
            "input_ids": [example.input_ids for example in examples],
            "labels": [example.labels for example in examples],
            "num_bytes": [example.num_bytes for example in examples],
        }
    )


def pack(examples: list[Example], *, max_length: int) -> Dataset:
    """Best-fit-decreasing packs of at most `max_length` tokens; `seq_lengths` says where each example ends."""
    dataset = as_dataset(examples).select_columns(["input_ids", "labels"])
    return pack_dataset(dataset, max_length, strategy="bfd", map_kwargs={"batch_size": max(len(dataset), 1)})


@dataclass(frozen=True, slots=True)
class RowCollator:
    """Rows padded on the right. Packed rows carry positions and no attention mask: that is how packs are recognised."""

    pad_token_id: int

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Tensor]:
        shape = (len(rows), max(len(row["input_ids"]) for row in rows))
        input_ids = torch.full(shape, self.pad_token_id)
        labels = torch.full(shape, IGNORED)
        attention_mask = torch.zeros(shape, dtype=torch.long)
        position_ids = torch.zeros(shape, dtype=torch.long)  # a pad is at 0, in company of nothing
        for i, row in enumerate(rows):
            length = len(row["input_ids"])
            input_ids[i, :length] = torch.tensor(row["input_ids"])
            labels[i, :length] = torch.tensor(row["labels"])
            attention_mask[i, :length] = 1
            position_ids[i, :length] = torch.cat([torch.arange(n) for n in row.get("seq_lengths", [length])])
        batch = {"input_ids": input_ids, "labels": labels}
        if "seq_lengths" in rows[0]:
            return batch | {"position_ids": position_ids}
        return batch | {"attention_mask": attention_mask}


# Training


def build(
    context: RunContext, recipe: SftRecipe, *, train: list[Example], held_out: list[Example], tokenizer: Any, show: Show
) -> SftRun:
    lora = recipe.lora
    model = models.load_causal(context.input("model"), dtype=torch.bfloat16 if recipe.bf16 and lora else torch.float32)
    if lora:
        model = models.add_lora(model, lora, task="causal")
    dataset = pack(train, max_length=recipe.max_length) if recipe.packing else as_dataset(train)
    batch_size = max(1, round(recipe.batch_size * len(dataset) / len(train)))
    arguments = SFTConfig(
        max_length=None,  # nothing is cut: `encode_all` has left out what is too long
        packing=False,  # done above
        **settings(context, recipe, rows=len(dataset), evaluated=bool(held_out), batch_size=batch_size),
    )
    return SftRun(
        model=model,
        args=arguments,
        processing_class=tokenizer,
        data_collator=RowCollator(tokenizer.pad_token_id),
        train_dataset=dataset,
        eval_dataset=as_dataset(held_out) if held_out else None,
        context=context,
        show=show,
        recipe=recipe,
    )


class SftRun(RunTrainer, SFTTrainer):
    def __init__(self, *args: Any, recipe: SftRecipe, context: RunContext, show: Show, **kwargs: Any) -> None:
        self.nll = 0.0
        self.num_labels = 0
        super().__init__(*args, context=context, show=show, **kwargs)
        model = self.accelerator.unwrap_model(self.model)
        add_compact_head(model.get_base_model() if hasattr(model, "peft_config") else model, statistics=True)
        if self.all_held_out is not None:
            most = max(64, recipe.batch_size * recipe.eval_every)  # a third of what is trained between two evaluations
            self.eval_dataset = self.all_held_out.select(range(min(most, len(self.all_held_out))))

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        seen = self._total_train_tokens
        packed = "position_ids" in inputs
        loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)  # type: ignore[no-untyped-call]
        if not self.model.training:
            count = int((inputs["labels"][:, 1:] != IGNORED).sum())
            self.nll += loss.item() * count
            self.num_labels += count
        elif packed:
            # TRL counts a packed batch as the one sequence that it would have made of it.
            self._total_train_tokens = seen + inputs["input_ids"].numel()
            self._metrics["train"]["num_tokens"] = [self._total_train_tokens]
        return loss

    def begin_held_out(self) -> None:
        self.nll, self.num_labels = 0.0, 0

    def held_out(self) -> dict[str, float]:
        """`loss` in nats a token of the assistant's; the bytes are those of her words, the nats also of their ends."""
        assert self.eval_dataset is not None
        bits = self.nll / math.log(2)
        return {
            "loss": self.nll / self.num_labels,
            "bits_per_byte": bits / max(sum(self.eval_dataset["num_bytes"]), 1),
            "n": len(self.eval_dataset),
        }
