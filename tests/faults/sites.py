"""One installed product: a home, a database, and workers that can be killed, frozen and asked to leave."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from runs.services.child import processes_of
from tests.servers import Server
from training import contract

ROOT = Path(__file__).resolve().parents[2]
TRAINER = ROOT / "tests" / "runs" / "trainer.py"
PATHS = f"sys.path[:0] = [{str(ROOT)!r}]; sys.path.append({str(ROOT / 'platform')!r})"
SET_UP = f"import gc, sys; gc.disable(); {PATHS}; import django; django.setup();"
TIMES = {"HEARTBEAT_S": "0.3", "LEASE_S": "2", "CANCEL_GRACE_S": "2"}


@dataclass(slots=True)
class Site:
    """One installed product: a home, a database, and the processes that were started for it."""

    home: Path
    database: str
    server: Server | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    times: dict[str, str] = field(default_factory=lambda: dict(TIMES))  # short ones, for workers; raters need none

    def env(self, **more: str) -> dict[str, str]:
        times = {f"STEADYHAND_{name}": value for name, value in self.times.items()}
        return {
            **os.environ, "STEADYHAND_HOME": str(self.home), "STEADYHAND_DATABASE_URL": self.database, **times,
            "DJANGO_SETTINGS_MODULE": "config.settings", "PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}", **more,
        }  # fmt: skip

    def manage(self, *arguments: str, check: bool = True, **more: str) -> str:
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        return subprocess.run(command, env=self.env(**more), check=check, capture_output=True, text=True).stdout

    def python(self, code: str) -> Any:
        """Runs code with Django set up; what it gives to `print` is read as JSON."""
        done = subprocess.run(
            [sys.executable, "-c", f"{SET_UP}\n{code}"], env=self.env(), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout or "null")

    def start(self, count: int = 1) -> list[str]:
        """Queues runs of the one method that needs nothing but a corpus."""
        return self.python(
            "import json; from tests.runs.conftest import a_dataset, a_tokenizer_run; import uuid\n"
            f"runs = [a_tokenizer_run(a_dataset(str(uuid.uuid4()), kind='corpus')) for _ in range({count})]\n"
            "print(json.dumps([str(run.pk) for run in runs]))"
        )

    def worker(self, behaviour: str = "count:100", **more: str) -> subprocess.Popen[bytes]:
        trainer = shlex.join([sys.executable, str(TRAINER), behaviour])
        with (self.home / "workers.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), "work"], stdout=log, stderr=log,
                env=self.env(STEADYHAND_TRAINING_COMMAND=trainer, **more),
            )  # fmt: skip
        self.workers.append(process)
        return process

    def sql(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        if self.server is not None:
            with psycopg.connect(self.server.url) as connection:
                return connection.execute(query.replace("?", "%s"), values).fetchall()
        with closing(sqlite3.connect(self.home / "db.sqlite3", timeout=20)) as connection:
            return connection.execute(query, [v.hex if isinstance(v, uuid.UUID) else v for v in values]).fetchall()

    def write(self, query: str, *values: Any) -> None:
        """As a stranger to the product would: by hand, in the database."""
        if self.server is not None:
            with psycopg.connect(self.server.url) as connection:
                connection.execute(query.replace("?", "%s"), values)
            return
        with closing(sqlite3.connect(self.home / "db.sqlite3", timeout=20)) as connection, connection:
            connection.execute(query, [v.hex if isinstance(v, uuid.UUID) else v for v in values])

    def run(self, run_id: str) -> dict[str, Any]:
        columns = ("state", "attempt", "max_attempts", "fence", "worker", "step", "last_seq", "failure_code", "failure")
        [row] = self.sql(f"SELECT {', '.join(columns)} FROM runs_run WHERE id = ?", uuid.UUID(run_id))
        return dict(zip(columns, row, strict=True))

    def said(self, run_id: str, kind: str) -> list[dict[str, Any]]:
        rows = self.sql("SELECT payload FROM runs_runevent WHERE run_id = ? AND kind = ? ORDER BY seq",
                        uuid.UUID(run_id), kind)  # fmt: skip
        return [json.loads(row[0]) if isinstance(row[0], str) else row[0] for row in rows]

    def copied(self, run_id: str) -> list[dict[str, Any]]:
        """What stands in the database of what the process said."""
        rows = self.sql("SELECT payload FROM runs_runevent WHERE run_id = ? AND kind <> 'state' ORDER BY seq",
                        uuid.UUID(run_id))  # fmt: skip
        return [json.loads(row[0]) if isinstance(row[0], str) else row[0] for row in rows]

    def written(self, run_id: str) -> list[dict[str, Any]]:
        """What stands in the folder of what the process said."""
        return [event["payload"] for event in contract.read_events(self.home / "runs" / run_id / contract.EVENTS)]

    def wait(self, run_id: str, condition: Callable[[dict[str, Any]], bool], *, seconds: float = 60) -> dict[str, Any]:
        until = time.monotonic() + seconds
        while not condition(row := self.run(run_id)):
            assert time.monotonic() < until, f"{row}\n{(self.home / 'workers.log').read_text()[-4000:]}"
            time.sleep(0.05)
        return row

    def trainer_of(self, run_id: str) -> int:
        return min(processes_of(run_id))  # a process that it forks comes later

    def freeze(self, worker: subprocess.Popen[bytes]) -> None:
        """Stops a worker between two transactions: a frozen one that holds SQLite's only write lock freezes everybody."""
        while True:
            worker.send_signal(signal.SIGSTOP)
            if self.server is not None:
                return
            with closing(sqlite3.connect(self.home / "db.sqlite3", timeout=0.5, isolation_level=None)) as connection:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                    return
                except sqlite3.OperationalError:
                    worker.send_signal(signal.SIGCONT)
                    time.sleep(0.05)

    def end_workers(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGCONT)
                worker.kill()
            worker.wait()
        self.workers.clear()


def on_sqlite(home: Path, migrated: Path, **options: Any) -> Site:
    """A product in this folder, its tables copied from another home."""
    for name in ("db.sqlite3", "secret.key"):
        shutil.copy(migrated / name, home / name)
    return Site(home, f"sqlite:///{home / 'db.sqlite3'}", **options)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"  # one that nobody has reaped yet is dead all the same
