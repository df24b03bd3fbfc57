"""A look before fine-tuning: counts what `sft` would meet, and measures whether a few examples in the prompt would do.

Answers are measured in bits a byte of the answer, its end included, on held-out rows that fit with the examples in front of
them: the same rows without examples, with them, and by a fine-tuned model where one is given. Where a dataset holds nothing
out, rows that are not shown as examples stand in, and the report says so. Models are in memory one after the other.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch

from training import contract
from training.context import RunContext
from training.contract import Failure, Input
from training.mechanics import datasets, models, scoring
from training.mechanics.instructions.talks import Talk, learned_of, question_of, read_talks
from training.mechanics.memory import Room
from training.mechanics.parts import Tell, batches_by_length, kept
from training.mechanics.preflight import alike, few_shot, rendering
from training.mechanics.preflight.findings import NARROW_SHARE, findings_of
from training.recipes.preflight import PreflightRecipe

MOST_COMPARED = 20_000  # conversations whose words are compared: the first ones of more
BEGINNING = 3  # words by which questions begin alike
NO_LIMIT = 1_000_000


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, PreflightRecipe)
    tokenizer = models.load_tokenizer(context.input("model"))
    given = context.input("instructions")
    train, test = (read_talks(datasets.read_rows(given, split=split)) for split in ("train", "test"))
    if not train:
        raise Failure(
            "no_rows", "The dataset has no conversation to train on.", advice="Import or freeze one with rows."
        )
    figures: dict[str, Any] = {"rows": len(train), "max_length": recipe.max_length, "shots": recipe.shots}
    figures |= compare_words(context, train, test, task=recipe.task)
    figures |= render_all(tokenizer, train, max_length=recipe.max_length)
    if figures["has_template"] and not figures["refused"]:
        figures |= measure(context, recipe, train=train, test=test)
    findings = [finding.as_payload(step=0) for finding in findings_of(figures)]
    report = {"version": 1, "findings": findings, "figures": figures}
    contract.write_atomically(context.output / "report.json", json.dumps(report, indent=1, ensure_ascii=False))
    return tell(context, figures, findings)


# Counted without a model


def compare_words(context: RunContext, train: list[Talk], test: list[Talk], *, task: str) -> dict[str, Any]:
    context.progress("comparing words", 0, 2, unit="phases")
    compared = train[:MOST_COMPARED]
    texts = ["\n".join(message["content"] for message in talk) for talk in compared]
    again = num_repeated([alike.normal(text) for text in texts])
    near = sum(first is not None for first in alike.first_alike(texts))
    context.progress("comparing words", 1, 2, unit="phases")
    asked = [asked_of(question_of(talk)) for talk in compared]
    held_out = [asked_of(question_of(talk)) for talk in test]
    if context.has_input("prompts"):
        rows = [row for split in ("train", "test") for row in datasets.read_rows(context.input("prompts"), split=split)]
        held_out += [asked_of(datasets.messages_of(row)) for row in rows]
    known = {alike.normal(question) for question in asked}
    same = [alike.normal(question) in known for question in held_out]
    nearly = [first is not None for first in alike.first_alike(held_out, asked)] if held_out else []
    begin_alike = share_of_commonest([alike.normal(question).split()[:BEGINNING] for question in asked])
    context.progress("comparing words", 2, 2, unit="phases")
    return {
        "compared": len(compared),
        "repeated": again,
        "alike": near - again,
        "held_out_questions": len(held_out),
        "leaked": sum(same),
        "leaked_nearly": sum(near and not equal for near, equal in zip(nearly, same, strict=True)),
        "begin_alike": begin_alike,
        "is_narrow": task == "narrow" or (task == "guess" and begin_alike >= NARROW_SHARE),
    }


def asked_of(messages: Talk) -> str:
    """All that was said before the answer, but for what the system says to everybody."""
    return "\n".join(message["content"] for message in messages if message["role"] != "system")


def num_repeated(texts: Sequence[str]) -> int:
    return len(texts) - len(set(texts))


def share_of_commonest(beginnings: Sequence[list[str]]) -> float:
    counts = Counter(" ".join(words) for words in beginnings)
    return max(counts.values()) / len(beginnings)


def render_all(tokenizer: Any, train: list[Talk], *, max_length: int) -> dict[str, Any]:
    if not tokenizer.chat_template:
        return {"has_template": False}
    found = rendering.render(tokenizer, train)
    return {
        "has_template": True,
        "tells_roles_apart": rendering.tells_roles_apart(tokenizer),
        "refused": found.refused,
        "refusal": found.refusal,
        "lost": found.lost,
        "marked": found.marked,
        "mark": found.mark,
        "silent": found.silent(),
        "too_long": found.longer_than(max_length),
        "longest": max((len(example.input_ids) for example in found.examples), default=0),
        "learned": learned_of(found.examples) if found.examples else {},
    }


# Measured with the model


def measure(context: RunContext, recipe: PreflightRecipe, *, train: list[Talk], test: list[Talk]) -> dict[str, Any]:
    shots = few_shot.choose_shots(train, count=recipe.shots, seed=recipe.seed)
    spare = test or [talk for talk in train if few_shot.last_turn(talk) not in shots]
    random.Random(recipe.seed).shuffle(spare)
    tokenizer, model = load(context, context.input("model"), recipe)
    most = min(getattr(model.config, "max_position_embeddings", None) or NO_LIMIT, NO_LIMIT)
    rows = fitting(tokenizer, spare, shots, most=most, count=recipe.held_out_rows)
    if not shots or not rows:
        context.warn("not_measured", "No held-out row fits into the model's context with examples in front of it.")
        return {"measured": 0}
    sizes = [few_shot.num_bytes(talk) for talk in rows]
    nats = {
        "zero_shot": nats_of(context, recipe, "no examples", model, tokenizer, rows),
        "few_shot": nats_of(
            context, recipe, "examples", model, tokenizer, [few_shot.with_shots(t, shots) for t in rows]
        ),
    }
    del model
    differs = False
    if context.has_input("tuned"):
        words, tuned = load(context, context.input("tuned"), recipe)
        differs = words.chat_template != tokenizer.chat_template
        nats["tuned"] = nats_of(context, recipe, "fine-tuned", tuned, words, rows)
    return {
        "measured": len(rows),
        "held_out_is_trained_on": not test,
        "shots": len(shots),
        "tuned_template_differs": differs,
        **summary(nats, sizes),
    }


def load(context: RunContext, given: Input, recipe: PreflightRecipe) -> tuple[Any, Any]:
    tokenizer = models.load_tokenizer(given)
    model = models.load_causal(given, dtype=torch.bfloat16 if recipe.bf16 else torch.float32).to(models.device())
    model.eval()
    return tokenizer, model


def fitting(tokenizer: Any, talks: list[Talk], shots: list[Talk], *, most: int, count: int) -> list[Talk]:
    """The first `count` whose last answer can be measured, with all examples in front of it."""
    found: list[Talk] = []
    for talk in map(few_shot.last_turn, talks):
        long, short = (
            few_shot.completion_of(tokenizer, few_shot.with_shots(talk, shots)),
            few_shot.completion_of(tokenizer, talk),
        )
        if long and short and few_shot.num_bytes(talk) and len(long.prompt) + len(long.ids) <= most:
            found.append(talk)
        if len(found) == count:
            break
    return found


def nats_of(
    context: RunContext, recipe: PreflightRecipe, phase: str, model: Any, tokenizer: Any, talks: list[Talk]
) -> list[float]:
    """Of each talk's last answer, in nats."""
    asked = [few_shot.completion_of(tokenizer, talk) for talk in talks]
    if any(completion is None for completion in asked):
        raise Failure(
            "template_differs",
            "The chat template of the fine-tuned model renders no answer where that of the model does.",
            advice="Compare with a model that was fine-tuned from this one.",
        )
    completions = [completion for completion in asked if completion is not None]
    batches = batches_by_length([len(c.prompt) + len(c.ids) for c in completions], batch_size=recipe.batch_size)

    def work(places: list[int], say: Tell) -> list[dict[str, float]]:
        found = scoring.token_logprobs(
            model,
            [completions[place] for place in places],
            pad_token_id=tokenizer.pad_token_id,
            batch_size=recipe.batch_size,
            tell=say,
            room=Room(context, tokenizer),
        )
        return [{"nats": -logps.double().sum().item()} for logps in found]

    return [row["nats"] for row in kept(context, phase, batches, work, unit="answers")]


