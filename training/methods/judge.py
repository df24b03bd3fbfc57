"""AI feedback: pairs of completions judged by the principles of a constitution (Bai et al. 2022, arXiv 2212.08073, section 4).

A critic is shown a conversation, two replies as (A) and (B), and the comparison question of one principle, drawn by weight;
its label is the probability of its answer (A) among both answers. Where we depart from the paper:

- Each pair is asked about in both orders, and the label is the logistic of their mean log-odds, which takes a liking for a
  place out (`judging.verdicts`). How often the orders contradict each other (`flip_rate`) is told: it bounds what any one
  label is worth.
- A whole answer is scored and no single token (`judging.letters`).
- Labels nearer to 0.5 than `abstain` count as no judgement: such pairs are for people.

As there, labels after a chain of thought are held between 0.4 and 0.6. A judgement names its principle and the hash of the
very messages that were asked in the first order. Small critics are often wrong; nothing here makes their labels fit to be
learned before they were compared with people's.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from training import contract
from training.context import RunContext
from training.contract import Failure
from training.mechanics.judging import by_endpoint, by_model
from training.mechanics.judging.asking import messages_of, sha256_of
from training.mechanics.judging.by_rules import by_rules
from training.mechanics.judging.pairs import Pair, plan
from training.mechanics.judging.verdicts import Told, Verdict, by_principle, certainty, figures, logistic, verdict
from training.recipes.judge import JudgeRecipe

SHOWN = 12
POINTS = 20  # of a curve
SCHEMA = pa.schema(
    [
        ("prompt_id", pa.string()), ("first", pa.string()), ("second", pa.string()), ("principle", pa.string()),
        ("prompt_sha256", pa.string()), ("ab", pa.float64()), ("ba", pa.float64()), ("p", pa.float64()),
        ("flipped", pa.bool_()), ("abstained", pa.bool_()), ("thought_ab", pa.string()), ("thought_ba", pa.string()),
    ]
)  # fmt: skip


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, JudgeRecipe)
    if lack := recipe.lacks(context.spec.inputs):
        raise Failure("no_critic", lack.sentence, advice="Change the recipe or the inputs.")
    pairs = plan(context, recipe)
    more: dict[str, float] = {}
    if recipe.critic == "model":
        judged = by_model.judge(context, recipe, pairs)
    elif recipe.critic == "endpoint":
        judged, more = by_endpoint.judge(context, recipe, pairs)
    else:
        judged = [(pair, by_rules(pair.first.text, pair.second.text, steepness=recipe.steepness)) for pair in pairs]
    kept, told = [pair for pair, _ in judged], [one for _, one in judged]
    verdicts = [verdict(one, recipe) for one in told]
    metrics = figures(kept, told, verdicts, seed=recipe.seed) | {"left_out": len(pairs) - len(kept)} | more
    write(context, recipe, kept, told, verdicts, metrics)
    show(context, kept, verdicts)
    draw(context, kept, verdicts, metrics)
    return metrics


def write(
    context: RunContext, recipe: JudgeRecipe, pairs: Sequence[Pair], told: Sequence[Told], verdicts: Sequence[Verdict],
    metrics: dict[str, Any],
) -> None:  # fmt: skip
    rows = [
        {
            "prompt_id": pair.prompt_id, "first": pair.first.id, "second": pair.second.id, "principle": pair.principle.id,
            "prompt_sha256": sha256_of(messages_of(pair, order=0, thinks=recipe.thought, examples=recipe.examples)),
            "ab": logistic(one.ab), "ba": logistic(one.ba), "p": final.p, "flipped": final.flipped,
            "abstained": final.abstained, "thought_ab": one.thought_ab, "thought_ba": one.thought_ba,
        }
        for pair, one, final in zip(pairs, told, verdicts, strict=True)
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), context.output / "judgements.parquet")
    report = {
        "critic": critic_of(context, recipe),
        "mean_of": "log-odds",
        "clamp": [recipe.clamp_low, recipe.clamp_high] if recipe.thought else None,
        "abstain": recipe.abstain,
        "figures": metrics,
        "principles": by_principle(pairs, verdicts),
    }
    contract.write_atomically(context.output / "report.json", json.dumps(report, indent=1, sort_keys=True))


def critic_of(context: RunContext, recipe: JudgeRecipe) -> dict[str, str]:
    """Who judged, as far as that can be named."""
    if recipe.critic == "model":
        given = context.input("model")
        return {"kind": "model", "name": given.name, "sha256": given.sha256}
    if recipe.endpoint and recipe.critic == "endpoint":
        return {"kind": "endpoint", "name": recipe.endpoint.model, "url": recipe.endpoint.url}
    return {"kind": "rules", "name": "harmfulness"}


def draw(context: RunContext, pairs: Sequence[Pair], verdicts: Sequence[Verdict], metrics: dict[str, Any]) -> None:
    """How often the orders contradict each other, and the like, of the first so many pairs: how settled the figures are."""
    step = max(1, -(-len(pairs) // POINTS))
    for end in range(step, len(pairs), step):
        some = verdicts[:end]
        context.metric(end, flip_rate=sum(one.flipped for one in some) / end, **certainty(some))
    context.metric(len(pairs), **metrics)


def show(context: RunContext, pairs: Sequence[Pair], verdicts: Sequence[Verdict]) -> None:
    for pair, one in list(zip(pairs, verdicts, strict=True))[:: max(1, len(pairs) // SHOWN)][:SHOWN]:
        better, worse = (pair.first, pair.second) if one.p >= 0.5 else (pair.second, pair.first)
        said = "Undecided between" if one.abstained else f"Better with {max(one.p, 1 - one.p):.0%}"
        text = f"{said}, by {pair.principle.id}:\n\n{better.text}\n\nand:\n\n{worse.text}"
        context.sample(len(pairs), prompt=pair.talk[-1][1], text=text)
