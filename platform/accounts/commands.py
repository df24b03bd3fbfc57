"""What every command of ours shares: readable lines or one JSON object, and an error as `code: sentence`."""

from __future__ import annotations

import json
import sys
from abc import ABC, abstractmethod
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from accounts.errors import UserError
from accounts.models import Role, User


class UserCommand(BaseCommand, ABC):
    """Subclasses fill `add_options` and `run`; what `run` returns is printed, as lines or with `--json` as JSON."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument("--as", dest="username", default="", help="the person who does this, by user name")
        self.add_options(parser)

    def add_options(self, parser: CommandParser) -> None:
        """Adds the command's own options."""

    @abstractmethod
    def run(self, **options: Any) -> dict[str, Any]:
        """Does the work and returns what to tell."""

    def handle(self, **options: Any) -> None:
        as_json: bool = options["json"]
        try:
            told = self.run(**options)
        except UserError as error:
            if as_json:
                self.stdout.write(json.dumps(error.as_json()))
            self.stderr.write(f"{error.code}: {error.sentence}")
            sys.exit(1)
        if as_json:
            self.stdout.write(json.dumps(told, default=str))
            return
        for name, value in told.items():
            self.stdout.write(f"{name.replace('_', ' ')}: {value}")


def acting_user(username: str) -> User | None:
    """The person named by `--as`; without a name, the only admin there is, or nobody (the system itself)."""
    if username:
        try:
            return User.objects.get(username=username, is_ai=False)
        except User.DoesNotExist:
            raise UserError(f"There is no user called {username}.", code="no_user") from None
    admins = list(User.objects.filter(role=Role.ADMIN, is_active=True)[:2])
    return admins[0] if len(admins) == 1 else None
