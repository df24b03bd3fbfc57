"""The gate before the pages: few at a time, in order, and a plain no to more than may wait."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from config.gate import Gate


class Pages:
    """An application whose answers end when the test says so."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.may_answer, self.may_end = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.begun.append(scope["number"])
        await self.may_answer.wait()
        if scope.get("breaks"):
            raise RuntimeError("broken")
        await send({"type": "http.response.start", "status": 200})
        await self.may_end.wait()


async def come(gate: Gate, number: int, **more: Any) -> tuple[asyncio.Task[None], list[Any]]:
    told: list[Any] = []

    async def send(message: Any) -> None:
        told.append(message)

    task = asyncio.create_task(gate({"type": "http", "number": number, **more}, None, send))
    await asyncio.sleep(0)
    return task, told


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_those_who_wait_come_in_one_by_one_in_their_order_once_an_answer_begins():
    pages = Pages()
    gate = Gate(pages, at_once=2, waiting=10, patience_s=0.02)
    tasks = [(await come(gate, number))[0] for number in range(5)]
    await settled()
    assert pages.begun == [0]  # it may yet be quick
    await asyncio.sleep(0.1)
    assert pages.begun == [0, 1]
    pages.may_answer.set()
    await settled()
    assert pages.begun == [0, 1, 2, 3, 4]  # although no answer has ended
    pages.may_end.set()
    await asyncio.gather(*tasks)


@pytest.mark.asyncio
async def test_one_too_many_is_told_to_come_again_at_once():
    pages = Pages()
    gate = Gate(pages, at_once=1, waiting=2)
    tasks = [(await come(gate, number))[0] for number in range(3)]
    await settled()
    _, told = await come(gate, 3)
    assert [told[0]["status"], (b"retry-after", b"1") in told[0]["headers"]] == [503, True]
    assert b'"busy"' in told[1]["body"]
    pages.may_answer.set()
    pages.may_end.set()
    await asyncio.gather(*tasks)
    assert pages.begun == [0, 1, 2]


@pytest.mark.asyncio
async def test_a_request_that_breaks_or_leaves_gives_its_place_on():
    pages = Pages()
    gate = Gate(pages, at_once=1, waiting=5)
    leaving, _ = await come(gate, 0)
    breaking, _ = await come(gate, 1, breaks=True)
    last, told = await come(gate, 2)
    pages.may_end.set()
    await settled()
    leaving.cancel()
    await settled()
    pages.may_answer.set()
    await asyncio.gather(leaving, breaking, last, return_exceptions=True)
    assert pages.begun == [0, 1, 2]
    assert told[0]["status"] == 200
