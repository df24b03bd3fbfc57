"""Numbers of campaigns in words."""

from __future__ import annotations

from decimal import Decimal

from django import template
from django.utils.formats import number_format

from annotation.figure_words import number
from annotation.quality.sentences import said

register = template.Library()


@register.filter
def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


register.filter("figure", number)
register.filter("said", said)


@register.filter
def money(amount: Decimal) -> str:
    """All digits that there are, two at least."""
    whole, _, parts = f"{amount:.4f}".partition(".")
    return number_format(f"{whole}.{parts[:2]}{parts[2:].rstrip('0')}", force_grouping=True)
