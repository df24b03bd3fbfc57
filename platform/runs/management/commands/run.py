"""`manage.py run METHOD`: start a run; with `--wait` see it to its end, with `--here` do its work in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from accounts.commands import acting_user
from accounts.errors import UserError
from runs import audience
from runs.commands import RunCommand
from runs.models import Priority
from runs.services.estimate import ask_estimate
from runs.services.inputs import Given, find_input
from runs.services.start import start_run
from training.recipes import RECIPES


class Command(RunCommand):
    help = "Start a run of a method."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("method", help=", ".join(RECIPES))
        parser.add_argument("--recipe", type=Path, help="a JSON file with the recipe's fields")
        parser.add_argument("--preset", default="", help="a named set of fields, which --recipe and --set override")
        parser.add_argument("--set", action="append", default=[], metavar="FIELD=JSON", help="one field of the recipe")
        parser.add_argument(
            "--input", action="append", default=[], metavar="NAME=WHAT",
            help="an input: the name of a model, alias or dataset, or the id of an artifact or a run",
        )  # fmt: skip
        parser.add_argument("--name", default="", help="what the model or dataset that comes out is called")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--estimate", action="store_true", help="only probe what the run would cost")
        parser.add_argument("--campaign", default="", help="whose raters are asked, by a recipe that has votes")

    def run(self, **options: Any) -> dict[str, Any]:
        given: dict[str, Any] = {
            "recipe": fields_of(options), "inputs": inputs_of(options["input"]), "user": acting_user(options["username"]),
            "output_name": options["name"], "preset": options["preset"], "seed": options["seed"],
        }  # fmt: skip
        if options["estimate"]:
            return self.finish(ask_estimate(options["method"], **given), **options)
        context = audience.context_of(options["campaign"])
        run = start_run(options["method"], **given, priority=Priority.NORMAL, context=context)
        return self.finish(run, **options)


def fields_of(options: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if options["recipe"]:
        try:
            fields |= json.loads(options["recipe"].read_text())
        except (OSError, ValueError) as error:
            raise UserError(f"The recipe cannot be read: {error}", code="bad_recipe") from error
    return fields | {name: _value(text) for name, text in map(_pair, options["set"])}


def inputs_of(pairs: list[str]) -> dict[str, Given]:
    return {name: find_input(what) for name, what in map(_pair, pairs)}


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"{text} should be NAME=VALUE.", code="bad_option")
    return name, value


def _value(text: str) -> Any:
    """JSON where it is JSON, else the text itself, so that strings need no second pair of quotes."""
    try:
        return json.loads(text)
    except ValueError:
        return text
