"""Times and paces of runs in words, for pages and terminals alike."""

from __future__ import annotations

from runs.models import Run


def duration(seconds: float) -> str:
    """`75` -> "1 min 15 s", `9000` -> "2 h 30 min"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def pace(run: Run) -> str:
    """How far a running run is: "120 of 600 steps, 2.1 steps/s, about 4 min 00 s left"."""
    words = [f"{run.step:,} of {run.total:,} {run.unit}"]
    if run.rate:
        fast = run.rate >= 0.1
        words.append(f"{run.rate:.3g} {run.unit}/s" if fast else f"{1 / run.rate:.3g} s each")
    if run.eta_s is not None:
        words.append(f"about {duration(run.eta_s)} left")
    return ", ".join(words)


def took(run: Run) -> str:
    """From its first start to its end; empty while it has neither."""
    if run.started_at is None or run.finished_at is None:
        return ""
    return f"took {duration((run.finished_at - run.started_at).total_seconds())}"
