"""Django's SQLite backend; whoever wants the write lock waits in line, over all threads and processes of the host.

SQLite itself makes who finds it locked sleep and look again, for longer each time: of sixteen raters at once some wait for
seconds while the lock lies free. A transaction that takes no place in the line still meets SQLite's own lock, and `timeout`
bounds both waits.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections import defaultdict
from typing import Any

from django.db.backends.sqlite3.base import DatabaseWrapper as SQLite
from django.db.utils import OperationalError

LOOK_S = 0.0005  # of the one thread in each process that is first in its line


class Line:
    """The line for one file: first among the threads of this process, then among processes, by a lock that dies with them."""

    def __init__(self, path: str) -> None:
        self.threads = threading.Lock()
        # Beside the database, and not on it: closing any descriptor of that would drop SQLite's own locks.
        self.descriptor = os.open(f"{path}-line", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def wait(self, seconds: float) -> bool:
        """Whether this thread is first now; false where that took longer."""
        until = time.monotonic() + seconds
        if not self.threads.acquire(timeout=seconds):
            return False
        while not self.is_first():
            if time.monotonic() > until:
                self.threads.release()
                return False
            time.sleep(LOOK_S)
        return True

    def is_first(self) -> bool:
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def leave(self) -> None:
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)
        self.threads.release()


class Lines(defaultdict[str, Line]):
    def __missing__(self, path: str) -> Line:
        return self.setdefault(path, Line(path))


LINES = Lines()  # by file
os.register_at_fork(after_in_child=LINES.clear)  # a child that shared the descriptor would share the lock


class DatabaseWrapper(SQLite):  # the methods below are Django's own hooks, which its types leave out
    """Stands first in its file's line from BEGIN to COMMIT or ROLLBACK."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.held: Line | None = None

    def _start_transaction_under_autocommit(self) -> None:
        line = LINES[str(self.settings_dict["NAME"])]
        if not line.wait(self.settings_dict["OPTIONS"].get("timeout", 5)):
            raise OperationalError("database is locked by another")
        self.held = line
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]
        except BaseException:
            self.release()
            raise

    def _commit(self) -> None:
        super()._commit()  # type: ignore[misc]  # where it fails, a rollback follows
        self.release()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]
        finally:
            self.release()

    def _close(self) -> None:
        try:
            super()._close()  # type: ignore[misc]
        finally:
            self.release()

    def release(self) -> None:
        if self.held is not None:
            self.held.leave()
            self.held = None
