"""Raters over HTTP as they are: double clicks, second tabs, lunches, lost answers; and a ledger of what each was told."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.faults.client import Answer, Connection, Lost

ORDERS = ([["a"], ["b"], ["c"]], [["c"], ["b"], ["a"]], [["b"], ["a", "c"]], [["a", "b", "c"]])
DOUBLE_CLICK, SECOND_TAB, LUNCH = 0.10, 0.05, 0.01
TELLING = (200, 201, 204, 400, 403, 404, 409)  # the server has decided; anything else is tried again


@dataclass(frozen=True, slots=True)
class Acked:
    """A judgement that a rater was told is saved."""

    ranking: str
    client_uuid: str
    assignment: str
    tiers: tuple[tuple[str, ...], ...]  # of letters, canonical


@dataclass(slots=True)
class Ledger:
    """`sent` are the keys of all judgements that left a rater; `refused` those that were answered with no."""

    acked: list[Acked] = field(default_factory=list)
    sent: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)  # client uuid -> code
    seconds: list[float] = field(default_factory=list)  # of each answered submission
    statuses: dict[int, int] = field(default_factory=dict)
    lost: int = 0
    late: list[str] = field(default_factory=list)  # leases whose rater has gone to lunch

    def count(self, answer: Answer) -> None:
        self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1


@dataclass(frozen=True, slots=True)
class Day:
    """Where and how raters work; `is_over` says that nothing is left to do, `may_stop` ends it before."""

    slug: str
    ports: Sequence[int]
    ledger: Ledger
    is_over: Callable[[], bool]
    seed: int = 0
    patience_s: float = 90  # until a rater gives up on a judgement that is not answered


async def patiently(connection: Connection, path: str, body: Any, *, day: Day, lot: random.Random) -> Answer | None:
    """Asks until the server decides, as the page does: the same request, the same key. None where it never did."""
    loop = asyncio.get_running_loop()
    until, wait = loop.time() + day.patience_s, 0.05
    while loop.time() < until:
        try:
            answer = await connection.ask("POST", path, body)
        except Lost:
            day.ledger.lost += 1
        else:
            day.ledger.count(answer)
            if answer.status in TELLING:
                return answer
        await asyncio.sleep(wait * lot.uniform(0.5, 1.5))
        wait = min(2.0, 2 * wait)
    return None


async def rater(number: int, access: dict[str, Any], *, day: Day) -> None:
    lot = random.Random(f"{day.seed} {number}")
    headers = {"Authorization": f"Token {access['token']}"}
    hand, other_hand = (Connection(day.ports, headers, lot) for _ in range(2))
    late: list[str] = []
    try:
        while not day.is_over():
            task = await patiently(hand, f"/api/v1/annotation/campaigns/{day.slug}/next/", {}, day=day, lot=lot)
            if task is None or task.status not in (200, 204):
                raise AssertionError(f"{access['name']} got no answer to next: {task}")
            if task.status == 204:
                await asyncio.sleep(lot.uniform(0.1, 0.4))
                continue
            lease, chance = task.json["id"], lot.random()
            if chance < LUNCH and lease not in late:
                late.append(lease)
                day.ledger.late.append(lease)
                await asyncio.sleep(lot.uniform(0.2, 1.0))
                continue
            await judge(lease, chance, (hand, other_hand), day=day, lot=lot)
        for lease in late:  # back from lunch: it may have gone to another, or to herself anew
            await send(hand, lease, lot.choice(ORDERS), key_of(lot), day=day, lot=lot)
    finally:
        await hand.close()
        await other_hand.close()


async def judge(lease: str, chance: float, hands: Sequence[Connection], *, day: Day, lot: random.Random) -> None:
    order, key = lot.choice(ORDERS), key_of(lot)
    sends = [send(hands[0], lease, order, key, day=day, lot=lot)]
    if LUNCH <= chance < LUNCH + DOUBLE_CLICK:
        sends.append(send(hands[1], lease, order, key, day=day, lot=lot))
    elif LUNCH + DOUBLE_CLICK <= chance < LUNCH + DOUBLE_CLICK + SECOND_TAB:
        sends.append(send(hands[1], lease, lot.choice(ORDERS), key_of(lot), day=day, lot=lot))
    await asyncio.gather(*sends)


def key_of(lot: random.Random) -> str:
    return str(uuid.UUID(int=lot.getrandbits(128), version=4))


async def send(
    hand: Connection, lease: str, order: Sequence[Sequence[str]], key: str, *, day: Day, lot: random.Random
) -> None:
    day.ledger.sent.add(key)
    body = {"client_uuid": key, "tiers": order, "seconds": 1.0}
    answer = await patiently(hand, f"/api/v1/annotation/assignments/{lease}/rankings/", body, day=day, lot=lot)
    if answer is None:
        return
    if answer.status == 201:
        day.ledger.seconds.append(answer.seconds)
        told = answer.json
        day.ledger.acked.append(Acked(told["id"], key, lease, tuple(tuple(tier) for tier in order)))
        assert told["tiers"] == [sorted(tier) for tier in order], told
    else:
        day.ledger.refused[key] = answer.json["error"]["code"]
