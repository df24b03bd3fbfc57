"""An OpenAI-compatible endpoint: one request at its pace, tried again where it is busy, and what it answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2

from training.context import Stopped
from training.contract import Failure

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds before a retry, doubled each time
BUSY = {408, 429}
SAID = 300  # characters of a refusal that are told


@dataclass(frozen=True, slots=True)
class Choice:
    """`num_tokens` and `logprob` (summed, in nats, as the endpoint gives them) are none where it did not say.

    `tops`: of each token the likeliest ones in its place, with their log-probabilities, where they were asked for and given.
    """

    text: str
    ended: bool
    num_tokens: int | None
    logprob: float | None
    tops: list[dict[str, float]] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request brought, and the tokens that it is charged for; none where the endpoint does not count."""

    choices: list[Choice]
    read: int | None
    written: int | None


@dataclass(slots=True)
class Pace:
    """So many requests a minute, evenly, from all threads together."""

    a_minute: int
    _next_at: float = 0.0
    _lock: Any = field(default_factory=threading.Lock)

    def wait_s(self) -> float:
        """Takes the next turn; says how long it is until then."""
        with self._lock:
            now = time.monotonic()
            at = max(now, self._next_at)
            self._next_at = at + 60 / self.a_minute
            return at - now


@dataclass(slots=True)
class Endpoint:
    """May be used by several threads. The key is sent and appears nowhere else, not even in what a failure repeats."""

    url: str
    key: str
    retries: int
    timeout_s: float
    pace: Pace
    stop_requested: Callable[[], bool]
    # Without the environment, which might send a .netrc's password along, and without redirects, which would the key.
    _client: Any = field(default_factory=lambda: httpx2.Client(trust_env=False, follow_redirects=False))

    def ask(self, body: dict[str, Any]) -> Answer:
        """Raises `Failure` ("endpoint_refused", "endpoint_down", "bad_answer"), and `Stopped` while it waits."""
        problem, pause = "", FIRST_PAUSE
        for attempt in range(self.retries + 1):
            if attempt:
                self.sleep(pause)
            self.sleep(self.pace.wait_s())
            try:
                response = self._client.post(
                    f"{self.url.rstrip('/')}/chat/completions", json=body, timeout=self.timeout_s,
                    headers={"Authorization": f"Bearer {self.key}"} if self.key else {},
                )  # fmt: skip
            except httpx2.TransportError as error:
                problem, pause = type(error).__name__, longer(attempt)
                continue
            if response.status_code < 300:
                return read_answer(response)
            problem = f"{response.status_code} {self.without_key(response.text)}"
            if response.status_code not in BUSY and response.status_code < 500:
                raise refusal(response.status_code, problem)
            pause = asked_pause(response.headers.get("retry-after", ""), longer(attempt))
        raise Failure(
            "endpoint_down",
            f"The endpoint did not answer in {self.retries + 1} tries: {problem}",
            advice="Resume the run when it works again: what was answered is kept, and is not asked for again.",
        )

    def sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self.stop_requested():
                raise Stopped
            time.sleep(min(left, 0.1))

    def without_key(self, text: str) -> str:
        return (text.replace(self.key, "[key]") if self.key else text)[:SAID]


def longer(attempt: int) -> float:
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**attempt)


def asked_pause(retry_after: str, otherwise: float) -> float:
    """As the endpoint wishes, where it says so in seconds, and within reason."""
    return min(LONGEST_PAUSE, float(retry_after)) if retry_after.isdecimal() else otherwise


def refusal(status: int, problem: str) -> Failure:
    advice = {
        401: "Check the key in the variable that the recipe names.",
        403: "Check what the key may do.",
        404: "Check the address and the model's name.",
    }.get(status, "Change the recipe: the endpoint does not take it.")
    return Failure("endpoint_refused", f"The endpoint refused a request: {problem}", advice=advice)


def read_answer(response: Any) -> Answer:
    try:
        told = response.json()
        usage = told.get("usage") or {}
        choices = [read_choice(choice) for choice in told["choices"]]
        read, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Failure(
            "bad_answer",
            f"The endpoint answered something other than chat completions: {type(error).__name__}: {error}",
            advice="Check the address: it must be the one of an OpenAI-compatible API, often ending in /v1.",
        ) from error
    if len(choices) == 1 and choices[0].num_tokens is None and written is not None:
        only = choices[0]
        choices = [replace(only, num_tokens=written)]
    return Answer(choices, read, written)


def read_choice(choice: dict[str, Any]) -> Choice:
    tokens = (choice.get("logprobs") or {}).get("content")
    return Choice(
        text=choice["message"]["content"] or "",
        ended=choice.get("finish_reason") == "stop",
        num_tokens=None if tokens is None else len(tokens),
        logprob=None if tokens is None else float(sum(token["logprob"] for token in tokens)),
        tops=tops_of(tokens or []),
    )


def tops_of(tokens: list[dict[str, Any]]) -> list[dict[str, float]] | None:
    if not any(token.get("top_logprobs") for token in tokens):
        return None
    return [{top["token"]: float(top["logprob"]) for top in token.get("top_logprobs") or []} for token in tokens]
