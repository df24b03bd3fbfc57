"""`manage.py demo`: a running product in one command, which goes on where it stopped."""

from __future__ import annotations

import sys
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from rlhf.demo.follow import follow
from rlhf.demo.people import PEOPLE, make_people
from rlhf.demo.prepare import prepare
from rlhf.demo.processes import free_port, serve


class Command(BaseCommand):
    help = "Serve Steadyhand with a model, prompts, people and workers, on this machine."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="where to serve; the next free one is taken")
        parser.add_argument("--follow", action="store_true", help="queue what the demo shows and tell how far it is")

    def handle(self, *, port: int, follow: bool, **options: Any) -> None:
        if follow:
            self.follow()
            return
        settings.STEADYHAND_HOME.mkdir(parents=True, exist_ok=True)
        call_command("migrate", verbosity=0)
        call_command("collectstatic", interactive=False, clear=True, verbosity=0)
        self.introduce(make_people())
        port = free_port(port)
        self.stdout.write(
            f"\nSteadyhand is at http://127.0.0.1:{port}/ (Ctrl-C stops it; what runs goes on next time)\n\n"
        )
        self.stdout.flush()
        sys.exit(serve(port, out=sys.stdout))

    def introduce(self, passwords: dict[str, str]) -> None:
        if not passwords:
            self.stdout.write("The people are those of before; `manage.py create_user` makes others.")
            return
        self.stdout.write("\nPeople, with passwords that are shown only now:\n")
        for name, password in passwords.items():
            self.stdout.write(f"  {name:<12} {password:<20} {PEOPLE[name].label.lower()}")

    def follow(self) -> None:
        for line in prepare():
            self.stdout.write(line)
            self.stdout.flush()
        for line in follow():
            self.stdout.write(line)
            self.stdout.flush()
