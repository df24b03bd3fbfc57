"""Completions for people to rank from a model that is served elsewhere: a vLLM server, a vendor.

One request asks for all completions of a prompt that have one temperature (`n`). Each answer is written down and synced
before the next is taken up, so a run that was stopped, killed or refused goes on where it was and asks for no answer that it has.
(What was under way when it was killed is asked for again.)
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any

from training.context import RunContext
from training.contract import Failure
from training.mechanics import datasets
from training.mechanics.generation import completions, sampling
from training.mechanics.generation.endpoint import Answer, Endpoint
from training.mechanics.generation.journal import Journal, ask_all, endpoint_of
from training.recipes.ask import AskRecipe

SEED_BITS = 31  # what every server takes
TOLD = 200  # answers that are shown, at most about


@dataclass(frozen=True, slots=True)
class Request:
    """The completions `indices` of one prompt, which have one temperature and one seed."""

    prompt_id: str
    messages: list[datasets.Message]
    indices: tuple[int, ...]
    temperature: float
    seed: int


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, AskRecipe)
    endpoint = endpoint_of(recipe, stop_requested=lambda: context.stop_requested)
    requests = plan(context, recipe)
    journal = Journal(context.checkpoints / "answers.jsonl")
    ask_all(
        range(len(requests)),
        lambda number: answer(recipe, requests[number], endpoint),
        journal,
        at_once=recipe.at_once,
        stop_requested=lambda: context.stop_requested,
        tell=lambda done: context.progress("asking", done, len(requests), unit="requests"),
        heard=lambda number: tell(context, recipe, requests, number, journal),
    )
    rows = sorted(rows_of(context, recipe, requests, journal), key=lambda row: row.pop("place"))
    completions.write(context.output, rows, card=card_of(recipe))
    return {
        "num_prompts": len(rows) // recipe.k,
        "num_completions": len(rows),
        "ended_rate": sum(row["ended"] for row in rows) / len(rows),
        **journal.charged(recipe),
    }


def plan(context: RunContext, recipe: AskRecipe) -> list[Request]:
    """The same requests, in the same order, at every start."""
    rows = completions.prompt_rows(context)
    asked = [datasets.messages_of(row) for row in rows]
    seeds = sampling.seeds_of(asked, context.spec.seed, recipe.seed, samples=recipe.k)
    requests = []
    for row, messages, own in zip(rows, asked, seeds, strict=True):
        by_temperature: defaultdict[float, list[int]] = defaultdict(list)
        for index in range(recipe.k):
            by_temperature[recipe.temperatures[index % len(recipe.temperatures)]].append(index)
        for temperature, indices in by_temperature.items():
            seed = own[indices[0]] >> (63 - SEED_BITS)
            requests.append(Request(row["id"], messages, tuple(indices), temperature, seed))
    return requests


def answer(recipe: AskRecipe, request: Request, endpoint: Endpoint) -> Answer:
    """As many completions as the request is for; an endpoint that gives fewer at a time is asked again for the rest."""
    whole = Answer([], 0, 0)
    while len(whole.choices) < len(request.indices):
        had = len(whole.choices)
        more = endpoint.ask(body_of(recipe, request, n=len(request.indices) - had, seed=request.seed + had))
        if not more.choices:
            raise Failure("bad_answer", "The endpoint answered without any completion.", advice="Try another model.")
        whole = Answer([*whole.choices, *more.choices], add(whole.read, more.read), add(whole.written, more.written))
    return Answer(whole.choices[: len(request.indices)], whole.read, whole.written)


def add(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def body_of(recipe: AskRecipe, request: Request, *, n: int, seed: int) -> dict[str, Any]:
    body = {
        "model": recipe.model, "messages": request.messages, "n": n, "seed": seed, "temperature": request.temperature,
        "top_p": recipe.top_p, "max_tokens": recipe.max_new_tokens,
    }  # fmt: skip
    # Left out where they say nothing: some endpoints refuse what they do not know.
    return (
        body
        | ({"logprobs": True} if recipe.logprobs else {})
        | ({"stop": list(recipe.stop_strings)} if recipe.stop_strings else {})
    )


def tell(context: RunContext, recipe: AskRecipe, requests: list[Request], number: int, journal: Journal) -> None:
    if len(journal.answers) % (1 + len(requests) // TOLD):
        return
    request, first = requests[number], journal.answers[number].choices[0]
    context.sample(request.indices[0], prompt=request.messages[-1]["content"], text=first.text, ended=first.ended)
    if charges := journal.charged(recipe):
        context.metric(len(journal.answers), **charges)


def rows_of(context: RunContext, recipe: AskRecipe, requests: list[Request], journal: Journal) -> list[dict[str, Any]]:
    places = {prompt_id: place for place, prompt_id in enumerate(dict.fromkeys(r.prompt_id for r in requests))}
    return [
        {
            "place": (places[request.prompt_id], index),
            "id": completions.completion_id(context.spec.run, request.prompt_id, index),
            "prompt_id": request.prompt_id,
            "index": index,
            "seed": request.seed,
            "temperature": request.temperature,
            "top_p": recipe.top_p,
            **asdict(choice),
        }
        for number, request in enumerate(requests)
        for index, choice in zip(request.indices, journal.answers[number].choices, strict=True)
    ]


def card_of(recipe: AskRecipe) -> str:
    return (
        f"{recipe.k} completions of each prompt by {recipe.model or 'a model'} at {recipe.url}, at temperatures "
        f"{', '.join(map(str, recipe.temperatures))}, top_p {recipe.top_p}, at most {recipe.max_new_tokens} tokens. "
        "Completions of one prompt and temperature were asked for together and share a seed. `logprob` is the sum that "
        "the endpoint gave, in nats, often at temperature 1 whatever the completion's own; none where it gave none."
    )
