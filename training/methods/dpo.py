"""Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290), on TRL's DPOTrainer.

Where we depart from TRL 1.16:

- The reference is the input model as it stands on disk, before the first step: its log-probabilities are taken once,
  batch by batch in the very batches that training sees. So the first loss is ln 2 to the last bit, in bfloat16 too,
  and anything else ends the run: the policy would be held to another model than the one it started from.
- Comparisons of a prompt stand together, each text is read once (`trainer_pairs`), their prompt once for all of them
  (`shared_prefix`), and weights make prompts count alike.
- `label_smoothing` e is the share of comparisons taken to be wrong: the unbiased loss of robust DPO
  (Chowdhury et al. 2024, arXiv 2403.00409), ((1-e) l(x) - e l(-x)) / (1-2e).
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import torch
import torch.nn.functional as F
from datasets import Dataset
from torch import Tensor, nn
from trl import DPOConfig, DPOTrainer  # type: ignore[attr-defined]  # exported lazily

from training.context import RunContext, Stopped
from training.contract import Failure
from training.mechanics import datasets, models
from training.mechanics.shared_prefix import READ, Reader, on_device
from training.mechanics.trainer import RunTrainer, Show, pick_show, settings
from training.mechanics.trainer_head import add_text_log_probs
from training.mechanics.trainer_judgement import accuracy, ceiling, interval
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
from training.recipes.dpo import DpoRecipe

ASKED = (*READ, "asked_ids", "asked_places", "asked_of")
SAMPLES = 4
FALLING = -0.5  # nats a token below the reference at which the chosen texts themselves are being unlearned
FALLING_STEPS = 10


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, DpoRecipe)
    model_input, preferences = context.input("model"), context.input("preferences")
    tokenizer = models.load_tokenizer(model_input)
    rows = read_pairs(preferences, split="train")
    held_out = read_pairs(preferences, split="test")
    trainer = build(context, recipe, rows=rows, held_out=held_out, tokenizer=tokenizer)
    trainer.take_reference()
    trainer.train_to_the_end()
    metrics: dict[str, Any] = {"train_pairs": len(trainer.train_dataset), "held_out_pairs": 0}
    if trainer.all_held_out:
        metrics |= trainer.evaluate_all()
        metrics["held_out_pairs"] = len(trainer.all_held_out)
    else:
        trainer.show_samples()
    if trainer.ended_rate is not None:
        metrics["ended_rate"] = trainer.ended_rate
    metrics |= {"chosen_change_per_token": trainer.recent_change(), **ceiling([*rows, *held_out])}
    models.publish_model(trainer.model, tokenizer, context.output, adapter_allowed=model_input.base is None)
    return metrics


def build(
    context: RunContext,
    recipe: DpoRecipe,
    *,
    rows: list[dict[str, Any]],
    held_out: list[dict[str, Any]],
    tokenizer: Any,
) -> DpoRun:
    lora = recipe.lora
    # A trained matrix needs float32; a frozen one does not, and costs half the time and memory in bfloat16.
    dtype = torch.bfloat16 if recipe.bf16 and lora else torch.float32
    model = models.load_causal(context.input("model"), dtype=dtype)
    if lora:
        model = models.add_lora(model, lora, task="causal")
    asked = [row["prompt"] for row in held_out or rows]
    show = pick_show(
        asked,
        tokenizer=tokenizer,
        render=datasets.render_prompt,
        count=SAMPLES,
        max_length=recipe.max_length,
        max_new_tokens=recipe.sample_tokens,
    )
    arguments = DPOConfig(
        beta=recipe.beta,
        max_length=None,  # nothing is cut: `leave_out_long` has left out what is too long
        precompute_ref_log_probs=True,
        disable_dropout=not (lora and lora.dropout),
        **settings(
            context,
            rows=len(rows),
            batch_size=recipe.batch_size,
            epochs=recipe.epochs,
            every=recipe.eval_every,
            learning_rate=recipe.learning_rate,
            bf16=recipe.bf16,
            seed=context.spec.seed + recipe.seed,
            evaluated=bool(held_out),
        ),
    )
    return DpoRun(
        model=model,
        args=arguments,
        processing_class=tokenizer,
        data_collator=PairCollator(Reader.of(model, pad_token_id=tokenizer.pad_token_id)),
        train_dataset=as_dataset(scale_weights(rows)),
        eval_dataset=as_dataset(scale_weights(held_out)) if held_out else None,
        context=context,
        show=show,
        recipe=recipe,
    )


def dpo_losses(margins: Tensor, *, label_smoothing: float) -> Tensor:
    """Robust DPO of beta-scaled margins (B,); plain DPO, -log sigmoid, without smoothing."""
    e = label_smoothing
    return (-(1 - e) * F.logsigmoid(margins) + e * F.logsigmoid(-margins)) / (1 - 2 * e)


class DpoRun(RunTrainer, DPOTrainer):
    def __init__(self, *args: Any, recipe: DpoRecipe, context: RunContext, show: Show, **kwargs: Any) -> None:
        self.recipe = recipe
        self.changes: deque[float] = deque(maxlen=FALLING_STEPS)
        self.warned_falling = False
        self.pair_losses = torch.empty(0)
        self.margins: list[float] = []
        super().__init__(*args, context=context, show=show, **kwargs)
        model = self.accelerator.unwrap_model(self.model)
        if hasattr(model, "peft_config"):
            # TRL copies a given adapter as a second one for the reference; ours are new, and switching off is enough.
            if "ref" in model.peft_config:
                model.delete_adapter("ref")
            model = model.get_base_model()
        add_text_log_probs(model)
        self.batches = GroupBatches(
            self.train_dataset["group_id"],
            lengths_of(self.train_dataset),
            batch_size=self.args.per_device_train_batch_size,
            seed=self.args.seed,
        )

    # Data

    def _prepare_dataset(self, dataset: Dataset, processing_class: Any, args: DPOConfig, dataset_name: str) -> Dataset:
        if "chosen_ids" in dataset.column_names:
            return dataset
        dataset = super()._prepare_dataset(dataset, processing_class, args, dataset_name)
        dataset = dataset.select_columns(["prompt_ids", "chosen_ids", "rejected_ids", "weight", "group_id"])
        if not all(map(len, dataset["chosen_ids"])) or not all(map(len, dataset["rejected_ids"])):
            raise Failure(
                "no_trained_token",
                "A completion has no token of its own after the chat template: nothing of it could be learned.",
                advice="Look at the model's chat template.",
            )
        split = "train" if dataset_name == "train" else "held-out"
        return leave_out_long(dataset, max_length=self.recipe.max_length, context=self.context, split=split)

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> GroupBatches:
        return self.batches

    # Reference

    def _precompute_ref_logps(self, dataset: Dataset, name: str, batch_size: int) -> Dataset:
        return dataset  # `take_reference` does it, where it can be seen and stopped

    def take_reference(self) -> None:
        """Adds `ref_chosen_logps` and `ref_rejected_logps` to both splits. Raises `Stopped` on request."""
        size = self.args.per_device_eval_batch_size
        plan = [(self.train_dataset, self.batches.batches)]
        if self.all_held_out is not None:
            held_out = list(range(len(self.all_held_out)))
            plan.append((self.all_held_out, [held_out[i : i + size] for i in range(0, len(held_out), size)]))
        total = sum(len(batches) for _, batches in plan)
        done = 0
        self.model.eval()
        filled = []
        for dataset, batches in plan:
            chosen, rejected = [0.0] * len(dataset), [0.0] * len(dataset)
            for rows in batches:
                if self.context.stop_requested:
                    raise Stopped
                self.context.progress("reference", done, total, unit="batches")
                for row, c, r in zip(rows, *self.reference_of([dataset[row] for row in rows]), strict=True):
                    chosen[row], rejected[row] = c, r
                done += 1
            dataset = dataset.add_column("ref_chosen_logps", chosen).add_column("ref_rejected_logps", rejected)
            filled.append(dataset)
        self.context.progress("reference", total, total, unit="batches")
        self.train_dataset = filled[0]
        if self.all_held_out is not None:
            self.all_held_out = filled[1]
            self.eval_dataset = some_held_out(
                filled[1], batch_size=self.recipe.batch_size, every=self.recipe.eval_every
            )

    def reference_of(self, rows: list[dict[str, Any]]) -> tuple[list[float], list[float]]:
        batch = on_device(self.data_collator(rows), self.accelerator.device)
        model = self.accelerator.unwrap_model(self.model)
        with torch.no_grad(), self.accelerator.autocast():
            if hasattr(model, "disable_adapter"):
                with model.disable_adapter():
                    logps = self.log_probs(model, batch)
            else:
                logps = self.log_probs(model, batch)
        return logps[batch["chosen"]].tolist(), logps[batch["rejected"]].tolist()

    def log_probs(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """Summed log-probability (U,) of each text's completion, its end-of-turn token included."""
        outputs = model(**{name: batch[name] for name in ASKED}, num_texts=len(batch["text_lengths"]))
        log_probs: Tensor = outputs.log_probs
        return log_probs

    # Loss

    def _compute_loss(self, model: nn.Module, inputs: dict[str, Tensor], return_outputs: bool) -> Tensor:
        logps = self.log_probs(model, inputs)
        chosen, rejected = logps[inputs["chosen"]], logps[inputs["rejected"]]
        chosen_rewards = self.beta * (chosen - inputs["ref_chosen_logps"])
        rejected_rewards = self.beta * (rejected - inputs["ref_rejected_logps"])
        margins = chosen_rewards - rejected_rewards
        losses = dpo_losses(margins, label_smoothing=self.recipe.label_smoothing)
        self.pair_losses = losses.detach()

        mode = "train" if self.model.training else "eval"
        if mode == "eval":
            self.margins += margins.tolist()
        else:
            self.watch_chosen(inputs, chosen.detach())
            self._total_train_tokens += int(inputs["text_lengths"].sum())
            self._metrics[mode]["num_tokens"] = [self._total_train_tokens]
        for name, values in {
            "rewards/chosen": chosen_rewards,
            "rewards/rejected": rejected_rewards,
            "rewards/accuracies": (margins > 0).float(),
            "rewards/margins": margins,
            "logps/chosen": chosen,
            "logps/rejected": rejected,
        }.items():
            # One entry a comparison: TRL takes the mean of the list, and batches are not all of one size.
            self._metrics[mode][name] += self.accelerator.gather(values.detach()).tolist()
        return (inputs["weight"] * losses).mean()

    def check_first_loss(self, loss: float) -> None:
        first = self.pair_losses.mean().item()
        if abs(first - math.log(2)) > 1e-3:
            raise Failure(
                "first_loss",
                f"The first loss is {first:.4f} and not ln 2 = 0.6931: policy and reference differ before any training.",
                advice="The input model's folder does not hold the model that was loaded; store it again.",
            )

    def watch_chosen(self, inputs: dict[str, Tensor], chosen: Tensor) -> None:
        """DPO may lower both sides as long as the rejected falls faster; far down, that is forgetting."""
        lengths = torch.bincount(inputs["asked_of"], minlength=len(inputs["text_lengths"]))[inputs["chosen"]]
        self.changes.append(((chosen - inputs["ref_chosen_logps"]) / lengths).mean().item())
        if self.warned_falling or len(self.changes) < FALLING_STEPS or self.recent_change() > FALLING:
            return
        self.warned_falling = True
        self.context.warn(
            "chosen_falling",
            f"The preferred texts have become {-self.recent_change():.2f} nats a token less likely than under the "
            "reference: the model is unlearning them too. Lower the learning rate or the epochs, or raise beta.",
        )

    def recent_change(self) -> float:
        """Mean log-ratio to the reference of the last steps' chosen texts, in nats a token."""
        return sum(self.changes) / max(len(self.changes), 1)

    def own_state(self) -> dict[str, Any]:
        return {**super().own_state(), "changes": list(self.changes), "warned_falling": self.warned_falling}

    def load_own_state(self, state: dict[str, Any]) -> None:
        super().load_own_state(state)
        self.changes.extend(state["changes"])
        self.warned_falling = state["warned_falling"]

    # Evaluation

    def begin_held_out(self) -> None:
        self.margins = []

    def held_out(self) -> dict[str, float]:
        assert self.eval_dataset is not None
        low, high = interval(self.margins, self.eval_dataset["group_id"])
        losses = dpo_losses(torch.tensor(self.margins), label_smoothing=self.recipe.label_smoothing)
        return {
            "loss": losses.mean().item(),
            "accuracy": accuracy(self.margins),
            "accuracy_low": low,
            "accuracy_high": high,
            "n": len(self.margins),
        }
