"""The statements, by database, that make the audit log append-only."""

from __future__ import annotations

TABLE = "audit_auditevent"
SENTENCE = "audit events are never changed or deleted"
TAKEN = "SELECT 1 FROM audit_auditevent WHERE id = NEW.id OR hash = NEW.hash OR previous_hash = NEW.previous_hash"

CREATE: dict[str, tuple[str, ...]] = {
    "sqlite": (
        f"CREATE TRIGGER audit_refuses_update BEFORE UPDATE ON {TABLE} BEGIN SELECT RAISE(ABORT, '{SENTENCE}'); END",
        f"CREATE TRIGGER audit_refuses_delete BEFORE DELETE ON {TABLE} BEGIN SELECT RAISE(ABORT, '{SENTENCE}'); END",
        # INSERT OR REPLACE deletes without asking the trigger above (recursive_triggers is off by default).
        f"CREATE TRIGGER audit_refuses_replace BEFORE INSERT ON {TABLE} WHEN EXISTS ({TAKEN}) "
        f"BEGIN SELECT RAISE(ABORT, '{SENTENCE}'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{SENTENCE}'; END $$",
        # Of a statement, not of a row: TRUNCATE has no rows, and a statement that meets none is refused as well.
        f"CREATE TRIGGER audit_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {TABLE} "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()",
    ),
}

DROP: dict[str, tuple[str, ...]] = {
    "sqlite": tuple(f"DROP TRIGGER audit_refuses_{what}" for what in ("update", "delete", "replace")),
    "postgresql": (f"DROP TRIGGER audit_refuses_change ON {TABLE}", "DROP FUNCTION audit_refuse()"),
}
