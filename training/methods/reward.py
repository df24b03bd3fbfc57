"""A reward model by the likelihood of people's rankings (Plackett-Luce; Ouyang et al. 2022 for the unit), on TRL.

Where we depart from TRL 1.16's RewardTrainer:

- The unit is a prompt with all its ranked texts (`rankings`): each text is scored once, the prompt read once for all of
  them (`shared_prefix`), and the loss is that of whole orders, ties included (`rank_likelihood`). Comparisons alone are
  orders of two, for which it is Bradley-Terry; prompts count alike.
- Raters may be counted by how reliable they are (`rater_reliability`).
- The score is read at the last attended token, in float32. TRL leaves the place to the class of transformers, which
  searches for the last token that is not padding by its id, and the precision to autocast: bfloat16 has 8 bits.
- Texts that are too long are counted, and said; held-out accuracy comes with n, an interval over prompts, calibration,
  a length-only baseline and the ceiling that disagreeing raters set.
- Texts are scored as whole conversations, so each one ends in its end-of-turn token, here as in PPO and in serving.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor, nn
from trl import RewardConfig, RewardTrainer  # type: ignore[attr-defined]  # exported lazily

from training.context import RunContext, Stopped
from training.contract import Failure
from training.mechanics import models, rankings
from training.mechanics.rank_likelihood import (
    bradley_terry_losses,
    losses_by_lot,
    num_choices,
    plackett_luce_losses,
    ties_of_equals,
)
from training.mechanics.ranking_batches import RankingCollator
from training.mechanics.rankings import Group
from training.mechanics.rater_reliability import weighed_by_rater
from training.mechanics.shared_prefix import READ, Reader, Text, on_device, read_together
from training.mechanics.trainer import RunTrainer, Show, settings
from training.mechanics.trainer_head import add_exact_score
from training.mechanics.trainer_judgement import accuracy, calibration_error, ceiling, interval, length_accuracy
from training.mechanics.trainer_pairs import GroupBatches, read_pairs
from training.recipes.reward import RewardRecipe

MOST_FIRST_LOSS = 3.0  # of a fresh head; ln 2 where it scores alike, more where the last layer's activations are large
TIES_RATE = 0.02  # learning rate of the weights of ties, a handful of numbers around which everything else moves


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, RewardRecipe)
    model_input, preferences = context.input("model"), context.input("preferences")
    tokenizer = models.load_tokenizer(model_input)
    rows = read_pairs(preferences, split="train")
    held_out = read_pairs(preferences, split="test")
    whole = rankings.read_rankings(preferences, split="train") if recipe.loss == "plackett_luce" else []
    trainer = build(
        context, recipe, groups=whole or rankings.of_comparisons(rows), held_out=rankings.of_comparisons(held_out),
        tokenizer=tokenizer,
    )  # fmt: skip
    trainer.train_to_the_end()
    metrics: dict[str, Any] = {
        "train_prompts": len({group.id for group in trainer.train_dataset}),
        "train_rankings": sum(len(group.orders) for group in trainer.train_dataset),
        "train_pairs": len(lengths_of_pairs(trainer.train_dataset)),
        "held_out_pairs": 0,
    }
    if trainer.all_held_out:
        metrics |= trainer.evaluate_all()
        lengths = lengths_of_pairs(trainer.all_held_out)
        metrics["held_out_pairs"] = len(lengths)
        metrics["length_accuracy"] = length_accuracy(lengths_of_pairs(trainer.train_dataset), lengths)
    metrics |= ceiling([*rows, *held_out])
    mean, std = trainer.scale()
    metrics |= {"reward_mean": mean, "reward_std": std}
    models.publish_model(trainer.model, tokenizer, context.output, adapter_allowed=model_input.base is None)
    models.write_reward_scale(context.output, mean, std)
    return metrics


def build(
    context: RunContext, recipe: RewardRecipe, *, groups: list[Group], held_out: list[Group], tokenizer: Any
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
    if recipe.rater_weights == "estimated":
        groups = weighed_by_rater(groups, context=context)
    groups, held_out = (
        rankings.tokenised(some, tokenizer=tokenizer, max_length=recipe.max_length, context=context, split=split)
        for some, split in ((groups, "train"), (held_out, "held-out"))
    )
    arguments = RewardConfig(
        max_length=None,  # `tokenised` counts what TRL would drop in silence
        disable_dropout=not (lora and lora.dropout),
        **settings(
            context,
            rows=len(groups),
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
        data_collator=RankingCollator(Reader.of(model, pad_token_id=tokenizer.pad_token_id)),
        groups=rankings.scaled(groups),
        held_out=rankings.scaled(held_out),
        context=context,
        show=Show([], [], 0),
        recipe=recipe,
    )


def lengths_of_pairs(groups: list[Group]) -> list[tuple[int, int]]:
    """Tokens of the better and of the worse text of every comparison."""
    return [
        (len(group.ids[better]), len(group.ids[worse]))
        for group in groups
        for order in group.orders
        for better, worse in order.pairs
    ]


class RewardRun(RunTrainer, RewardTrainer):
    train_dataset: list[Group]
    eval_dataset: list[Group] | None

    def __init__(
        self, *args: Any, recipe: RewardRecipe, groups: list[Group], held_out: list[Group], **kwargs: Any
    ) -> None:
        self.recipe = recipe
        self.groups = {"train": groups, "eval": held_out}
        self.pair_losses = torch.empty(0)
        self.margins: list[float] = []
        # TRL takes no other class; `_prepare_dataset` puts the groups in its place.
        named = {split: Dataset.from_dict({"group": [g.id for g in some]}) for split, some in self.groups.items()}
        super().__init__(
            *args, train_dataset=named["train"], eval_dataset=named["eval"] if held_out else None, **kwargs
        )
        model = self.accelerator.unwrap_model(self.model)
        add_exact_score(model.get_base_model() if hasattr(model, "peft_config") else model)
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
        with torch.no_grad():
            self.log_ties.copy_(torch.tensor(state["log_ties"]))

    # Loss

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Tensor], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        outputs = model(**{name: inputs[name] for name in (*READ, "last_places")}, use_cache=False)
        scores = outputs.logits.squeeze(-1)
        loss = (inputs["weights"] * self.order_losses(scores, inputs)).sum() / len(inputs["orders_of"])
        self.tell(scores.detach(), inputs, mode="train" if self.model.training else "eval")
        return (loss, outputs) if return_outputs else loss

    def order_losses(self, scores: Tensor, inputs: dict[str, Tensor]) -> Tensor:
        """-log P of each order by each of its choices (O,), with the penalty that keeps rewards around 0."""
        tiers = inputs["tiers"]
        ranked = scores[inputs["places"]]
        strengths = inputs["below"] if self.recipe.use_margin else None
        losses = plackett_luce_losses(ranked, tiers, log_ties=self.log_ties, strengths_OK=strengths)
        losses = losses_by_lot(losses, tiers, lots_O=inputs["lots"], log_ties=self.log_ties) / num_choices(tiers)
        here = tiers >= 0
        means = (ranked * here).sum(dim=1) / here.sum(dim=1)
        centring: Tensor = self.recipe.center_rewards * (2 * means) ** 2
        return losses + centring

    @torch.no_grad()
    def tell(self, scores: Tensor, inputs: dict[str, Tensor], *, mode: str) -> None:
        chosen, rejected = scores[inputs["chosen"]], scores[inputs["rejected"]]
        self.pair_losses = bradley_terry_losses(chosen, rejected)
        margins = (chosen - rejected).tolist()
        told = self._metrics[mode]
        if mode == "train":
            self._total_train_tokens += int(inputs["text_lengths"].sum())
            told["num_tokens"] = [self._total_train_tokens]
            told["accuracy"].append(accuracy(margins)) if margins else None
        else:
            self.margins += margins
        told["min_reward"].append(scores.min().item())
        told["mean_reward"].append(scores.mean().item())
        told["max_reward"].append(scores.max().item())
        told["margin"] += margins or [0.0]

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
        low, high = interval(self.margins, [group.id for group in self.eval_dataset for _ in group.orders])
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
        texts = list({ids for group in self.train_dataset for ids in group.ids})
        scores = self.score(texts, phase="scale")
        values = torch.tensor(scores, dtype=torch.float64)
        return values.mean().item(), max(values.std(correction=0).item(), 1e-6)

    def score(self, texts: list[tuple[int, ...]], *, phase: str) -> list[float]:
        """The raw score of each text. Raises `Stopped`."""
        order = sorted(range(len(texts)), key=lambda i: (len(texts[i]), texts[i]))
        size = 2 * self.args.per_device_eval_batch_size
        scores = [0.0] * len(texts)
        self.model.eval()
        for start in range(0, len(texts), size):
            if self.context.stop_requested:
                raise Stopped
            self.context.progress(phase, start, len(texts), unit="texts")
            some = order[start : start + size]
            batch = read_together([Text(texts[i], group=str(i)) for i in some], reader=self.data_collator.reader)
            read = on_device({name: batch[name] for name in (*READ, "last_places")}, self.accelerator.device)
            with torch.no_grad(), self.accelerator.autocast():
                found = self.model(**read, use_cache=False).logits.squeeze(-1).tolist()
            for i, value in zip(some, found, strict=True):
                scores[i] = value
        return scores
