"""A reward model by the likelihood of people's rankings (Plackett-Luce; Ouyang et al. 2022 for the unit), on TRL.

Where we depart from TRL 1.16's RewardTrainer:

- The unit is a prompt with all its ranked texts (`rankings`): each text is scored once, the prompt read once for all of
  them (`shared_prefix`), and the loss is that of whole orders, ties included (`people.likelihood`). Comparisons alone are
  orders of two, for which it is Bradley-Terry; prompts count alike.
- Raters may be counted by how reliable they are (`people.reliability`); several heads say how sure they are, or speak for
  groups of raters (`reward.heads`, `people.groups`); the length of answers is told and may be taken out (`length_bias`).
- The score is read at the last attended token, in float32. TRL leaves the place to the class of transformers, which
  searches for the last token that is not padding by its id, and the precision to autocast: bfloat16 has 8 bits.
- Texts that are too long are counted, and said; held-out accuracy comes with n, an interval over prompts, calibration,
  a length-only baseline and the ceiling that disagreeing raters set.
- Texts are scored as whole conversations, so each one ends in its end-of-turn token, here as in PPO and in serving.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from trl import RewardConfig  # type: ignore[attr-defined]  # exported lazily

from training.context import RunContext
from training.mechanics import models
from training.mechanics.people import rankings
from training.mechanics.people.batches import RankingCollator
from training.mechanics.people.groups import NO_GROUPS, RaterGroups, grouped, named_groups
from training.mechanics.people.rankings import Group
from training.mechanics.people.reliability import weighed_by_rater
from training.mechanics.reward import heads as reward_heads
from training.mechanics.reward import trust as reward_trust
from training.mechanics.reward.length_bias import length_bias, without_length
from training.mechanics.reward.scores import probes, scale_of
from training.mechanics.reward.trainer import RewardRun
from training.mechanics.reward.trust import breakdown, calibration, compared
from training.mechanics.shared_prefix import Ids, Reader, Text
from training.mechanics.trainers.judgement import ceiling, ceiling_fraction, length_accuracy
from training.mechanics.trainers.pairs import read_pairs
from training.mechanics.trainers.samples import Show
from training.mechanics.trainers.settings import settings
from training.recipes.reward import RewardRecipe

MOST_COMPARED = 256  # held-out prompts among which those are looked for that groups of raters disagree on


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
    trainer.align_heads()
    raw = trainer.scorer().of_groups(trainer.groups["train"])
    metrics: dict[str, Any] = {
        "train_prompts": len({group.id for group in trainer.groups["train"]}),
        "train_rankings": sum(len(group.orders) for group in trainer.groups["train"]),
        "train_pairs": len(compared(trainer.groups["train"])),
        "held_out_pairs": 0,
        **ceiling([*rows, *held_out]),
    }
    if trainer.all_held_out:
        metrics |= trainer.evaluate_all()
    metrics |= length_of(trainer, raw)
    if trainer.all_held_out:
        metrics |= judged(trainer, metrics, rows=[*rows, *held_out])
    if len(trainer.log_ties):
        metrics["tie_weight"] = trainer.log_ties[0].exp().item()
    scorer = trainer.scorer()
    answers = {
        ids: n for group in trainer.groups["train"] for ids, n in zip(group.ids, group.answer_tokens, strict=True)
    }
    scale = scale_of(trainer.rule.corrected(score, answer_tokens=answers[ids]) for ids, score in raw.items())
    metrics |= {"reward_mean": scale.mean, "reward_std": scale.std}
    probed = trainer.all_held_out or trainer.groups["train"]
    metrics |= probes(probed, scorer=scorer, scale=scale, tokenizer=tokenizer, max_length=recipe.max_length)
    if trainer.rater_groups:
        metrics["prompts_disagreed_on"] = disagreement(trainer, probed[:MOST_COMPARED])
    models.publish_model(trainer.model, tokenizer, context.output)
    models.write_reward_scale(context.output, scale.mean, scale.std, trainer.rule)
    return metrics


def length_of(trainer: RewardRun, raw: Mapping[Ids, float]) -> dict[str, Any]:
    """How much of the score is length. Where the recipe has it taken out, the trainer's rule and its held-out margins are
    corrected, and what is left of it on held-out comparisons is told; `raw` are the scores of the training texts."""
    train, held_out = trainer.groups["train"], trainer.all_held_out or []
    seen = compared(
        train, [raw[g.ids[a]] - raw[g.ids[b]] for g in train for order in g.orders for a, b in order.pairs]
    )  # fmt: skip
    verdicts = compared(held_out, trainer.margins) if held_out else []
    found, own = length_bias([*seen, *verdicts]), length_bias(seen)
    if found is None:
        return {}
    metrics = {
        "length_bias": found.people, "length_bias_low": found.low, "length_bias_high": found.high,
        "length_bias_scores": found.of_scores,
    }  # fmt: skip
    if trainer.recipe.debias_length and own is not None:
        trainer.take_out_length(own.slope, [one.better_length - one.worse_length for one in verdicts])
        left = length_bias(without_length(verdicts or seen, own.slope))
        metrics |= {"length_slope": own.slope} | ({"length_bias_left": left.of_scores} if left else {})
        metrics |= {f"eval_{name}": value for name, value in trainer.held_out().items()} if verdicts else {}
    return metrics


def judged(trainer: RewardRun, metrics: dict[str, Any], *, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the whole held-out split says of the model, beside `metrics` of its evaluation; `rows` are all comparisons, from
    which the ceiling follows."""
    verdicts = compared(trainer.all_held_out, trainer.margins)
    lengths = [
        [(one.better_length, one.worse_length) for one in some]
        for some in (compared(trainer.groups["train"]), verdicts)
    ]
    found = {"held_out_pairs": len(verdicts), "length_accuracy": length_accuracy(*lengths)}
    found |= ceiling_fraction(trainer.margins, [one.group for one in verdicts], rows=rows)
    found |= calibration(verdicts) | breakdown(verdicts, context=trainer.context)
    of_heads = np.array(trainer.head_margins)
    if trainer.rater_groups:
        found |= reward_heads.of_groups(of_heads, verdicts, trainer.rater_groups.of)
    elif trainer.rule.heads > 1:
        found |= reward_heads.of_ensemble(of_heads, caution=trainer.rule.caution, cautious=trainer.margins)
    reward_trust.warn(metrics | found, context=trainer.context)
    return found


