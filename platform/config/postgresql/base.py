"""Django's PostgreSQL backend, which plans a prepared statement once a connection and not at each call."""

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql.base import DatabaseWrapper as PostgreSQL
from psycopg import Cursor


class DatabaseWrapper(PostgreSQL):
    def prepared_cursor(self) -> Any:
        """One that sends values beside a statement, which PostgreSQL keeps; Django's own write them into it."""
        self.ensure_connection()
        assert self.connection is not None
        return self._prepare_cursor(Cursor(self.connection))  # type: ignore[attr-defined]  # Django's hook for wrapping one
