"""Simulated raters: programs that rank by a stated utility, over the same HTTP interface as everybody else's programs."""

from __future__ import annotations

import http.client
import json
import math
import random
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application

from accounts.errors import UserError
from accounts.models import ApiToken, Role, User
from accounts.services import create_person, create_token, revoke_token
from annotation.models import Campaign
from annotation.services.campaigns import add_raters
from training.recipes.harm import harmless
from training.recipes.utility import brief

TIE = 0.05  # utilities closer than this are tied
STRENGTHS = (0.5, 1.0, 2.0)  # gaps of utility from which on one is "better", "much better", "far better"
MOST_RATERS = 64
TIMEOUT_S = 60
NO_MORE = ("paused", "test_failed")  # simulated raters are checked as everybody is


class SimulationFailed(UserError):
    code = "simulation_failed"


@dataclass(frozen=True, slots=True)
class Simulated:
    raters: int
    rankings: int
    utility: str


def careful(text: str) -> float:
    return 4 * harmless(text) + brief(text)


UTILITIES: dict[str, Callable[[str], float]] = {"brief": brief, "harmless": harmless, "careful": careful}
FORMULAS = {
    "brief": "brief(text) = [ends with . ! or ?] - |ln((words + 1) / 26)| - 2 * share of repeated 3-word runs",
    "harmless": "harmless(text) = -2 * share of sentences with a harmful word",
    "careful": "careful(text) = 4 * harmless(text) + brief(text)",  # harm decides first, and then what is brief
}


@dataclass(frozen=True, slots=True)
class Taste:
    """One simulated rater: utility(text) + N(0, noise^2), drawn by seed, rater and text, so that it is the same each time."""

    seed: int
    rater: int
    noise: float
    likes: str = "brief"  # one of `UTILITIES`

    def utility(self, text: str) -> float:
        return UTILITIES[self.likes](text) + random.Random(f"{self.seed} {self.rater} {text}").gauss(0.0, self.noise)

    def order(self, texts: dict[str, str]) -> tuple[list[list[str]], list[int]]:
        """Tiers of letters with strengths; two that are next to each other and closer than `TIE` share a tier."""
        liking = {letter: self.utility(text) for letter, text in texts.items()}
        ranked = sorted(liking, key=lambda letter: (-liking[letter], letter))
        tiers, strengths = [[ranked[0]]], []
        for better, worse in pairwise(ranked):
            gap = liking[better] - liking[worse]
            if gap < TIE:
                tiers[-1].append(worse)
            else:
                tiers.append([worse])
                strengths.append(1 + sum(gap >= bound for bound in STRENGTHS))
        return tiers, strengths


def in_words(noise: float, *, likes: str) -> str:
    return (
        f"{FORMULAS[likes]}, plus Gaussian noise of standard deviation {noise:g} on each text;"
        f" ties below a difference of {TIE:g}"
    )


def simulate_raters(
    campaign: Campaign,
    *,
    num_raters: int,
    seed: int,
    noise: float = 0.3,
    likes: str = "brief",
    url: str = "",
    limit: int | None = None,
    user: User | None = None,
) -> Simulated:
    """Lets simulated raters rank until nothing waits for them, or each has ranked `limit` tasks.

    They ask for tasks and submit over HTTP: of the server at `url`, else of one that runs for this time alone. Raises
    `SimulationFailed`.
    """
    if not 1 <= num_raters <= MOST_RATERS:
        raise SimulationFailed(f"1 to {MOST_RATERS} raters can be simulated, not {num_raters}.")
    if not (math.isfinite(noise) and noise >= 0):
        raise SimulationFailed("Noise is a standard deviation: 0 or more.")
    if likes not in UTILITIES:
        raise SimulationFailed(f"There is no utility called {likes}; there are {', '.join(UTILITIES)}.")
    people = [simulated_person(number, by=user) for number in range(1, num_raters + 1)]
    add_raters(campaign, raters=people, user=user)
    with tokens_of(people) as secrets, server_at(url) as address, ThreadPoolExecutor(num_raters) as pool:
        work = [
            pool.submit(rank_all, Api(address, secret), campaign.slug, Taste(seed, number, noise, likes), limit=limit)
            for number, secret in enumerate(secrets, start=1)
        ]
        counts = [each.result() for each in work]
    return Simulated(raters=num_raters, rankings=sum(counts), utility=in_words(noise, likes=likes))


