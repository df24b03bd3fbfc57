"""The home page is made of panels; each app adds its own, by capability, when it is ready."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from accounts.models import Capability, User


@dataclass(frozen=True, slots=True)
class Panel:
    """A template and what it is rendered with."""

    template: str
    context: dict[str, Any]


PanelMaker = Callable[[User], Panel | None]


@dataclass(frozen=True, slots=True)
class Entry:
    order: int
    capability: Capability
    make: PanelMaker


_entries: list[Entry] = []


def panel(capability: Capability, *, order: int) -> Callable[[PanelMaker], PanelMaker]:
    """Registers a function that makes a panel for people with `capability`, or None where there is nothing to say.

    The smaller `order`, the higher on the page. A module with panels is imported in its app's `ready`.
    """

    def register(make: PanelMaker) -> PanelMaker:
        _entries.append(Entry(order=order, capability=capability, make=make))
        return make

    return register


def panels_for(user: User) -> list[Panel]:
    entries = sorted((entry for entry in _entries if user.can(entry.capability)), key=lambda entry: entry.order)
    return [made for entry in entries if (made := entry.make(user)) is not None]
