"""Everything that raters are sent over many assignments: pages, JSON, heads, hints, times; with the texts taken out."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.faults.client import Answer, Connection
from tests.faults.count import as_json
from tests.faults.guesser import Sample
from tests.faults.houses import Stage
from tests.faults.sites import Site
from tests.faults.webs import webs

LABEL = re.compile(r"secret-model-(\d+)")
SIZE = re.compile("Content-Length: [0-9]+")
# Names of keys that would tell: of who wrote a text, what a task is for, and what others did.
FORBIDDEN = {
    "author", "dataset", "external_id", "gold", "is_gold", "is_simulated", "kind", "model", "model_label", "num_rankings",
    "order_key", "overlap", "peers", "priority", "rank", "rater", "raters", "repeats", "reserved_for", "run", "sampling",
    "score", "seed", "slot", "standing", "temperature",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Seen:
    """One assignment as its rater was sent it, and what she must not know of it."""

    assignment: str
    json: Answer
    page: Answer
    submitted: Answer
    texts: dict[str, str]  # letter -> text


@dataclass(slots=True)
class Record:
    """Of all raters. `hints` are the frames of an open socket."""

    seen: list[Seen] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)


def record(site: Site, stage: Stage, *, count: int, mutant: str = "") -> Record:
    """Lets raters look at `count` assignments by page and by JSON, and rank them."""
    found = Record()

    async def look(ports: Sequence[int]) -> None:
        waiting = iter(range(count))
        listening = asyncio.create_task(listen(ports[0], stage, found))
        await asyncio.gather(*(one(access, stage, ports, waiting, found) for access in stage.raters))
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)

    with webs(site.env(), log=site.home / "web.log", mutant=mutant, count=1 if mutant else 2) as running:
        asyncio.run(look(running.ports))
    return found


async def one(
    access: dict[str, Any], stage: Stage, ports: Sequence[int], waiting: Iterator[int], found: Record
) -> None:
    lot = random.Random(access["id"])
    api = Connection(ports, {"Authorization": f"Token {access['token']}"}, lot)
    browser = Connection(ports, {"Cookie": f"sessionid={access['session']}"}, lot)
    while next(waiting, None) is not None:
        task = await answered(api, "POST", f"/api/v1/annotation/campaigns/{stage.slug}/next/", {})
        if task.status == 204:
            break
        page = await answered(browser, "GET", f"/rank/{stage.slug}/")
        texts = {text["letter"]: text["text"] for text in task.json["texts"]}
        order = lot.sample(sorted(texts), len(texts))  # by lot: what she said herself must not pass for what peers did
        body = {"client_uuid": str(uuid.uuid4()), "tiers": [[letter] for letter in order], "seconds": 1.0}
        done = await answered(api, "POST", f"/api/v1/annotation/assignments/{task.json['id']}/rankings/", body)
        assert (task.status, page.status, done.status) == (200, 200, 201), (task, page.status, done)
        assert task.json["id"] in page.body.decode()
        found.seen.append(Seen(task.json["id"], task, page, done, texts))
    await api.close()
    await browser.close()


async def answered(hand: Connection, method: str, path: str, body: Any = None) -> Answer:
    """A busy machine's 503 is sent again; its time says nothing of what was asked for."""
    while (answer := await hand.ask(method, path, body)).status == 503:
        await asyncio.sleep(0.5)
    return answer


