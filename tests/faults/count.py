"""What the database holds, counted beside what raters were told, by SQL of our own: the product's code has no part in it."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tests.faults.raters import Ledger

HOLDERS = ("live", "done")


class Database(Protocol):
    def sql(self, query: str, *values: Any) -> list[tuple[Any, ...]]: ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """`missing` were acknowledged and are not there, or say something else there; `unexplained` are there though nobody
    sent them; `unacked` were sent, and stored, and never acknowledged."""

    acked: int
    found: int
    missing: int
    duplicates: int
    over_overlap: int
    incomplete: int
    unexplained: int
    unacked: int
    surplus: int

    @property
    def is_sound(self) -> bool:
        return not (self.missing or self.duplicates or self.over_overlap or self.incomplete or self.unexplained)


def verdict(database: Database, ledger: Ledger, *, overlap: int, campaign: int) -> Verdict:
    rankings = database.sql(
        "SELECT r.id, r.client_uuid, r.assignment_id, r.tiers, a.\"order\", r.task_id, r.rater_id, r.is_live, a.state "
        "FROM annotation_ranking r JOIN annotation_assignment a ON a.id = r.assignment_id "
        "JOIN annotation_rankingtask t ON t.id = r.task_id WHERE t.campaign_id = ?", campaign,
    )  # fmt: skip
    rows = {uuid.UUID(str(row[0])): row for row in rankings}
    acked = {uuid.UUID(one.ranking): one for one in ledger.acked}
    missing = sum(not (key in rows and says(rows[key], one.assignment, one.tiers)) for key, one in acked.items())
    sent = {uuid.UUID(key) for key in ledger.sent}
    keys = Counter(uuid.UUID(str(row[1])) for row in rankings)
    live = Counter((row[5], row[6]) for row in rankings if row[7])
    held = holders(database, campaign)
    done = Counter(row[5] for row in rankings if row[7] and row[8] == "done")
    return Verdict(
        acked=len(acked),
        found=len(rows),
        missing=missing,
        duplicates=extra(keys) + extra(live),
        over_overlap=sum(count > overlap for count in held.values()),
        incomplete=sum(done[task] < overlap for task in held),
        unexplained=sum(key not in sent for key in keys),
        unacked=len(rows.keys() - acked.keys()),
        surplus=sum(row[8] == "surplus" for row in rankings),
    )


def says(row: tuple[Any, ...], assignment: str, tiers: Sequence[Sequence[str]]) -> bool:
    """Whether the stored order is the one that was acknowledged, in the letters that she saw."""
    order, stored = as_json(row[4]), as_json(row[3])
    letters = {completion: chr(ord("a") + place) for place, completion in enumerate(order)}
    told = [sorted(tier) for tier in tiers]
    return uuid.UUID(str(row[2])) == uuid.UUID(assignment) and told == [sorted(map(letters.get, t)) for t in stored]


def holders(database: Database, campaign: int) -> dict[Any, int]:
    """Of each task: how many hold it or have ranked it."""
    return dict(
        database.sql(
            "SELECT t.id, count(a.id) FROM annotation_rankingtask t LEFT JOIN annotation_assignment a "
            "ON a.task_id = t.id AND a.state IN ('live', 'done') WHERE t.campaign_id = ? GROUP BY t.id", campaign,
        )
    )  # fmt: skip


def extra(counts: Counter[Any]) -> int:
    return sum(count - 1 for count in counts.values())


def as_json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value
