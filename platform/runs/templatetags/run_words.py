"""Words about runs in templates."""

from __future__ import annotations

from django import template

from runs import words

register = template.Library()
register.filter("pace", words.pace)
register.filter("phase", words.phase)
register.filter("took", words.took)
register.filter("duration", words.duration)
