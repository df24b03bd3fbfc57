"""KTO: a policy from desirable and undesirable texts (Ethayarajh et al. 2024, arXiv 2402.01306), on TRL's KTOTrainer.

Comparisons say which of two texts is better, and nothing of two that are both bad. KTO learns from what is said of each text
by itself: the best tier of a ranking, its worst one, "all are bad", flags (`desirability`).

Where we depart from TRL 1.16:

- Both kinds of texts weigh alike in sum, and a prompt once; TRL's weights are numbers to find by oneself.
- The judged texts of a prompt stand in one batch, each read once, the prompt once for all of them (`shared_prefix`). The
  completions that tell the KL are of another prompt, and read behind the same one.
- The reference's log-probabilities are taken once a text and kept in the run's folder (`preference.policy_trainer`). The first
  loss of every text is 1/2 to the last bit, and anything else ends the run.
"""

from __future__ import annotations

from typing import Any

from datasets import Dataset

from training.context import RunContext
from training.mechanics import models
from training.mechanics.people.desirability import Verdict, balanced, read_verdicts
from training.mechanics.people.pairs import messages
from training.mechanics.people.rankings import has_rankings
from training.mechanics.preference.kto_trainer import KtoRun
from training.recipes.kto import KtoRecipe


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, KtoRecipe)
    model_input, preferences = context.input("model"), context.input("preferences")
    tokenizer = models.load_tokenizer(model_input)
    verdicts, held_out = (read_verdicts(preferences, split=split) for split in ("train", "test"))
    tell(context, verdicts, whole=has_rankings(preferences))
    trainer = build(context, recipe, verdicts=verdicts, held_out=held_out, tokenizer=tokenizer)
    trainer.take_reference()
    trainer.train_to_the_end()
    labels = trainer.train_dataset["label"]
    metrics = {
        "desirable_texts": sum(labels),
        "undesirable_texts": len(labels) - sum(labels),
        "held_out_texts": len(trainer.all_held_out or ()),
        **trainer.end_metrics(),
    }
    models.publish_model(trainer.model, tokenizer, context.output)
    return metrics


def tell(context: RunContext, verdicts: list[Verdict], *, whole: bool) -> None:
    desirable = sum(one.is_desirable for one in verdicts)
    source = "rankings" if whole else "comparisons or single texts, which know of no flag and of no all bad"
    context.log(
        f"{desirable} desirable and {len(verdicts) - desirable} undesirable texts of "
        f"{len({one.group for one in verdicts})} prompts, from {source}."
    )


def build(
    context: RunContext, recipe: KtoRecipe, *, verdicts: list[Verdict], held_out: list[Verdict], tokenizer: Any
) -> KtoRun:
    """Raises `Failure("one_sided")` where no text is desirable, or none undesirable."""
    asked = {one.prompt: None for one in held_out or verdicts}
    weights = {"desirable": recipe.desirable_weight, "undesirable": recipe.undesirable_weight}
    verdicts = balanced(verdicts, **weights)
    both_kinds = len({one.is_desirable for one in held_out}) == 2
    held_out = balanced(held_out, **weights) if both_kinds else held_out
    return KtoRun.of(
        context,
        recipe,
        rows=Dataset.from_list([one.row() for one in verdicts]),
        held_out=Dataset.from_list([one.row() for one in held_out]) if held_out else None,
        asked=[messages(prompt) for prompt in asked],
        tokenizer=tokenizer,
    )