def summary(nats: dict[str, list[float]], sizes: list[int]) -> dict[str, Any]:
    def plain(found: Any) -> dict[str, Any] | None:
        return found.as_plain() if found else None

    told: dict[str, Any] = {
        "bits": {name: plain(few_shot.bits_per_byte(values, sizes)) for name, values in nats.items()},
        "gain_of_shots": plain(few_shot.difference(nats["zero_shot"], nats["few_shot"], sizes)),
    }
    if "tuned" in nats:
        told["gain_of_tuning"] = plain(few_shot.difference(nats["few_shot"], nats["tuned"], sizes))
    return told


def tell(context: RunContext, figures: dict[str, Any], findings: list[dict[str, Any]]) -> dict[str, Any]:
    """Findings are the report's: the coach, who would say some of them too, is told no figure that it goes by."""
    bits = {f"{name}_bits_per_byte": found["value"] for name, found in figures.get("bits", {}).items() if found}
    metrics = {
        "rows": figures["rows"],
        "repeated_rows": figures["repeated"],
        "alike_rows": figures["alike"],
        "leaked_questions": figures["leaked"],
        "measured_answers": figures.get("measured", 0),
        **bits,
        "alarms": sum(finding["severity"] == "alarm" for finding in findings),
        "warnings": sum(finding["severity"] == "warning" for finding in findings),
    }
    context.metric(0, **metrics)
    return metrics