def disagreement(trainer: RewardRun, groups: list[Group]) -> int:
    scorer = trainer.scorer()
    scores = [scorer.heads([Text(ids, group=group.id) for ids in group.ids]).cpu().numpy() for group in groups]
    return reward_heads.show_disagreement(
        groups, scores, names=trainer.rater_groups.names, step=trainer.state.global_step, context=trainer.context
    )


def build(
    context: RunContext, recipe: RewardRecipe, *, groups: list[Group], held_out: list[Group], tokenizer: Any
) -> RewardRun:
    lora = recipe.lora
    seed = context.spec.seed + recipe.seed
    torch.manual_seed(seed)  # of the fresh head
    dtype = torch.bfloat16 if recipe.bf16 and lora else torch.float32
    rater_groups = NO_GROUPS
    if recipe.groups == "campaign":
        rater_groups = named_groups(context.input("preferences"), groups, context=context)
    heads = {"none": recipe.heads, "estimated": recipe.num_groups, "campaign": len(rater_groups.names)}[recipe.groups]
    model = models.load_reward(context.input("model"), dtype=dtype, heads=heads)
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
    if recipe.debias_length:
        groups, held_out = (
            rankings.with_prompt_lengths(some, tokenizer=tokenizer) for some in (groups, held_out)
        )  # fmt: skip
    if recipe.groups == "estimated":
        of = grouped(groups, num_groups=recipe.num_groups, context=context)
        rater_groups = RaterGroups.numbered(of, recipe.num_groups)
    if rater_groups:
        groups, held_out = (reward_heads.by_raters(some, rater_groups.of, heads=heads) for some in (groups, held_out))
    elif recipe.heads > 1:
        groups = reward_heads.resampled(groups, heads=recipe.heads, seed=seed)
        held_out = reward_heads.evenly(held_out, heads=recipe.heads)
    arguments = RewardConfig(
        max_length=None,  # `tokenised` counts what TRL would drop in silence
        disable_dropout=not (lora and lora.dropout),
        **settings(context, recipe, rows=len(groups), evaluated=bool(held_out)),
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
        rater_groups=rater_groups,
    )
