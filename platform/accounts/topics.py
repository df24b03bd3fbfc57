"""Who may follow which topic of hints; each app declares its own in its `topics` module, and none undeclared is followed."""

from __future__ import annotations

from collections.abc import Callable

from accounts.models import User

MayFollow = Callable[[User, str], bool]

_rules: dict[str, MayFollow] = {}


def topic(kind: str) -> Callable[[MayFollow], MayFollow]:
    """Registers who may follow topics of `kind`: asked with the person and what stands after the colon ("" if nothing)."""

    def register(rule: MayFollow) -> MayFollow:
        _rules[kind] = rule
        return rule

    return register


def may_follow(user: User, asked: str) -> bool:
    kind, _, identifier = asked.partition(":")
    rule = _rules.get(kind)
    return rule is not None and rule(user, identifier)
