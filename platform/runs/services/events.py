"""What a training process says, copied from its folder into the database: whole lines, in order, each exactly once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import F

from accounts.hints import hint
from runs.models import EventKind, Run, RunEvent
from runs.services.claim import Claim, LeaseLost

BATCH = 500
PROGRESS_FIELDS = ("phase", "step", "total", "unit", "rate", "eta_s")
NUL = "\x00"


@dataclass(frozen=True, slots=True)
class Said:
    """One line of events.jsonl."""

    seq: int
    at: datetime
    kind: EventKind
    payload: dict[str, Any]


class EventTail:
    """Reads on from where it stopped, so that a long run's file is read once and not once a second."""

    def __init__(self, path: Path, *, after: int) -> None:
        self._path = path
        self._offset = 0
        self._seq = after

    def read(self, *, limit: int = BATCH) -> list[Said]:
        """At most `limit` new events; an unfinished last line is left for the next call."""
        if not self._path.exists():
            return []
        found: list[Said] = []
        with self._path.open("rb") as lines:
            lines.seek(self._offset)
            while len(found) < limit and (line := lines.readline()).endswith(b"\n"):
                self._offset += len(line)
                found += self._new(line)
        return found

    def _new(self, line: bytes) -> Iterator[Said]:
        try:
            raw = json.loads(line)
        except ValueError:
            return  # torn by a kill: the next attempt wrote on behind it
        if raw["seq"] > self._seq:
            self._seq = raw["seq"]
            at = datetime.fromisoformat(raw["at"])
            yield Said(raw["seq"], at, EventKind(raw["kind"]), without_nul(raw["payload"]))


def without_nul(value: Any) -> Any:
    """A model may well sample U+0000, which no text of PostgreSQL can hold."""
    match value:
        case str():
            return value.replace(NUL, "\ufffd")
        case dict():
            return {key.replace(NUL, "\ufffd"): without_nul(inner) for key, inner in value.items()}
        case list():
            return [without_nul(inner) for inner in value]
        case _:
            return value


def copy_events(claim: Claim, said: list[Said]) -> None:
    """Writes a batch, if the claim stands and no batch with these was written before. Raises `LeaseLost`."""
    if not said:
        return
    progress = next((event.payload for event in reversed(said) if event.kind == EventKind.PROGRESS), None)
    fields = {name: progress.get(name) for name in PROGRESS_FIELDS} if progress else {}
    if used := next((event.payload["used"] for event in reversed(said) if "used" in event.payload), None):
        fields["used"] = used
    with transaction.atomic():
        not_yet = claim.held.filter(copied_seq__lt=said[0].seq)
        if not not_yet.update(last_seq=F("last_seq") + len(said), copied_seq=said[-1].seq, **fields):
            raise LeaseLost(f"Run {claim.run_id} is no longer held by {claim.worker}.")
        first = Run.objects.values_list("last_seq", flat=True).get(pk=claim.run_id) - len(said) + 1
        RunEvent.objects.bulk_create(
            RunEvent(run_id=claim.run_id, seq=first + i, at=event.at, kind=event.kind, payload=event.payload)
            for i, event in enumerate(said)
        )
        hint(f"run:{claim.run_id}")


def tell(claim: Claim, kind: EventKind, payload: dict[str, Any]) -> None:
    """One event of our own about a run that we hold. Raises `LeaseLost`."""
    with transaction.atomic():
        if not claim.held.update(last_seq=F("last_seq") + 1):
            raise LeaseLost(f"Run {claim.run_id} is no longer held by {claim.worker}.")
        run = Run.objects.get(pk=claim.run_id)
        assert run.heartbeat_at is not None
        RunEvent.objects.create(run=run, seq=run.last_seq, at=run.heartbeat_at, kind=kind, payload=payload)
        hint(f"run:{run.pk}")
