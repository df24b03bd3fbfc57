"""Measuring models side by side on held-out sets: what they foresee, answer and decide, and what fine-tuning made them forget.

The first model is the one before: what the others lost on the corpus is told as bits per byte above the first's, text by
text, with 95 % by bootstrap over texts. (Catastrophic forgetting is measured so in Biderman et al. 2024, arXiv 2405.09673,
by loss on what the base model was good at.) Models with different tokenizers are comparable in bits per byte, and not in
perplexity. What a model can't do, a set it has no head or no words for, is left out and has no figure.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors import safe_open

from training import contract
from training.context import RunContext
from training.contract import Failure, Input
from training.mechanics import datasets, models
from training.mechanics.measures import overlap
from training.mechanics.measures.texts import Foreseen, Writer, answer, foresee_answers, foresee_texts
from training.mechanics.parts import Tell, batches_by_length, kept
from training.mechanics.prompt_statistics import interval
from training.mechanics.tasks import answers as task_answers
from training.mechanics.tasks import heads
from training.mechanics.tasks.deciding import decide
from training.mechanics.tasks.figures import figures_of, mean_over
from training.mechanics.tasks.reading import Reader
from training.mechanics.tasks.rows import read_labelled, refuse_none
from training.recipes.measure import MODELS, SETS, MeasureRecipe

SHOWN = 6

Figures = dict[str, Any]
Rows = list[dict[str, Any]]


@dataclass(slots=True)
class Measured:
    """One model: what is known of its files, and its figures by name."""

    name: str
    title: str
    facts: dict[str, Any]
    figures: Figures = field(default_factory=dict)
    foreseen: Foreseen | None = None
    said: list[str] | None = None


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, MeasureRecipe)
    sets = {name: held_out(context, name, most=recipe.rows) for name in SETS if context.has_input(name)}
    names = [name for name in MODELS if context.has_input(name)]
    found: list[Measured] = []
    for number, name in enumerate(names):
        context.progress("models", number, len(names), unit="phases")
        given = context.input(name)
        one = Measured(name, given.name or name, facts_of(given))
        if heads.is_task_model(given):
            measure_task(context, recipe, one)
        else:
            measure_writer(context, recipe, one, sets)
        found.append(one)
        forget(found, seed=recipe.seed)
        context.metric(number + 1, **numbers_of(one.figures))
    refuse_unmeasured(context, found)
    write(context, found, sets)
    show(context, found, sets)
    return {f"{one.name}_{name}": value for one in found for name, value in numbers_of(one.figures).items()}


def held_out(context: RunContext, name: str, *, most: int) -> Rows:
    """Rows of the held-out split; where a set has none, all of it is taken to be held out."""
    given = context.input(name)
    rows = datasets.read_rows(given, split="test", limit=most) or datasets.read_rows(given, split="train", limit=most)
    if not rows:
        raise Failure("no_rows", f"{given.name or name} has no row to measure on.", advice="Choose one with rows.")
    return rows


def facts_of(given: Input) -> dict[str, Any]:
    """Bytes and parameters of a model's own files: of an adapter those that were trained."""
    files = sorted(Path(given.path).glob("*.safetensors"))
    count = 0
    for path in files:
        with safe_open(str(path), framework="pt") as file:
            count += sum(int(np.prod(file.get_slice(name).get_shape())) for name in file.keys())  # noqa: SIM118
    return {
        "is_adapter": given.base is not None,
        "is_task": heads.is_task_model(given),
        "own_parameters": count,
        "bytes": sum(path.stat().st_size for path in files),
    }


# A model that writes


def measure_writer(context: RunContext, recipe: MeasureRecipe, one: Measured, sets: dict[str, Rows]) -> None:
    given = context.input(one.name)
    if not {"corpus", "instructions"} & sets.keys():
        return
    dtype = torch.bfloat16 if recipe.bf16 else torch.float32
    model = models.load_causal(given, dtype=dtype, virtual_allowed=True).to(models.device()).eval()
    one.facts["parameters"] = models.count_parameters(model)
    writer = Writer(one.name, model, models.load_tokenizer(given), context, recipe)
    if "corpus" in sets:
        one.foreseen = foresee_texts(writer, [row["text"] for row in sets["corpus"]])
        one.figures |= {f"corpus_{name}": value for name, value in one.foreseen.figures.items()}
        one.figures |= ends_of("corpus_bits_per_byte", one.foreseen, seed=recipe.seed)
    if "instructions" in sets:
        talks = [datasets.messages_of(row) for row in sets["instructions"]]
        foreseen = foresee_answers(writer, talks)
        one.figures |= {f"answers_{name}": value for name, value in foreseen.figures.items()}
        one.figures |= ends_of("answers_bits_per_byte", foreseen, seed=recipe.seed)
        if recipe.answers:
            said = answer(writer, talks)
            one.said = [row["text"] for row in said]
            one.figures |= beside_references(one.said, talks, seed=recipe.seed)
            one.figures["ended"] = sum(row["ended"] for row in said) / len(said)


