"""A campaign's rules of giving out work: limits of a rater, what skipping does, extra raters for tasks that divide them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from django.utils.translation import gettext

from accounts.numbers import whole
from annotation.models import Campaign, SkipMode

MOST_RATERS = 25  # a task, as the database has it
LARGEST_LIMIT = 1_000_000  # rankings of one rater


class BadRules(ValueError):
    """What is wrong, as a sentence, and in which field."""

    def __init__(self, sentence: str, *, field: str) -> None:
        super().__init__(sentence)
        self.field = field


@dataclass(frozen=True, slots=True)
class Rules:
    """`extra_below` is in percent of agreement; it and `extra_most`, of rankings a task, are both there or neither."""

    most_rankings: int | None = None
    skip_mode: str = SkipMode.OTHERS
    skip_needs_reason: bool = False
    extra_below: int | None = None
    extra_most: int | None = None

    def changed(self, changes: dict[str, Any]) -> Rules:
        return replace(self, **changes)

    def differing(self, before: Rules) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value != getattr(before, name)}


RULES = tuple(field.name for field in fields(Rules))


def rules_of(campaign: Campaign) -> Rules:
    return Rules(**{name: getattr(campaign, name) for name in RULES})


def check_rules(rules: Rules, *, overlap: int) -> None:
    """Raises `BadRules`."""
    check_limit(rules.most_rankings)
    if rules.skip_mode not in SkipMode.values:
        raise BadRules(
            gettext("What skipping does is %(known)s.") % {"known": ", ".join(SkipMode.values)}, field="skip_mode"
        )
    below, most = rules.extra_below, rules.extra_most
    if (below is None) != (most is None):
        missing = "extra_below" if below is None else "extra_most"
        raise BadRules(
            gettext("Extra raters need both: an agreement to reach, and the most rankings a task."), field=missing
        )
    if below is None or most is None:
        return
    if not 1 <= below <= 100:
        raise BadRules(gettext("Agreement is 1 to 100 percent, not %(given)s.") % {"given": below}, field="extra_below")
    if overlap < 2:
        raise BadRules(gettext("Agreement is known only where two raters rank a task."), field="extra_below")
    if not overlap < most <= MOST_RATERS:
        raise BadRules(
            gettext("With %(overlap)s raters a task, extra ones make it %(fewest)s to %(most)s, not %(given)s.")
            % {"overlap": overlap, "fewest": overlap + 1, "most": MOST_RATERS, "given": most},
            field="extra_most",
        )


def check_limit(most: int | None) -> None:
    """Of a campaign, or a rater's own. Raises `BadRules`."""
    if most is not None and not 1 <= most <= LARGEST_LIMIT:
        raise BadRules(
            gettext("A rater's limit is 1 to %(most)s rankings, not %(given)s.")
            % {"most": whole(LARGEST_LIMIT), "given": whole(most)},
            field="most_rankings",
        )
