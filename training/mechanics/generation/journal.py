"""What an endpoint has answered, written down before anything else happens: it is paid for, and is not asked for again."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict
from pathlib import Path

from training import contract
from training.context import Stopped
from training.contract import Failure
from training.mechanics.generation.endpoint import Answer, Choice, Endpoint, Pace
from training.recipes.ask import Paced


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

    def charged(self, recipe: Paced) -> dict[str, float]:
        """Tokens and their cost so far; nothing where the endpoint did not count."""
        read = written = 0
        for one in self.answers.values():
            if one.read is None or one.written is None:
                return {}
            read, written = read + one.read, written + one.written
        cost = (read * recipe.price_read + written * recipe.price_written) / 1e6
        return {"tokens_read": read, "tokens_written": written, "cost": cost}


def endpoint_of(recipe: Paced, *, stop_requested: Callable[[], bool]) -> Endpoint:
    """Raises `Failure("no_key")`."""
    pace = Pace(recipe.requests_a_minute)
    return Endpoint(recipe.url, key_of(recipe), recipe.retries, recipe.timeout_s, pace, stop_requested)


def key_of(recipe: Paced) -> str:
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


def ask_all(
    numbers: Sequence[int],
    ask: Callable[[int], Answer],
    journal: Journal,
    *,
    at_once: int,
    stop_requested: Callable[[], bool],
    tell: Callable[[int], None],
    heard: Callable[[int], None] = lambda number: None,
) -> None:
    """Has the journal hold an answer to each of `numbers`; `ask` is called in threads, for those that it lacks.

    `tell` hears how many there are, `heard` the number of each new one. Raises the first `Failure`, or `Stopped`, once what is
    under way is answered and written down.
    """
    waiting = deque(number for number in numbers if number not in journal.answers)
    left = len(waiting)
    running: dict[Future[Answer], int] = {}
    ended: Failure | Stopped | None = None
    with ThreadPoolExecutor(at_once) as pool:
        while running or (waiting and not ended):
            tell(len(numbers) - left)
            while waiting and not ended and len(running) < at_once:
                number = waiting.popleft()
                running[pool.submit(ask, number)] = number
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                number = running.pop(future)
                try:
                    journal.add(number, future.result())
                except (Failure, Stopped) as error:
                    ended = ended or error
                else:
                    left -= 1
                    heard(number)
            if stop_requested():
                ended = ended or Stopped()
    if ended and left:
        raise ended
    tell(len(numbers))
