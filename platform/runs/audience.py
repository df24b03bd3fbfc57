"""People who answer a run's questions while it goes on: who they are is another app's to say, which registers here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import InterfaceError, OperationalError
from django.utils.translation import gettext

from accounts.errors import UserError
from runs.models import Run

KEY = "voters"  # of a run's context: whom it asks
FIELD = "campaign"  # what people call it, at every door
logger = logging.getLogger("steadyhand.runs")


class NoAudience(UserError):
    code = "no_audience"


@dataclass(frozen=True, slots=True)
class Group:
    """People who can be asked, as the launch page offers them; `value` is what a run's context keeps."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class Audience:
    """What an app must do for runs that ask. `attend` is called once a second while a run's process works: it hands on
    what was asked, and writes down what was answered; called again, after a kill too, it does nothing twice."""

    groups: Callable[[], Sequence[Group]]
    check: Callable[
        [str, dict[str, Any]], str
    ]  # (what was chosen, the recipe) -> what the context keeps; raises UserError
    attend: Callable[[Run], None]


REGISTERED: list[Audience] = []


def is_asking(recipe: dict[str, Any]) -> bool:
    return bool(recipe.get("votes"))


def groups() -> list[Group]:
    return [group for audience in REGISTERED for group in audience.groups()]


def context_of(chosen: str) -> dict[str, Any]:
    """What a door gives `start_run` of whom a person chose; nothing is asked of them by a recipe that has no votes."""
    return {KEY: chosen} if chosen else {}


def checked_context(recipe: dict[str, Any], context: dict[str, Any]) -> dict[str, Any]:
    """A run's context, with those whom it asks made sure of. Raises `NoAudience`, and what the audience refuses."""
    if not is_asking(recipe) or not REGISTERED:
        return context
    chosen = context.get(KEY)
    if not chosen:
        raise NoAudience(
            gettext("People are to rank what this run writes. Choose the campaign whose raters are asked."), field=FIELD
        )
    return {**context, KEY: REGISTERED[0].check(str(chosen), recipe)}


def attend(run: Run, *, seen: set[type[Exception]]) -> None:
    """An audience that fails costs a run its votes, never its life: each kind of failure is logged once, by `seen`."""
    if not is_asking(run.recipe):
        return
    for audience in REGISTERED:
        try:
            audience.attend(run)
        except (OperationalError, InterfaceError):
            raise  # the database is away: the supervisor knows what to do
        except Exception as error:
            if type(error) not in seen:
                seen.add(type(error))
                logger.exception("The questions of run %s could not be brought to people.", run.pk)
