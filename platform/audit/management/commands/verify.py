"""`manage.py verify`: checks every invariant of the rows and files, and names what breaks one."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from accounts.commands import UserCommand
from accounts.errors import UserError
from audit.invariants import broken, invariants

SHOWN = 20  # of each invariant


class NotSound(UserError):
    code = "not_sound"


class Command(UserCommand):
    help = "Check that the database and the stored files hold together: leases, rankings, audit log, artifacts."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("--without-files", action="store_true", help="don't read the stored files again")

    def run(self, **options: Any) -> dict[str, Any]:
        found = broken(with_files=not options["without_files"])
        violations = {name: len(what) for name, what in found.items() if what}
        if not violations:
            return {"invariants": len(found), "violations": {}}
        if not options["json"]:
            for each in invariants():
                for what in found.get(each.name, [])[:SHOWN]:
                    self.stdout.write(f"{each.name}: {what}. {each.sentence}")
        raise NotSound(
            f"{sum(violations.values())} violations of {len(violations)} invariants.",
            violations=violations,
            found={name: what[:SHOWN] for name, what in found.items() if what},
        )
