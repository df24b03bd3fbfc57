"""Django's SQLite backend; threads of one process wait in line for the write lock.

SQLite itself makes who finds it locked sleep and look again, for longer each time: of sixteen raters at once some wait for
seconds while the lock lies free. Other processes still meet SQLite's own lock, and `timeout` bounds both waits.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from typing import Any

from django.db.backends.sqlite3.base import DatabaseWrapper as SQLite
from django.db.utils import OperationalError

LOCKS: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)  # by file
os.register_at_fork(after_in_child=LOCKS.clear)  # the threads that held them stayed with the parent


class DatabaseWrapper(SQLite):  # the methods below are Django's own hooks, which its types leave out
    """Holds its file's lock from BEGIN to COMMIT or ROLLBACK."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.held: threading.Lock | None = None

    def _start_transaction_under_autocommit(self) -> None:
        lock = LOCKS[str(self.settings_dict["NAME"])]
        if not lock.acquire(timeout=self.settings_dict["OPTIONS"].get("timeout", 5)):
            raise OperationalError("database is locked by another thread")
        self.held = lock
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
            self.held.release()
            self.held = None