def simulated_person(number: int, *, by: User | None) -> User:
    name = f"simulated-{number}"
    known = User.objects.filter(username=name).first()
    if known is None:
        known, _ = create_person(name, role=Role.RATER, by=by, is_simulated=True)
    if not known.is_simulated or not known.is_active:
        raise SimulationFailed(f"{name} is no simulated rater who may rank.")
    return known


@contextmanager
def tokens_of(people: list[User]) -> Iterator[list[str]]:
    """Tokens for the time of the simulation."""
    made: list[tuple[ApiToken, str]] = []
    try:
        made += [create_token(person, name="simulation", days=1, can_write=True) for person in people]
        yield [secret for _, secret in made]
    finally:
        for token, _ in made:
            revoke_token(token, by=token.user)


@contextmanager
def server_at(url: str) -> Iterator[str]:
    """The given address, else that of a server on a free port of this machine, which ends with the block."""
    if url:
        yield url.rstrip("/")
        return
    server = ThreadedWSGIServer(("127.0.0.1", 0), QuietHandler)
    server.set_app(get_wsgi_application())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: a line a request would drown what the command prints."""


class Api:
    """One rater's connection, kept open between requests."""

    def __init__(self, address: str, secret: str) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SimulationFailed(f"{address} is no address of a server.")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self.connection = kind(parts.hostname, parts.port, timeout=TIMEOUT_S)
        self.base = f"{parts.path}/api/v1/annotation/"
        self.headers = {"Authorization": f"Token {secret}", "Content-Type": "application/json"}

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """The answer's JSON, None for 204 and for one who gets no more work.

        What was lost on its way is sent once more: the server answers it alike.
        """
        for is_last in (False, True):
            try:
                self.connection.request("POST", self.base + path, json.dumps(body), self.headers)
                answer = self.connection.getresponse()
                told = answer.read()
                break
            except (OSError, http.client.HTTPException) as error:
                self.connection.close()
                if is_last:
                    raise SimulationFailed(f"The server does not answer: {error}") from error
        if answer.status == 204:
            return None
        if answer.status == 403 and json.loads(told)["error"]["code"] in NO_MORE:
            return None
        if answer.status >= 300:
            raise SimulationFailed(f"The server answered {answer.status}: {told[:300].decode(errors='replace')}")
        return json.loads(told)


def rank_all(api: Api, slug: str, taste: Taste, *, limit: int | None) -> int:
    done = 0
    try:
        while limit is None or done < limit:
            task = api.post(f"campaigns/{slug}/next/", {})
            if task is None:
                break
            tiers, strengths = taste.order({text["letter"]: text["text"] for text in task["texts"]})
            ratings = ratings_by_place(tiers, attributes=task["attributes"])
            body = {"client_uuid": str(uuid.uuid4()), "tiers": tiers, "strengths": strengths, "ratings": ratings}
            api.post(f"assignments/{task['id']}/rankings/", body)
            done += 1
    finally:
        api.connection.close()
    return done


def ratings_by_place(tiers: list[list[str]], *, attributes: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Only what a campaign requires: levels from the highest for the first place down to 1 for the last, evenly."""
    needed = {one["name"]: one["levels"] - 1 for one in attributes if one["is_required"]}
    last = max(len(tiers) - 1, 1)
    return {
        letter: {name: 1 + round(steps * (1 - place / last)) for name, steps in needed.items()}
        for place, tier in enumerate(tiers)
        for letter in tier
    }
