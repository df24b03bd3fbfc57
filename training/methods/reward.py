"""A reward model by the Bradley-Terry likelihood of comparisons (Christiano et al. 2017; Ouyang et al. 2022), on TRL.

Where we depart from TRL 1.16's RewardTrainer:

- The comparisons of a prompt stand together in a batch, each of its texts is scored once (`trainer_pairs`), and the
  prompt is read once for all of them (`shared_prefix`);
  per-comparison weights, which TRL drops, make prompts count alike.
- The score is read at the last attended token, in float32. TRL leaves the place to the class of transformers, which
  searches for the last token that is not padding by its id, and the precision to autocast: bfloat16 has 8 bits.
- Pairs that are too long are counted, and said; held-out accuracy comes with n, an interval over prompts, calibration,
  a length-only baseline and the ceiling that disagreeing raters set.
- Texts are scored as whole conversations, so each one ends in its end-of-turn token, here as in PPO and in serving.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from datasets import Dataset
from torch import Tensor, nn
from trl import RewardConfig, RewardTrainer  # type: ignore[attr-defined]  # exported lazily

from training.context import RunContext, Stopped
from training.contract import Failure
from training.mechanics import models
from training.mechanics.shared_prefix import READ, Reader, Text, on_device, read_together
from training.mechanics.trainer import RunTrainer, Show, settings
from training.mechanics.trainer_head import add_exact_score
from training.mechanics.trainer_judgement import accuracy, calibration_error, ceiling, interval, length_accuracy
from training.mechanics.trainer_pairs import (
    GroupBatches,
    PairCollator,
    as_dataset,
    leave_out_long,
    lengths_of,
    read_pairs,
    scale_weights,
    some_held_out,
)
from training.recipes.reward import RewardRecipe

MOST_FIRST_LOSS = 3.0  # of a fresh head; ln 2 where it scores alike, more where the last layer's activations are large


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, RewardRecipe)
    model_input, preferences = context.input("model"), context.input("preferences")
    tokenizer = models.load_tokenizer(model_input)
    rows = read_pairs(preferences, split="train")
    held_out = read_pairs(preferences, split="test")
    trainer = build(context, recipe, rows=rows, held_out=held_out, tokenizer=tokenizer)
    trainer.train_to_the_end()
    metrics: dict[str, Any] = {"train_pairs": len(trainer.train_dataset), "held_out_pairs": 0}
    if trainer.all_held_out:
        metrics |= trainer.evaluate_all()
        metrics["held_out_pairs"] = len(trainer.all_held_out)
        metrics["length_accuracy"] = length_accuracy(sides(trainer.train_dataset), sides(trainer.all_held_out))
    metrics |= ceiling([*rows, *held_out])
    mean, std = trainer.scale()
    metrics |= {"reward_mean": mean, "reward_std": std}
    models.publish_model(trainer.model, tokenizer, context.output, adapter_allowed=model_input.base is None)
    models.write_reward_scale(context.output, mean, std)
    return metrics


def build(
    context: RunContext,
    recipe: RewardRecipe,
    *,
    rows: list[dict[str, Any]],
    held_out: list[dict[str, Any]],
    tokenizer: Any,
) -> RewardRun:
    lora = recipe.lora
    seed = context.spec.seed + recipe.seed
    torch.manual_seed(seed)  # of the fresh head
    model = models.load_reward(context.input("model"), dtype=torch.bfloat16 if recipe.bf16 and lora else torch.float32)
    if lora:
        model = models.add_lora(model, lora, task="reward")
        for weight in model.parameters():
            if weight.requires_grad:
                weight.data = weight.data.float()  # a step of 1e-4 is lost in bfloat16
    arguments = RewardConfig(
        max_length=None,  # `leave_out_long` counts what TRL would drop in silence
        disable_dropout=not (lora and lora.dropout),
        center_rewards_coefficient=recipe.center_rewards,
        **settings(
            context,
            rows=len(rows),
            batch_size=recipe.batch_size,
            epochs=recipe.epochs,
            every=recipe.eval_every,
            learning_rate=recipe.learning_rate,
            bf16=recipe.bf16,
            seed=seed,
            evaluated=bool(held_out),
        ),
    )
    return RewardRun(
        model=model,
        args=arguments,
        processing_class=tokenizer,
        data_collator=PairCollator(Reader.of(model, pad_token_id=tokenizer.pad_token_id)),
        train_dataset=as_dataset(scale_weights(rows)),
        eval_dataset=as_dataset(scale_weights(held_out)) if held_out else None,
        context=context,
        show=Show([], [], 0),
        recipe=recipe,
    )


def sides(dataset: Dataset) -> list[tuple[int, int]]:
    return [(len(c), len(r)) for c, r in zip(dataset["chosen_ids"], dataset["rejected_ids"], strict=True)]


def bradley_terry_losses(chosen: Tensor, rejected: Tensor, *, margin: Tensor | float = 0.0) -> Tensor:
    """-log P(chosen beats rejected by `margin`), all (B,)."""
    return -F.logsigmoid(chosen - rejected - margin)


class RewardRun(RunTrainer, RewardTrainer):
    def __init__(self, *args: Any, recipe: RewardRecipe, context: RunContext, show: Show, **kwargs: Any) -> None:
        self.recipe = recipe
        self.pair_losses = torch.empty(0)
        self.margins: list[float] = []
        super().__init__(*args, context=context, show=show, **kwargs)
        model = self.accelerator.unwrap_model(self.model)
        add_exact_score(model.get_base_model() if hasattr(model, "peft_config") else model)
        self.batches = GroupBatches(
            self.train_dataset["group_id"],
            lengths_of(self.train_dataset),
            batch_size=self.args.per_device_train_batch_size,
            seed=self.args.seed,
        )
        if self.all_held_out is not None:
            self.eval_dataset = some_held_out(
                self.all_held_out, batch_size=self.recipe.batch_size, every=self.recipe.eval_every
            )

    # Data

    def _prepare_dataset(
        self, dataset: Dataset, processing_class: Any, args: RewardConfig, dataset_name: str
    ) -> Dataset:
        if "chosen_ids" in dataset.column_names:
            return dataset
        dataset = super()._prepare_dataset(dataset, processing_class, args, dataset_name)
        dataset = dataset.select_columns(["chosen_ids", "rejected_ids", "weight", "margin", "group_id"])
        split = "train" if dataset_name == "train" else "held-out"
        return leave_out_long(dataset, max_length=self.recipe.max_length, context=self.context, split=split)

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> GroupBatches:
        return self.batches

    # Loss

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Tensor], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        outputs = model(**{name: inputs[name] for name in (*READ, "last_places")}, use_cache=False)
        scores = outputs.logits.squeeze(-1)
        chosen, rejected = scores[inputs["chosen"]], scores[inputs["rejected"]]
        margin = inputs["margin"] if self.recipe.use_margin else 0.0
        losses = bradley_terry_losses(chosen, rejected, margin=margin)
        centring = self.recipe.center_rewards * (chosen + rejected) ** 2
        loss = (inputs["weight"] * (losses + centring)).mean()

        mode = "train" if self.model.training else "eval"
        with torch.no_grad():
            self.pair_losses = bradley_terry_losses(chosen, rejected)
            if mode == "train":
                self._total_train_tokens += int(inputs["text_lengths"].sum())
                self._metrics[mode]["num_tokens"] = [self._total_train_tokens]
                self._metrics[mode]["accuracy"] += (chosen > rejected).float().tolist()
            else:
                self.margins += (chosen - rejected).tolist()
            every = self.accelerator.gather(scores)
            self._metrics[mode]["min_reward"].append(every.min().item())
            self._metrics[mode]["mean_reward"].append(every.mean().item())
            self._metrics[mode]["max_reward"].append(every.max().item())
            self._metrics[mode]["margin"] += (chosen - rejected).tolist()
        return (loss, outputs) if return_outputs else loss

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

    def held_out(self) -> dict[str, float]:
        assert self.eval_dataset is not None
        low, high = interval(self.margins, self.eval_dataset["group_id"])
        return {
            "loss": sum(math.log1p(math.exp(-abs(m))) + max(-m, 0.0) for m in self.margins) / len(self.margins),
            "accuracy": accuracy(self.margins),
            "accuracy_low": low,
            "accuracy_high": high,
            "n": len(self.margins),
            "ece": calibration_error(self.margins),
        }

    def scale(self) -> tuple[float, float]:
        """Mean and standard deviation of the raw scores of the training texts, each counted once."""
        rows = [*self.train_dataset["chosen_ids"], *self.train_dataset["rejected_ids"]]
        alone = [Text(ids, group=str(i)) for i, ids in enumerate({tuple(ids) for ids in rows})]
        texts = sorted(alone, key=lambda text: (len(text.ids), text.ids))
        size = 2 * self.args.per_device_eval_batch_size
        scores: list[float] = []
        self.model.eval()
        for start in range(0, len(texts), size):
            if self.context.stop_requested:
                raise Stopped
            self.context.progress("scale", start, len(texts), unit="texts")
            batch = read_together(texts[start : start + size], reader=self.data_collator.reader)
            read = on_device({name: batch[name] for name in (*READ, "last_places")}, self.accelerator.device)
            with torch.no_grad(), self.accelerator.autocast():
                outputs = self.model(**read, use_cache=False)
            scores += outputs.logits.squeeze(-1).tolist()
        values = torch.tensor(scores, dtype=torch.float64)
        return values.mean().item(), max(values.std(correction=0).item(), 1e-6)
