"""Raters at their own pace, on the page that people use, and dashboards that look on; what waiting there is counts."""

from __future__ import annotations

import asyncio
import random
import re
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tests.faults.client import Answer, Connection, Lost
from tests.faults.houses import Stage
from tests.faults.webs import Webs

HIDDEN = re.compile(r'name="(assignment|client_uuid)" value="([^"]+)"')
CSRF = "a" * 32
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
LINES = ("a > b > c", "c > b > a", "b > a = c", "b >> c > a")


@dataclass(slots=True)
class Paced:
    """Seconds from the moment when a request was due, not from when it got its turn: nobody's waiting is left out."""

    submits: list[float] = field(default_factory=list)  # until the next task is here too, fetched ahead
    looks: list[float] = field(default_factory=list)  # of dashboards
    statuses: Counter[int] = field(default_factory=Counter)
    lost: int = 0

    def ms(self, percent: int) -> float:
        return round(1000 * statistics.quantiles(self.submits, n=100)[percent - 1], 1)


@dataclass(frozen=True, slots=True)
class Pace:
    think_s: float
    seconds: float  # of the whole, after each rater has her first page
    look_s: float = 5.0  # between two looks of one dashboard


async def work(stage: Stage, webs: Webs, pace: Pace) -> Paced:
    told, loop = Paced(), asyncio.get_running_loop()
    ready = asyncio.Barrier(len(stage.raters) + len(stage.researchers))
    begin = loop.create_future()

    async def started(number: int) -> float:
        if await ready.wait() == 0:
            begin.set_result(loop.time() + 1.0)
        return float(await begin)

    async with asyncio.TaskGroup() as group:
        for number, access in enumerate(stage.raters):
            share = number / len(stage.raters)
            group.create_task(one_rater(access, share, stage, webs.ports, pace, told, started))
        for number, access in enumerate(stage.researchers):
            share = number / len(stage.researchers)
            group.create_task(one_dashboard(access, share, stage, webs.ports, pace, told, started))
    return told


def due_times(start: float, share: float, every: float, seconds: float) -> Iterator[float]:
    """Spread evenly, so that the load has no waves of our making."""
    at = start + share * every
    while at < start + seconds:
        yield at
        at += every


async def one_rater(
    access: dict[str, Any], share: float, stage: Stage, ports: Sequence[int], pace: Pace, told: Paced, started: Any
) -> None:
    lot = random.Random(access["id"])
    browser = Connection(ports, {"Cookie": f"sessionid={access['session']}; csrftoken={CSRF}"}, lot)
    first = await browser.ask("GET", f"/rank/{stage.slug}/")
    assert first.status == 200, first
    fields = dict(HIDDEN.findall(first.body.decode()))
    following = await fetched_ahead(browser, stage, fields, told)
    for due in due_times(await started(access["id"]), share, pace.think_s, pace.seconds):
        await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
        if "assignment" not in fields:
            break
        form = {**fields, "order": lot.choice(LINES), "seconds": "5", "csrfmiddlewaretoken": CSRF}
        body = urlencode(form).encode()
        answer = await timed(browser, "POST", f"/rank/{stage.slug}/submit/", body, FORM, due, [], told)
        if answer is not None and answer.status == 200:
            fields = following
            following = await fetched_ahead(browser, stage, fields, told)
            told.submits.append(asyncio.get_running_loop().time() - due)
    await browser.close()


async def fetched_ahead(browser: Connection, stage: Stage, fields: dict[str, str], told: Paced) -> dict[str, str]:
    """The task after the one in `fields`, as the page asks for it while that is ranked; empty where there is none."""
    if "assignment" not in fields:
        return {}
    body = urlencode({"assignment": fields["assignment"], "csrfmiddlewaretoken": CSRF}).encode()
    now = asyncio.get_running_loop().time()
    answer = await timed(
        browser, "POST", f"/rank/{stage.slug}/ahead/", body, FORM | {"Accept": "text/html"}, now, [], told
    )
    found = answer is not None and answer.status == 200
    return dict(HIDDEN.findall(answer.body.decode())) if answer is not None and found else {}


async def one_dashboard(
    access: dict[str, Any], share: float, stage: Stage, ports: Sequence[int], pace: Pace, told: Paced, started: Any
) -> None:
    browser = Connection(ports, {"Cookie": f"sessionid={access['session']}"}, random.Random(access["id"]))
    for due in due_times(await started(access["id"]), share, pace.look_s, pace.seconds):
        await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
        await timed(browser, "GET", f"/campaigns/{stage.slug}/", None, {"HX-Request": "true"}, due, told.looks, told)
    await browser.close()


async def timed(
    browser: Connection, method: str, path: str, body: bytes | None, headers: dict[str, str], due: float,
    seconds: list[float], told: Paced,
) -> Answer | None:  # fmt: skip
    try:
        answer = await browser.ask(method, path, body, headers=headers)
    except Lost:
        told.lost += 1
        return None
    seconds.append(asyncio.get_running_loop().time() - due)
    told.statuses[answer.status] += 1
    return answer