def ends_of(name: str, foreseen: Foreseen, *, seed: int) -> Figures:
    nats, num_bytes = foreseen.nats / np.log(2), foreseen.num_bytes
    low, high = interval(len(nats), lambda weights: (weights @ nats) / (weights @ num_bytes), seed=seed)
    return {f"{name}_low": low, f"{name}_high": high} if np.isfinite(low) else {}


def beside_references(said: Sequence[str], talks: Sequence[list[datasets.Message]], *, seed: int) -> Figures:
    right = [talk[-1]["content"] for talk in talks]
    units = [talk[0]["content"] for talk in talks]
    pairs = list(zip(said, right, strict=True))
    scores, _ = overlap.bleu(said, right)
    by_row = {
        "rouge_1": [overlap.rouge_n(a, b, n=1) for a, b in pairs],
        "rouge_2": [overlap.rouge_n(a, b, n=2) for a, b in pairs],
        "rouge_l": [overlap.rouge_l(a, b) for a, b in pairs],
        "exact_match": [task_answers.exact_match(a, [b]) for a, b in pairs],
    }
    found: Figures = dict(scores)
    for name, values in by_row.items():
        found |= mean_over(name, values, units, seed=seed)
    return found


def forget(found: Sequence[Measured], *, seed: int) -> None:
    """Of the newest of `found`: what it foresees worse on the corpus than the first, in bits per byte."""
    first, last = found[0].foreseen, found[-1].foreseen
    if len(found) < 2 or first is None or last is None:
        return
    lost = (last.nats - first.nats) / np.log(2)
    low, high = interval(len(lost), lambda weights: (weights @ lost) / (weights @ last.num_bytes), seed=seed)
    found[-1].figures["forgetting"] = last.bits_per_byte - first.bits_per_byte
    if np.isfinite(low):
        found[-1].figures |= {"forgetting_low": low, "forgetting_high": high}


# A model with a task


def measure_task(context: RunContext, recipe: MeasureRecipe, one: Measured) -> None:
    """Nothing where there is no labelled set."""
    if not context.has_input("labelled"):
        return
    given, labelled = context.input(one.name), context.input("labelled")
    tokenizer = models.load_tokenizer(given, ends=False)
    dtype = torch.bfloat16 if recipe.bf16 else torch.float32
    model, rule = heads.load_task_model(given, dtype=dtype, pad=tokenizer.pad_token_id)
    model = model.to(models.device()).eval()
    one.facts |= {"parameters": models.count_parameters(model), "task": rule.task}
    rows = read_labelled(labelled, task=rule.task, split="test") or read_labelled(
        labelled, task=rule.task, split="train"
    )
    rows = rows[: recipe.rows]
    refuse_none(rows, task=rule.task, given=labelled)
    reader = Reader.of(tokenizer, rule)
    examples = reader.lay(rows).examples

    @torch.no_grad()
    def read(places: list[int], tell: Tell) -> Rows:
        some = [examples[place] for place in places]
        batch = {name: value.to(model.device) for name, value in reader.batch(some).items()}
        return reader.say(reader.scores(model, batch), some)

    batches = batches_by_length([len(e.window.input_ids) for e in examples], batch_size=recipe.batch_size)
    said = kept(context, f"{one.name} labelled", batches, read, unit="windows")
    one.figures |= figures_of(rule.task, rows, decide(rows, examples, said, rule=rule), seed=recipe.seed)


def refuse_unmeasured(context: RunContext, found: Sequence[Measured]) -> None:
    """Raises `Failure("nothing_measured")` where no model could read any set."""
    if not any(one.figures for one in found):
        raise Failure(
            "nothing_measured",
            "None of the models can be measured on these sets.",
            advice="Models that write are measured on a corpus or instructions, task models on labelled texts.",
        )
    for one in found:
        if not one.figures:
            context.warn("not_measured", f"{one.title} can be measured on none of these sets, and has no figures.")


# The report


def numbers_of(figures: Figures) -> dict[str, float]:
    return {name: value for name, value in figures.items() if isinstance(value, int | float)}


def write(context: RunContext, found: Sequence[Measured], sets: dict[str, Rows]) -> None:
    told = {
        "sets": {name: {"title": context.input(name).name, "rows": len(rows)} for name, rows in sets.items()},
        "models": [{"input": one.name, "title": one.title, **one.facts, "figures": one.figures} for one in found],
    }
    contract.write_atomically(context.output / "report.json", json.dumps(told, indent=1, sort_keys=True))
    rows = [
        {"id": row["id"], "prompt": row["messages"][-2]["content"], "reference": row["messages"][-1]["content"]}
        | {one.name: one.said[place] for one in found if one.said is not None}
        for place, row in enumerate(sets.get("instructions", []))
    ]
    if rows:
        pq.write_table(pa.Table.from_pylist(rows), context.output / "rows.parquet")


def show(context: RunContext, found: Sequence[Measured], sets: dict[str, Rows]) -> None:
    for number, one in enumerate(found, start=1):
        for text, row in zip((one.said or [])[:SHOWN], sets.get("instructions", []), strict=False):
            context.sample(
                number, prompt=row["messages"][-2]["content"], text=text, reference=row["messages"][-1]["content"]
            )
