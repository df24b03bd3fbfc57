"""Completions for people to rank from a model that is served elsewhere: a vLLM server, a vendor.

One request asks for all completions of a prompt that have one temperature (`n`). Each answer is written down and synced
before the next is taken up, so a run that was stopped, killed or refused goes on where it was and asks for no answer that it has.
(What was under way when it was killed is asked for again.)
"""

from __future__ import annotations

import json
import os
from collections import defaultdict, deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training import contract
from training.context import RunContext, Stopped
from training.contract import Failure
from training.mechanics import datasets
from training.mechanics.generation import completions, sampling
from training.mechanics.generation.endpoint import Answer, Choice, Endpoint, Pace
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


class Journal:
    """Answers by the number of their request, one line each, on the disk before anything else happens."""

    def __init__(self, path: Path) -> None:
        self.answers: dict[int, Answer] = {}
        if path.exists():
            lines = path.read_text().split("\n")
            for line in lines[:-1]:
                if line:
                    self.take(line)
        self._file = path.open("a", encoding="utf-8")
        if contract.ends_torn(path):  # a writer was killed within a line, which is no answer
            self._file.write("\n")

    def take(self, line: str) -> None:
        try:
            told = json.loads(line)
        except ValueError:
            return  # the torn line of an earlier attempt
        choices = [Choice(**choice) for choice in told["choices"]]
        self.answers[told["request"]] = Answer(choices, told["read"], told["written"])

    def add(self, number: int, answer: Answer) -> None:
        self._file.write(json.dumps({"request": number, **asdict(answer)}) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.answers[number] = answer


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, AskRecipe)
    endpoint = Endpoint(
        recipe.url, key_of(recipe), recipe.retries, recipe.timeout_s, Pace(recipe.requests_a_minute),
        lambda: context.stop_requested,
    )  # fmt: skip
    requests = plan(context, recipe)
    journal = Journal(context.checkpoints / "answers.jsonl")
    ask_all(context, recipe, requests, endpoint=endpoint, journal=journal)
    rows = sorted(rows_of(context, recipe, requests, journal), key=lambda row: row.pop("place"))
    completions.write(context.output, rows, card=card_of(recipe))
    return {
        "num_prompts": len(rows) // recipe.k,
        "num_completions": len(rows),
        "ended_rate": sum(row["ended"] for row in rows) / len(rows),
        **charged(recipe, journal),
    }


def key_of(recipe: AskRecipe) -> str:
    """Raises `Failure("no_key")`."""
    if not recipe.key_variable:
        return ""
    key = os.environ.get(recipe.key_variable, "").strip()
    if not key:
        raise Failure(
            "no_key",
            f"{recipe.key_variable} is not set where this run works.",
            advice="Set it in the environment of the workers, start them again, and resume the run.",
        )
    return key


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


def ask_all(
    context: RunContext, recipe: AskRecipe, requests: list[Request], *, endpoint: Endpoint, journal: Journal
) -> None:
    """Raises the first `Failure`, or `Stopped`, once what is under way is answered and written down: it is paid for."""
    waiting = deque(number for number in range(len(requests)) if number not in journal.answers)
    running: dict[Future[Answer], int] = {}
    ended: Failure | Stopped | None = None
    with ThreadPoolExecutor(recipe.at_once) as pool:
        while running or (waiting and not ended):
            context.progress("asking", len(journal.answers), len(requests), unit="requests")
            while waiting and not ended and len(running) < recipe.at_once:
                number = waiting.popleft()
                running[pool.submit(answer, recipe, requests[number], endpoint)] = number
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                number = running.pop(future)
                try:
                    journal.add(number, future.result())
                except (Failure, Stopped) as error:
                    ended = ended or error
                else:
                    tell(context, recipe, requests, number, journal)
            if context.stop_requested:
                ended = ended or Stopped()
    if ended and len(journal.answers) < len(requests):
        raise ended
    context.progress("asking", len(requests), len(requests), unit="requests")


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
    if charges := charged(recipe, journal):
        context.metric(len(journal.answers), **charges)


def charged(recipe: AskRecipe, journal: Journal) -> dict[str, float]:
    """Tokens and their cost so far; nothing where the endpoint did not count."""
    read = written = 0
    for one in journal.answers.values():
        if one.read is None or one.written is None:
            return {}
        read, written = read + one.read, written + one.written
    cost = (read * recipe.price_read + written * recipe.price_written) / 1e6
    return {"tokens_read": read, "tokens_written": written, "cost": cost}


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
