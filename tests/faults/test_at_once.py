"""Many who ask for the same thing in the same moment, over HTTP, of several web processes: as many get it as may."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from tests.faults.client import Answer, Connection
from tests.faults.houses import Houses, Stage, stage
from tests.faults.runs_of_raters import violations
from tests.faults.sites import Site
from tests.faults.webs import webs

pytestmark = pytest.mark.slow

CROWD, OVERLAP = 64, 3
ORDERS = [[["a"], ["b"], ["c"]], [["c"], ["b"], ["a"]], [["b"], ["a"], ["c"]], [["a", "b"], ["c"]]]


def hands(accesses: Sequence[dict[str, Any]], ports: Sequence[int]) -> list[Connection]:
    """Open connections, by turns to each process."""
    return [
        Connection([ports[number % len(ports)]], {"Authorization": f"Token {access['token']}"}, Random(number))
        for number, access in enumerate(accesses)
    ]


async def at_once(crowd: Sequence[Connection], path: str, bodies: Sequence[Any]) -> list[Answer]:
    gate = asyncio.Barrier(len(crowd))

    async def ask(hand: Connection, body: Any) -> Answer:
        await gate.wait()
        return await hand.ask("POST", path, body)

    return await asyncio.gather(*(ask(hand, body) for hand, body in zip(crowd, bodies, strict=True)))


# One task for all


def leases(site: Site, asked: Stage, *, rounds: int, mutant: str = "") -> list[tuple[Counter[int], int]]:
    """Of each round: the answers by status, and how many slots of the one task are held after it."""

    async def ask_all(ports: Sequence[int]) -> list[tuple[Counter[int], int]]:
        crowd = hands(asked.raters, ports)
        told = []
        for _ in range(rounds):
            path = f"/api/v1/annotation/campaigns/{asked.slug}/next/"
            answers = await at_once(crowd, path, [{}] * len(crowd))
            [(held,)] = site.sql("SELECT count(*) FROM annotation_assignment WHERE state = 'live'")
            told.append((Counter(answer.status for answer in answers), held))
            site.write("DELETE FROM annotation_assignment")
            site.write("UPDATE annotation_slot SET is_free = ?", True)
        await asyncio.gather(*(hand.close() for hand in crowd))
        return told

    with webs(site.env(), log=site.home / "web.log", mutant=mutant) as found:
        return asyncio.run(ask_all(found.ports))


def test_of_sixty_four_who_ask_at_once_three_get_the_task_that_three_may_rank(houses: Houses, tmp_path):
    site = houses.new(tmp_path / "home")
    told = leases(site, stage(site, raters=CROWD, tasks=1, overlap=OVERLAP), rounds=4)
    assert told == [(Counter({200: OVERLAP, 204: CROWD - OVERLAP}), OVERLAP)] * 4
    assert violations(site) == {}


def test_a_build_without_locks_gives_it_to_more(houses: Houses, tmp_path):
    site = houses.new(tmp_path / "home", mutant="unlocked")
    told = leases(site, stage(site, raters=CROWD, tasks=1, overlap=OVERLAP), rounds=4, mutant="unlocked")
    assert max(held for _, held in told) > OVERLAP


# One ranking, corrected by many tabs


@dataclass(frozen=True, slots=True)
class Correction:
    """One round: what the tabs were answered, the ranking that was accepted, and whether sending it again gave it again."""

    answers: Counter[str]
    accepted: list[str]
    is_replayed: bool


def corrections(site: Site, asked: Stage, *, rounds: int, tabs: int = 20, mutant: str = "") -> list[Correction]:
    async def correct_all(ports: Sequence[int]) -> list[Correction]:
        crowd = hands(asked.raters * tabs, ports)
        newest = await ranked(crowd[0], asked)
        told = []
        for _ in range(rounds):
            bodies = [{"client_uuid": str(uuid.uuid4()), "tiers": ORDERS[i % len(ORDERS)]} for i in range(tabs)]
            path = f"/api/v1/annotation/rankings/{newest}/corrections/"
            answers = await at_once(crowd, path, bodies)
            winners = [i for i, answer in enumerate(answers) if answer.status == 201]
            again = await crowd[0].ask("POST", path, bodies[winners[0]])
            newest = answers[winners[0]].json["id"]
            told.append(
                Correction(
                    Counter(
                        "accepted" if a.status == 201 else f"{a.status} {a.json['error']['code']}" for a in answers
                    ),
                    [answers[i].json["id"] for i in winners],
                    again.status == 201 and again.json["id"] == newest,
                )
            )
        await asyncio.gather(*(hand.close() for hand in crowd))
        return told

    with webs(site.env(), log=site.home / "web.log", mutant=mutant) as found:
        return asyncio.run(correct_all(found.ports))


async def ranked(hand: Connection, asked: Stage) -> str:
    task = await hand.ask("POST", f"/api/v1/annotation/campaigns/{asked.slug}/next/", {})
    body = {"client_uuid": str(uuid.uuid4()), "tiers": ORDERS[0]}
    made = await hand.ask("POST", f"/api/v1/annotation/assignments/{task.json['id']}/rankings/", body)
    assert made.status == 201, made
    return str(made.json["id"])


def history(site: Site) -> list[str]:
    """The rankings from the first to the newest, each superseded by the next."""
    rows = {after: before for before, after in site.sql("SELECT id, supersedes_id FROM annotation_ranking")}
    chain, at = [], rows.get(None)
    while at is not None:
        chain.append(str(uuid.UUID(str(at))))
        at = rows.get(at)
    return chain


def test_of_twenty_corrections_at_once_one_wins_and_history_has_each_that_did(houses: Houses, tmp_path):
    site = houses.new(tmp_path / "home")
    told = corrections(site, stage(site, raters=1, tasks=1, overlap=1), rounds=5)
    assert [one.answers for one in told] == [Counter({"accepted": 1, "409 superseded": 19})] * 5
    assert all(one.is_replayed for one in told)
    chain = history(site)
    assert chain[1:] == [accepted for one in told for accepted in one.accepted]
    [(live,)] = site.sql("SELECT id FROM annotation_ranking WHERE is_live")
    assert str(uuid.UUID(str(live))) == chain[-1]
    assert violations(site) == {}


def test_a_build_that_supersedes_whatever_is_there_accepts_several(houses: Houses, tmp_path):
    site = houses.new(tmp_path / "home", mutant="unconditional")
    told = corrections(site, stage(site, raters=1, tasks=1, overlap=1), rounds=2, mutant="unconditional")
    assert sum(one.answers["accepted"] for one in told) > 2
    assert violations(site)["corrections"] > 0
