"""Times and paces of runs in words, for pages and terminals alike."""

from __future__ import annotations

from django.utils.translation import gettext, gettext_noop, ngettext

from accounts.numbers import digits, whole
from runs.models import Run

# What training calls its phases and what it counts; training itself knows no languages.
PHASES = (
    gettext_noop("training"),
    gettext_noop("reference"),
    gettext_noop("samples"),
    gettext_noop("scale"),
    gettext_noop("importing"),
    gettext_noop("counting words"),
    gettext_noop("measuring"),
    gettext_noop("waiting for votes"),
    gettext_noop("counting"),
    gettext_noop("comparing words"),
    gettext_noop("no examples"),
    gettext_noop("examples"),
    gettext_noop("fine-tuned"),
)
UNITS = (
    gettext_noop("steps"),
    gettext_noop("batches"),
    gettext_noop("completions"),
    gettext_noop("episodes"),
    gettext_noop("phases"),
    gettext_noop("prompts"),
    gettext_noop("samples"),
    gettext_noop("texts"),
    gettext_noop("answers"),
)


def phase(run: Run) -> str:
    return gettext(run.phase) if run.phase else ""


def rows(number: int) -> str:
    return ngettext("%(num)s row", "%(num)s rows", number) % {"num": whole(number)}


def duration(seconds: float) -> str:
    """`75` -> "1 min 15 s", `9000` -> "2 h 30 min"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return gettext("%(hours)d h %(minutes)02d min") % {"hours": hours, "minutes": minutes}
    if minutes:
        return gettext("%(minutes)d min %(seconds)02d s") % {"minutes": minutes, "seconds": rest}
    return gettext("%(seconds)d s") % {"seconds": rest}


def pace(run: Run) -> str:
    """How far a running run is: "120 of 600 steps, 2.1 steps/s, about 4 min 00 s left"."""
    unit = gettext(run.unit) if run.unit else ""
    words = [
        gettext("%(step)s of %(total)s %(unit)s") % {"step": whole(run.step), "total": whole(run.total), "unit": unit}
    ]
    if run.rate and run.rate >= 0.1:
        words.append(gettext("%(rate)s %(unit)s/s") % {"rate": digits(run.rate, form=".3g"), "unit": unit})
    elif run.rate:
        words.append(gettext("%(seconds)s s each") % {"seconds": digits(1 / run.rate, form=".3g")})
    if run.eta_s is not None:
        words.append(gettext("about %(duration)s left") % {"duration": duration(run.eta_s)})
    return gettext(", ").join(words)


def took(run: Run) -> str:
    """From its first start to its end; empty while it has neither."""
    if run.started_at is None or run.finished_at is None:
        return ""
    return gettext("took %(duration)s") % {"duration": duration((run.finished_at - run.started_at).total_seconds())}
