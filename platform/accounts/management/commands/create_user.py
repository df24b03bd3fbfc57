"""Makes an account: the first admin of a new installation, or anybody else."""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import CommandParser

from accounts.commands import UserCommand, acting_user
from accounts.models import Role
from accounts.services import create_person


class Command(UserCommand):
    help = "Make an account. The password is read from STEADYHAND_PASSWORD, else made and printed once."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="user name")
        parser.add_argument("--role", choices=Role.values, default=Role.RATER)

    def run(self, **options: Any) -> dict[str, Any]:
        given = os.environ.get("STEADYHAND_PASSWORD", "")  # not an option: those stand in every list of processes
        person, secret = create_person(
            options["name"], role=options["role"], by=acting_user(options["username"]), password=given
        )
        told = {"user_name": person.username, "role": person.role}
        return told if given else {**told, "password": secret}
