"""Raters over HTTP: each in a thread with a connection of its own, asking for a task and submitting it, until time is up."""

from __future__ import annotations

import http.client
import json
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

TIMEOUT_S = 60


@dataclass(slots=True)
class Seen:
    """`next_s` are the times of one request for a task each; `errors` counts answers by status, or the error's name."""

    cycles: int = 0
    next_s: list[float] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        return self.cycles / self.seconds

    def ms(self, share: float) -> float:
        cuts = statistics.quantiles(self.next_s, n=100, method="inclusive")
        return 1000 * cuts[round(100 * share) - 1]


class Connection:
    """Kept open between requests, as browsers do."""

    def __init__(self, port: int, token: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
        self.headers = {"Authorization": f"Token {token}", "Content-Type": "application/json"}

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        self.connection.request(method, path, None if body is None else json.dumps(body), self.headers)
        answer = self.connection.getresponse()
        told = answer.read()
        is_json = answer.status < 400 and told
        return answer.status, json.loads(told) if is_json else told

    def close(self) -> None:
        self.connection.close()


class Rater(Protocol):
    def next(self, connection: Connection) -> tuple[int, Any]: ...

    def submit(self, connection: Connection, task: Any) -> int: ...


def at_work(port: int, *, tokens: Sequence[str], rater: Rater, seconds: float) -> Seen:
    """All raters at once for so long, or until no task is left."""
    seen, lock = Seen(), threading.Lock()
    gate = threading.Barrier(len(tokens) + 1)
    until: list[float] = [0.0]
    ended: list[float] = []

    def work(token: str) -> None:
        mine, connection = Seen(), Connection(port, token)
        gate.wait()
        try:
            while time.perf_counter() < until[0] and one_cycle(connection, rater, mine):
                pass
        finally:
            connection.close()
            with lock:
                ended.append(time.perf_counter())
                seen.cycles += mine.cycles
                seen.next_s += mine.next_s
                for name, count in mine.errors.items():
                    seen.errors[name] = seen.errors.get(name, 0) + count

    threads = [threading.Thread(target=work, args=[token]) for token in tokens]
    for thread in threads:
        thread.start()
    began = time.perf_counter()
    until[0] = began + seconds
    gate.wait()
    for thread in threads:
        thread.join()
    seen.seconds = max(ended) - began
    return seen


def one_cycle(connection: Connection, rater: Rater, seen: Seen) -> bool:
    """False where nothing waits any more."""
    began = time.perf_counter()
    try:
        status, task = rater.next(connection)
        seen.next_s.append(time.perf_counter() - began)
        if status in (204, 404):
            return False
        if status == 200:
            status = rater.submit(connection, task)
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        count(seen, type(error).__name__)
        return True
    if status == 201:
        seen.cycles += 1
    else:
        count(seen, str(status))
    return True


def count(seen: Seen, name: str) -> None:
    seen.errors[name] = seen.errors.get(name, 0) + 1


def all_of(*deeds: Callable[[], Any]) -> list[Any]:
    return [deed() for deed in deeds]
