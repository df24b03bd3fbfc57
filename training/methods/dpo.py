"""Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290) and its kin, on TRL's DPOTrainer.

Where we depart from TRL 1.16:

- Every loss of its trainer is here, in one file to read (`preference.losses`), on comparisons of whole rankings: which of
  them are learned is said by `pairs` (`people.pairs`), and prompts count alike.
- The reference is the input model as it stands on disk, before the first step. Its log-probabilities are taken once a text
  and kept in the run's folder (`preference.policy_trainer`, `preference.reference`). The first loss is ln 2 to the last bit,
  in bfloat16 too, and anything else ends the run: the policy would be held to another model than the one it started from.
- Comparisons of a prompt stand together, each text is read once (`trainers.pairs`), their prompt once for all of them
  (`shared_prefix`).
- `label_smoothing` e is the share of comparisons taken to be wrong, in DPO itself too: the unbiased loss of robust DPO
  (Chowdhury et al. 2024, arXiv 2403.00409), ((1-e) l(x) - e l(-x)) / (1-2e); e may be estimated of each rater
  (`people.flips`).
- What preferences say of length is told before the first step (`length_audit`), and an SFT term may switch itself on where
  the preferred texts are unlearned, too (`chosen_guard`).
"""

from __future__ import annotations

from typing import Any

from training.context import RunContext
from training.mechanics import checkpoints, models
from training.mechanics.people import rankings
from training.mechanics.people.flips import flip_rates, with_flips
from training.mechanics.people.pairs import chosen_rows
from training.mechanics.people.soft_labels import refuse_soft
from training.mechanics.preference import length_audit
from training.mechanics.preference.dpo_trainer import DpoRun
from training.mechanics.preference.length_audit import LengthAudit
from training.mechanics.trainers.judgement import ceiling
from training.mechanics.trainers.pairs import as_dataset, read_pairs, scale_weights
from training.recipes.dpo import SORTED, DpoRecipe


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, DpoRecipe)
    model_input, preferences = context.input("model"), context.input("preferences")
    tokenizer = models.load_tokenizer(model_input)
    rows = read_pairs(preferences, split="train")
    held_out = read_pairs(preferences, split="test")
    learned, judged = selected(context, recipe, rows=rows, held_out=held_out)
    trainer = build(context, recipe, rows=learned, held_out=judged, tokenizer=tokenizer)
    audit = audit_lengths(trainer)
    trainer.take_reference()
    trainer.train_to_the_end()
    metrics = {
        "train_pairs": len(trainer.train_dataset),
        "held_out_pairs": len(trainer.all_held_out or ()),
        **audit.metrics(),
        **trainer.end_metrics(),
        "chosen_change_per_token": trainer.recent_change(),
        **ceiling([*rows, *held_out]),
    }
    models.publish_model(trainer.model, tokenizer, context.output)
    return metrics


def selected(
    context: RunContext, recipe: DpoRecipe, *, rows: list[dict[str, Any]], held_out: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What is learned of the training comparisons, and the held-out ones, all of them whatever is learned."""
    needs = recipe.pairs != "all" or recipe.flips == "estimated"
    whole = rankings.read_rankings(context.input("preferences"), split="train") if needs else []
    learned = chosen_rows(rows, which=recipe.pairs, groups=whole)
    if sorted_losses := SORTED & recipe.losses.keys():
        refuse_soft(
            learned, what=f"{sorted(sorted_losses)[0]}, which compares ranks in a batch,", advice="Choose another loss."
        )
    if recipe.flips != "estimated":
        return learned, held_out
    rates = flip_rates(whole or rankings.of_comparisons(rows), context=context)
    learned, judged = (
        with_flips(some, rates, unknown=recipe.label_smoothing, context=context) for some in (learned, held_out)
    )
    return learned, judged


def audit_lengths(trainer: DpoRun) -> LengthAudit:
    """Told before the first step, and not again by an attempt that goes on from a checkpoint."""
    rows, recipe = trainer.train_dataset, trainer.recipe
    lengths = [(len(c), len(r)) for c, r in zip(rows["chosen_ids"], rows["rejected_ids"], strict=True)]
    audit = length_audit.audit(lengths, rows["group_id"])
    if checkpoints.newest(trainer.context.checkpoints) is None:
        remedied = recipe.ld_alpha is not None or recipe.loss in ("sigmoid_norm", "ipo")
        length_audit.tell(audit, remedied=remedied, context=trainer.context)
    return audit


def build(
    context: RunContext,
    recipe: DpoRecipe,
    *,
    rows: list[dict[str, Any]],
    held_out: list[dict[str, Any]],
    tokenizer: Any,
) -> DpoRun:
    return DpoRun.of(
        context,
        recipe,
        rows=as_dataset(scale_weights(rows)),
        held_out=as_dataset(scale_weights(held_out)) if held_out else None,
        asked=[row["prompt"] for row in held_out or rows],
        tokenizer=tokenizer,
    )
