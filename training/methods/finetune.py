"""Fine-tuning on a task: a head on a pretrained model that labels texts, finds entities or answers questions by spans.

As in BERT (Devlin et al. 2018, arXiv 1810.04805, section 4), on masked and on causal models alike. Entities are begin and
inside tags of tokens; long texts are read in windows that overlap, and every token is judged where most is read around it.
A causal model reads a token with what stands before it alone, which costs it entities and answers: told, not mended.

Beside a classification stands what words alone tell without any model (`tasks.words`), and by how much this one beats it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import TrainingArguments

from training.context import RunContext
from training.contract import Failure
from training.mechanics import models
from training.mechanics.tasks import heads
from training.mechanics.tasks.bio import tag_names
from training.mechanics.tasks.deciding import Decision
from training.mechanics.tasks.figures import Figures, figures_of, mean_over, of_labels
from training.mechanics.tasks.heads import TaskRule
from training.mechanics.tasks.reading import Reader
from training.mechanics.tasks.rows import Row, read_labelled, refuse_none
from training.mechanics.tasks.trainer import FinetuneRun
from training.mechanics.tasks.words import by_words, majority
from training.mechanics.trainers.samples import Show
from training.mechanics.trainers.settings import settings
from training.recipes.finetune import FinetuneRecipe

SHOWN = 8
CUT = 400  # characters of a text that are shown


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, FinetuneRecipe)
    model_input, labelled = context.input("model"), context.input("labelled")
    train, held_out = (read_labelled(labelled, task=recipe.task, split=split) for split in ("train", "test"))
    refuse_none(train, task=recipe.task, given=labelled)
    tokenizer = models.load_tokenizer(model_input, ends=False)
    trainer = build(context, recipe, train=train, held_out=held_out, tokenizer=tokenizer)
    trainer.train_to_the_end()
    metrics: dict[str, Any] = {
        "train_rows": len(train), "held_out_rows": len(held_out), "num_trained": num_trained(trainer.model),
        **trainer.end_metrics(),
    }  # fmt: skip
    if trainer.all_held_out:
        rows, decisions = trainer.decisions()
        found = figures_of(recipe.task, rows, decisions, seed=recipe.seed)
        metrics |= {f"eval_{name}": value for name, value in found.items() if name != "n"}
        if recipe.task == "classification" and recipe.beside_words and context.ranks.is_first:
            metrics |= beside_words(context, train, rows, decisions)
        show(context, rows, decisions, step=trainer.state.global_step)
    trainer.publish()
    if context.ranks.is_first:
        heads.write_rule(context.output, trainer.reader.rule)
    return metrics


# Building


def build(
    context: RunContext, recipe: FinetuneRecipe, *, train: list[Row], held_out: list[Row], tokenizer: Any
) -> FinetuneRun:
    torch.manual_seed(context.spec.seed + recipe.seed)  # of the fresh head
    rule = rule_of(recipe, train)
    lora = recipe.lora
    dtype = torch.bfloat16 if recipe.bf16 and lora else torch.float32
    model, drawn = heads.fresh(
        context.input("model"), rule, dtype=dtype, pad=tokenizer.pad_token_id, dropout=recipe.dropout
    )
    refuse_longer(model, rule)
    if lora:
        model = heads.add_adapter(model, lora, task=recipe.task, drawn=drawn)
    reader = Reader.of(tokenizer, rule)
    laid, tested = reader.lay(train), reader.lay(held_out)
    if laid.num_cut:
        context.warn(
            "texts_cut",
            f"{laid.num_cut} of {len(train)} texts are longer than {recipe.max_length} tokens and are read that far.",
        )
    examples = [e for e in laid.examples if any(label >= 0 for label in e.labels)]  # a window of blanks has none
    return FinetuneRun(
        model=model,
        args=TrainingArguments(**settings(context, recipe, rows=len(examples), evaluated=bool(tested.examples))),
        processing_class=tokenizer,
        data_collator=reader.batch,
        train_dataset=examples,
        eval_dataset=tested.examples or None,
        context=context,
        show=Show([], [], 0),
        recipe=recipe,
        reader=reader,
        held_out_rows=held_out,
        class_weights=weights_of(train, rule) if recipe.class_weights else None,
    )


def rule_of(recipe: FinetuneRecipe, train: Sequence[Row]) -> TaskRule:
    """Raises `Failure("one_label")` where all texts are of one label."""
    names: list[str] = []
    if recipe.task == "classification":
        names = sorted({row.label for row in train})
        if len(names) < 2:
            raise Failure(
                "one_label",
                f"All {len(train)} training texts have the label {names[0]!r}: there is nothing to tell apart.",
                advice="Choose a dataset with two labels or more.",
            )
    if recipe.task == "entities":
        names = tag_names(span.label for row in train for span in row.spans)
    return TaskRule(
        recipe.task, tuple(names), max_length=recipe.max_length, stride=recipe.stride, max_answer=recipe.max_answer,
        has_none=any(not row.spans for row in train),
    )  # fmt: skip


def refuse_longer(model: Any, rule: TaskRule) -> None:
    """Raises `Failure("too_long")` for windows of more tokens than the model has places."""
    places = getattr(model.config, "max_position_embeddings", None)
    if isinstance(places, int) and rule.max_length > places:
        raise Failure(
            "too_long",
            f"A window of {rule.max_length} tokens is longer than the {places} that the model can read.",
            advice=f"Set max_length to {places} or less.",
        )


def weights_of(train: Sequence[Row], rule: TaskRule) -> Tensor:
    """N / (L n of the label): every label counts alike."""
    counts = Counter(row.label for row in train)
    return torch.tensor([len(train) / (len(rule.names) * counts[name]) for name in rule.names])


def num_trained(model: Any) -> int:
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad)


# What it is worth


def beside_words(
    context: RunContext, train: Sequence[Row], rows: Sequence[Row], decisions: Sequence[Decision]
) -> Figures:
    """The majority's figures, those of words, and by how much the model beats the latter, text by text."""
    said = by_words(train, rows)
    words, most = of_labels(rows, said), of_labels(rows, [majority(train)] * len(rows))
    gains = [
        float(one.label == row.label) - float(word == row.label)
        for row, one, word in zip(rows, decisions, said, strict=True)
    ]
    gain = mean_over("gain_over_words", gains, [row.unit for row in rows])
    found = {
        f"{name}_{figure}": values[figure]
        for name, values in (("words", words), ("majority", most))
        for figure in ("accuracy", "accuracy_low", "accuracy_high", "f1_macro")
    }
    low, high = gain["gain_over_words_low"], gain["gain_over_words_high"]
    told = f"{gain['gain_over_words']:+.1%} (95 %: {low:+.1%} to {high:+.1%}, n = {len(rows)})"
    context.log(f"Accuracy beside a logistic regression on TF-IDF of words: {told}.")
    if low <= 0:
        context.warn(
            "no_better_than_words",
            f"It is not clearly better than a logistic regression on the words of a text: {told}.",
        )
    return found | gain


def show(context: RunContext, rows: Sequence[Row], decisions: Sequence[Decision], *, step: int) -> None:
    """Held-out texts with what was decided and what is right, evenly from all of them."""
    places = np.unique(np.linspace(0, len(rows) - 1, min(SHOWN, len(rows))).astype(int))
    for place in places.tolist():
        row, decision = rows[place], decisions[place]
        asked = f"{row.question}\n\n{row.text}" if row.question else row.text
        context.sample(step, prompt=asked[:CUT], text=worded(row, decision), right=right_of(row))


def worded(row: Row, decision: Decision) -> str:
    if row.question:
        return decision.answer or "(no answer)"
    return decision.label or ", ".join(f"{span.label}: {row.text[span.start : span.end]}" for span in decision.spans)


def right_of(row: Row) -> str:
    if row.question:
        return " | ".join(row.text[span.start : span.end] for span in row.spans) or "(no answer)"
    return row.label or ", ".join(f"{span.label}: {row.text[span.start : span.end]}" for span in row.spans)
