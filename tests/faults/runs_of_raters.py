"""A day of raters on one product: web processes, kills, clocks and networks as asked; what came of it, counted."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.faults.count import Verdict, verdict
from tests.faults.houses import Stage
from tests.faults.proxy import network
from tests.faults.raters import Day, Ledger, rater
from tests.faults.sites import Site
from tests.faults.webs import Webs, webs

LOOK_S = 0.3


@dataclass(frozen=True, slots=True)
class Told:
    """What a day came to. Milliseconds are of answered submissions, from the client's side."""

    seed: int
    verdict: Verdict
    ledger: Ledger
    seconds: float
    befell: Counter[str]  # the requests on a bad network, by their fate
    violations: dict[str, int] = field(default_factory=dict)

    def ms(self, percent: int) -> float:
        cuts = statistics.quantiles(self.ledger.seconds, n=100)
        return round(1000 * cuts[percent - 1], 1)


Fault = Callable[["Field"], Awaitable[None]]


@dataclass(slots=True)
class Field:
    """The day while it lasts, for whoever breaks something in it."""

    site: Site
    stage: Stage
    webs: Webs
    ledger: Ledger
    is_over: bool = False

    @property
    def share(self) -> float:
        """Of the rankings wanted: how many were acknowledged."""
        return len(self.ledger.acked) / self.stage.wanted


def a_day(
    site: Site,
    stage: Stage,
    *,
    seed: int,
    faults: Sequence[tuple[float, Fault]] = (),
    processes: int = 2,
    mutant: str = "",
    is_network_bad: bool = False,
    longest_s: float = 900,
    patience_s: float = 90,
) -> Told:
    """Raters work until every task is complete, or `longest_s` is over. Each fault strikes at its share of the work."""
    print(f"seed {seed}")
    ledger = Ledger()
    with webs(site.env(), log=site.home / "web.log", count=processes, mutant=mutant) as found:
        field = Field(site, stage, found, ledger)
        began = time.perf_counter()
        day = Day(stage.slug, found.ports, ledger, lambda: field.is_over, seed, patience_s)
        befell = asyncio.run(
            asyncio.wait_for(lasting(field, faults, day=day, is_network_bad=is_network_bad), longest_s)
        )
        seconds = time.perf_counter() - began
    return Told(
        seed=seed,
        verdict=verdict(site, ledger, overlap=stage.overlap, campaign=stage.id),
        ledger=ledger,
        seconds=seconds,
        befell=befell,
        violations=violations(site),
    )


async def lasting(
    field: Field, faults: Sequence[tuple[float, Fault]], *, day: Day, is_network_bad: bool
) -> Counter[str]:
    if not is_network_bad:
        await work(field, faults, day=day)
        return Counter()
    async with network(day.ports, seed=day.seed) as bad:
        await work(field, faults, day=replace(day, ports=[bad.port]))
    return bad.did


async def work(field: Field, faults: Sequence[tuple[float, Fault]], *, day: Day) -> None:
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(watch(field))
        for number, access in enumerate(field.stage.raters):
            group.create_task(rater(number, access, day=day))
        for share, fault in faults:
            while field.share < share and not field.is_over:
                await asyncio.sleep(0.02)
            await fault(field)
        await watching


async def watch(field: Field) -> None:
    """Lets the leases of those at lunch run out, and says when no task wants a ranking any more."""
    gone = 0
    while not field.is_over:
        await asyncio.sleep(LOOK_S)
        late, gone = field.ledger.late[gone:], len(field.ledger.late)
        try:
            await asyncio.to_thread(look, field, late)
        except Exception as error:  # the database may be what is broken just now
            field.ledger.late.extend(late)
            print(f"not looked: {str(error).splitlines()[0]}")


def look(field: Field, late: Sequence[str]) -> None:
    if late:
        run_out(field.site, late)
    [(done,)] = field.site.sql(
        "SELECT count(DISTINCT slot_id) FROM annotation_assignment a JOIN annotation_slot s ON s.id = a.slot_id "
        "WHERE s.campaign_id = ? AND a.state = 'done'", field.stage.id,
    )  # fmt: skip
    field.is_over = done >= field.stage.wanted


def run_out(site: Site, leases: Sequence[str]) -> None:
    """As if the clock had: it is the harness that writes here, not the product."""
    for lease in leases:
        site.write(
            "UPDATE annotation_assignment SET lease_until = leased_at WHERE id = ? AND state = 'live'", uuid.UUID(lease)
        )


def violations(site: Site) -> dict[str, int]:
    """What the product's own check says of its rows: invariant -> how often it is broken."""
    told: dict[str, Any] = json.loads(site.manage("verify", "--json", check=False))
    found: dict[str, int] = told["error"]["data"]["violations"] if "error" in told else told["violations"]
    return found


def kill_a_web_process(number: int) -> Fault:
    async def strike(field: Field) -> None:
        ports = field.webs.ports
        await field.webs.kill_and_start(ports[number % len(ports)])

    return strike


def kills(count: int) -> list[tuple[float, Fault]]:
    """Spread over the work."""
    return [((number + 1) / (count + 2), kill_a_web_process(number)) for number in range(count)]


def deploys(count: int, statuses: list[int]) -> list[tuple[float, Fault]]:
    """Web processes are told to end one after the other, spread over the work; `statuses` gets what each ended with."""

    def deploy(number: int) -> Fault:
        async def strike(field: Field) -> None:
            ports = field.webs.ports
            statuses.append(await field.webs.leave_and_start(ports[number % len(ports)]))

        return strike

    return [((number + 1) / (count + 2), deploy(number)) for number in range(count)]