async def listen(port: int, stage: Stage, found: Record) -> None:
    """A rater's socket, as the page opens it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    key = base64.b64encode(os.urandom(16)).decode()
    head = [
        f"GET /ws/hints/?topics=campaign:{stage.id} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket",
        "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13",
        f"Origin: http://127.0.0.1:{port}", f"Cookie: sessionid={stage.raters[0]['session']}",
    ]  # fmt: skip
    writer.write("\r\n".join(head).encode() + b"\r\n\r\n")
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    while True:
        first, size = await reader.readexactly(2)
        assert size < 126  # a hint is short, and what a server sends has no mask
        payload = await reader.readexactly(size)
        if first & 15 == 1:
            found.hints.append(payload.decode())


# What she must not know, from the database


@dataclass(frozen=True, slots=True)
class Secrets:
    """By assignment: the models under its letters, the kind of its task, whether the first to rank it liked a better than b."""

    models: dict[str, tuple[int, ...]]
    tasks: dict[str, str]
    kinds: dict[str, str]
    peers: dict[str, bool]
    ids: set[str]  # of completions and tasks: they would tell a repeat


def secrets_of(site: Site, stage: Stage, found: Record) -> Secrets:
    models = {key(pk): int(LABEL.fullmatch(label)[1]) for pk, label in site.sql(
        "SELECT id, model_label FROM annotation_completion")}  # fmt: skip
    rows = {key(row[0]): row for row in site.sql(
        'SELECT a.id, a."order", a.task_id, t.kind FROM annotation_assignment a '
        "JOIN annotation_rankingtask t ON t.id = a.task_id")}  # fmt: skip
    ranked: dict[str, list[tuple[str, list[list[str]]]]] = {}
    for task, assignment, tiers in site.sql(
        "SELECT task_id, assignment_id, tiers FROM annotation_ranking ORDER BY created_at, id"
    ):
        ranked.setdefault(key(task), []).append((key(assignment), as_json(tiers)))
    peers = {}
    for one in found.seen:
        order, first = as_json(rows[one.assignment][1]), ranked[key(rows[one.assignment][2])][0]
        if first[0] != one.assignment:
            places = {pk: place for place, tier in enumerate(first[1]) for pk in tier}
            peers[one.assignment] = places[order[0]] < places[order[1]]
    return Secrets(
        models={pk: tuple(models[one] for one in as_json(row[1])) for pk, row in rows.items()},
        tasks={pk: key(row[2]) for pk, row in rows.items()},
        kinds={pk: row[3] for pk, row in rows.items()},
        peers=peers,
        ids={*models, *(key(row[2]) for row in rows.values())},
    )


def key(pk: Any) -> str:
    return str(uuid.UUID(str(pk)))


# As samples for a guesser


def bare(one: Seen) -> str:
    """All bytes of the three answers, with the texts taken out wherever they stand, and out of what heads say of sizes."""
    return "\n".join(without_texts(one, answer) for answer in (one.json, one.page, one.submitted))


def without_texts(one: Seen, answer: Answer) -> str:
    body = answer.body.decode()
    for text in one.texts.values():
        assert text in body or answer is one.submitted, "a text is not shown as it is: take it out some other way"
        body = body.replace(text, "")
    return SIZE.sub(f"Content-Length: {len(body.encode())}", answer.head) + body


def part(one: Seen, letter: str) -> str:
    """What stands around one text: its article on the page, its entry in the JSON."""
    [article] = re.findall(rf'<article[^>]*data-letter="{letter}".*?</article>', one.page.body.decode(), re.DOTALL)
    [entry] = [text for text in one.json.json["texts"] if text["letter"] == letter]
    return f"{article}\n{json.dumps(entry)}".replace(one.texts[letter], "")


def times(one: Seen) -> tuple[float, ...]:
    return one.json.seconds, one.page.seconds, one.submitted.seconds


def samples_of_models(found: Record, secrets: Secrets, *, model: int) -> list[Sample]:
    samples = []
    for one in found.seen:
        for place, letter in enumerate(sorted(one.texts)):
            around = part(one, letter)
            numbers = (*(float(i == place) for i in range(len(one.texts))), len(around), *times(one))
            samples.append(Sample(one.assignment, around, numbers, secrets.models[one.assignment][place] == model))
    return samples


def samples_of(found: Record, secrets: Secrets, labels: dict[str, bool]) -> list[Sample]:
    """Of whole assignments: all they were sent, its size, and how long it took. Those of a task belong together."""
    return [
        Sample(secrets.tasks[one.assignment], text, (len(text), *times(one)), labels[one.assignment])
        for one in found.seen
        if one.assignment in labels
        for text in [bare(one)]
    ]


def told_keys(found: Record) -> set[str]:
    """The names of everything in the JSON and in the hints."""
    whole = [answer.json for one in found.seen for answer in (one.json, one.submitted)]
    return {name for each in (*whole, *map(json.loads, found.hints)) for name in names_in(each)}


def names_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from names_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from names_in(inner)
