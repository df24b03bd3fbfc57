"""The statements, by database, that make the audit log append-only."""

from __future__ import annotations

TABLE = "audit_auditevent"
SENTENCE = "audit events are never changed or deleted"

CREATE: dict[str, tuple[str, ...]] = {
    "sqlite": tuple(
        f"CREATE TRIGGER audit_refuses_{verb.lower()} BEFORE {verb} ON {TABLE} BEGIN SELECT RAISE(ABORT, '{SENTENCE}'); END"
        for verb in ("UPDATE", "DELETE")
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
    "sqlite": ("DROP TRIGGER audit_refuses_update", "DROP TRIGGER audit_refuses_delete"),
    "postgresql": (f"DROP TRIGGER audit_refuses_change ON {TABLE}", "DROP FUNCTION audit_refuse()"),
}
