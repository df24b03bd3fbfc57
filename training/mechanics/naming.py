"""How a sentence names an input, and what an exception says in one line."""

from __future__ import annotations

from training.contract import Input


def named(given: Input) -> str:
    return given.name or f"The {given.kind}"


def first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
