"""Objections to a model's taking a name: each app that knows something against models adds its own, in `objections.py`."""

from __future__ import annotations

from collections.abc import Callable

from accounts.errors import UserError
from registry.models import ModelVersion

Objection = Callable[[ModelVersion], UserError | None]
_known: list[Objection] = []


def objection(check: Objection) -> Objection:
    """Registers a function that says what speaks against a model, or None; the modules are imported in `ready`."""
    _known.append(check)
    return check


def objection_to(model: ModelVersion) -> UserError | None:
    """The first one, if any: whoever names the model must say that it is meant."""
    return next((found for check in _known if (found := check(model)) is not None), None)
