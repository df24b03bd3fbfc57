"""Pairs judged by a model that is served elsewhere. Each answer is written down before it is used: it is paid for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from training.context import RunContext
from training.contract import Failure
from training.mechanics.datasets import Message
from training.mechanics.generation.endpoint import Answer, Endpoint
from training.mechanics.generation.journal import Journal, ask_all, endpoint_of
from training.mechanics.judging.asking import after, messages_of
from training.mechanics.judging.pairs import Pair
from training.mechanics.judging.told import by_logprobs, by_votes
from training.mechanics.judging.verdicts import ORDERS, Told
from training.recipes.ask import Paced
from training.recipes.judge import JudgeRecipe

SEED_BITS = 31  # what every server takes
ANSWER_TOKENS = 12
TOPS = 20  # likeliest tokens that are asked for: the most that endpoints give


def judge(
    context: RunContext, recipe: JudgeRecipe, pairs: Sequence[Pair]
) -> tuple[list[tuple[Pair, Told]], dict[str, float]]:
    """And what it cost. Raises `Failure`, `Stopped`."""
    if context.probe is not None:
        raise Failure(
            "no_estimate",
            "An endpoint's pace and price are its own: asking it costs what is to be found out.",
            advice="Estimate the same recipe with the critic model.",
        )
    paced = recipe.endpoint
    assert paced is not None
    endpoint = endpoint_of(paced, stop_requested=lambda: context.stop_requested)
    journals = {name: Journal(context.checkpoints / f"{name}.jsonl") for name in ("thoughts", "answers")}
    seeds = [pair.seed(context.spec.seed, recipe.seed, order=order) for pair in pairs for order in ORDERS]
    asked = [
        messages_of(pair, order=order, thinks=recipe.thought, examples=recipe.examples)
        for pair in pairs
        for order in ORDERS
    ]
    # Two pairs that say the same are asked once.
    questions = dict(zip(seeds, asked, strict=True))
    thoughts = dict.fromkeys(questions, "")
    if recipe.thought:
        all_asked(context, paced, "thoughts", questions, journals["thoughts"], lambda seed: endpoint.ask(
            {**body_of(paced, questions[seed], seed), "n": 1, "temperature": recipe.thought_temperature,
             "max_tokens": recipe.thought_tokens}
        ))  # fmt: skip
        thoughts = {seed: refuse_empty(journals["thoughts"].answers[seed]).choices[0].text for seed in questions}
        questions = {seed: after(messages, thoughts[seed]) for seed, messages in questions.items()}
    all_asked(context, paced, "answers", questions, journals["answers"],
              lambda seed: answered(recipe, paced, endpoint, questions[seed], seed))  # fmt: skip
    odds = {seed: log_odds(journals["answers"].answers[seed]) for seed in questions}
    refuse_unreadable(context, odds)
    charges = [journal.charged(paced) for journal in journals.values() if journal.answers]
    told = [
        (pair, Told(odds[ab] or 0.0, -(odds[ba] or 0.0), thoughts[ab], thoughts[ba]))
        for pair, ab, ba in zip(pairs, seeds[::2], seeds[1::2], strict=True)
    ]
    cost = {name: sum(one[name] for one in charges) for name in charges[0]} if all(charges) else {}
    return told, {"unreadable_rate": sum(one is None for one in odds.values()) / len(odds), **cost}


def all_asked(
    context: RunContext, paced: Paced, phase: str, questions: Mapping[int, list[Message]], journal: Journal,
    ask: Callable[[int], Answer],
) -> None:  # fmt: skip
    ask_all(
        list(questions),
        ask,
        journal,
        at_once=paced.at_once,
        stop_requested=lambda: context.stop_requested,
        tell=lambda done: context.progress(phase, done, len(questions), unit="requests"),
    )


def answered(recipe: JudgeRecipe, paced: Paced, endpoint: Endpoint, messages: list[Message], seed: int) -> Answer:
    """One answer with log-probabilities; where they don't tell the letter, `samples` answers beside it, to be counted."""
    # At temperature 1: some endpoints tell log-probabilities after the temperature.
    body = {**body_of(paced, messages, seed), "temperature": 1.0, "max_tokens": ANSWER_TOKENS}
    first = Answer([], 0, 0)
    if recipe.logprobs:
        first = refuse_empty(endpoint.ask({**body, "n": 1, "logprobs": True, "top_logprobs": TOPS}))
        if by_logprobs(first.choices[0]) is not None:
            return first
    while len(first.choices) < recipe.samples:  # an endpoint that gives fewer at a time is asked again
        had = len(first.choices)
        more = refuse_empty(
            endpoint.ask({**body, "n": recipe.samples - had, "seed": (body["seed"] + had) % 2**SEED_BITS})
        )
        first = Answer(
            [*first.choices, *more.choices],
            None if first.read is None or more.read is None else first.read + more.read,
            None if first.written is None or more.written is None else first.written + more.written,
        )
    return first


def log_odds(answer: Answer) -> float | None:
    """Of (A) against (B); none where nothing that was answered names a letter."""
    told = by_logprobs(answer.choices[0])
    return by_votes(answer.choices) if told is None else told


def body_of(paced: Paced, messages: list[Message], seed: int) -> dict[str, Any]:
    return {"model": paced.model, "messages": messages, "seed": seed >> (63 - SEED_BITS)}


def refuse_empty(answer: Answer) -> Answer:
    if not answer.choices:
        raise Failure("bad_answer", "The endpoint answered without any completion.", advice="Try another model.")
    return answer


def refuse_unreadable(context: RunContext, odds: Mapping[int, float | None]) -> None:
    """Raises `Failure("no_letters")` where no answer could be read; warns where some could not: they say nothing."""
    num = sum(one is None for one in odds.values())
    if num == len(odds):
        raise Failure(
            "no_letters",
            "None of the endpoint's answers names (A) or (B).",
            advice="Try another model there, or show it examples.",
        )
    if num:
        context.warn("no_letters", f"{num} of {len(odds)} answers name neither (A) nor (B), and count as undecided.")
