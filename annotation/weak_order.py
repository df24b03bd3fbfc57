"""Weak orders: tiers of names, best first, a strength for each gap, and names left out. Pure functions over strings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext, ngettext

MOST = 4  # strengths: 1 a little better, 2 better, 3 much better, 4 far better
FEWEST = 2  # ranked texts: of one alone nothing follows
TOKEN = re.compile(r"[^\W\d_]|>+|=+|\S")
LEFT_OUT = re.compile(r"[,;]?\s*\bnot\b")

Tiers = tuple[tuple[str, ...], ...]


class BadOrder(ValueError):
    """An order that can't be read or doesn't rank what it should; its text is a sentence for a person."""


@dataclass(frozen=True, slots=True)
class WeakOrder:
    """`strengths[i]`, 1 to 4, says how much better tier i is than tier i + 1; `unranked` were left out on purpose."""

    tiers: Tiers
    strengths: tuple[int, ...]
    unranked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pair:
    """One comparison of a ranking. `margin` adds up the strengths between the two tiers."""

    better: str
    worse: str
    margin: int
    weight: float


def parse_order(line: str) -> WeakOrder:
    """Reads `b > a=d >> c, not e f`: tiers (("b",), ("a", "d"), ("c",)), strengths (1, 2), unranked ("e", "f").

    Raises `BadOrder`.
    """
    ranked, *rest = LEFT_OUT.split(line.lower())
    tiers: list[list[str]] = []
    strengths: list[int] = []
    operator = ""
    for token in TOKEN.findall(ranked):
        if token[0] in ">=":
            if complaint := _about_operator(token, before=operator, is_first=not tiers):
                raise BadOrder(complaint)
            operator = token
        elif not ("a" <= token <= "z"):
            raise BadOrder(gettext("“%(sign)s” means nothing here: use letters, > and =.") % {"sign": token})
        elif tiers and not operator:
            raise BadOrder(gettext("Put > or = before %(letter)s.") % {"letter": token.upper()})
        else:
            if operator == "=":
                tiers[-1].append(token)
            else:
                strengths += [len(operator)] if tiers else []
                tiers.append([token])
            operator = ""
    if operator:
        raise BadOrder(gettext("Put a letter after %(sign)s.") % {"sign": operator})
    return canonical(tiers, strengths, _left_out(rest))


def _left_out(parts: list[str]) -> list[str]:
    """What follows `not`, of which there is one at most."""
    if len(parts) > 1:
        raise BadOrder(gettext("Write “not” once, at the end: not c d."))
    letters = [token for part in parts for token in re.findall(r"[^\s,]", part)]
    if parts and not letters:
        raise BadOrder(gettext("Put a letter after “not”."))
    if odd := next((letter for letter in letters if not "a" <= letter <= "z"), ""):
        raise BadOrder(gettext("“%(sign)s” means nothing after “not”: name letters alone.") % {"sign": odd})
    return letters


def _about_operator(token: str, *, before: str, is_first: bool) -> str:
    if is_first:
        return gettext("Start with a letter, not with %(sign)s.") % {"sign": token}
    if before:
        return gettext("Put a letter between %(before)s and %(after)s.") % {"before": before, "after": token}
    if token.startswith("=") and len(token) > 1:
        return gettext("One = ties two letters.")
    return gettext("%(most)s > are the most.") % {"most": MOST} if len(token) > MOST else ""


def format_order(order: WeakOrder) -> str:
    """The line that `parse_order` reads back, for names of one letter."""
    parts = ["=".join(tier) for tier in order.tiers]
    ranked = "".join(f" {'>' * order.strengths[i - 1]} {part}" if i else part for i, part in enumerate(parts))
    return f"{ranked}, not {' '.join(order.unranked)}" if order.unranked else ranked


def canonical(tiers: Iterable[Iterable[str]], strengths: Sequence[int] = (), unranked: Iterable[str] = ()) -> WeakOrder:
    """The one way to write an order: names of a tier sorted, a strength (1 where none is given) for every gap.

    Raises `BadOrder` for empty tiers, for a name that stands twice, for strengths that don't fit.
    """
    written, left_out = tuple(tuple(sorted(tier)) for tier in tiers), tuple(sorted(unranked))
    names = [name for tier in (*written, left_out) for name in tier]
    if not written or not all(written):
        raise BadOrder(gettext("An order has at least one tier, and no tier is empty."))
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadOrder(gettext("%(letters)s stands twice.") % {"letters": shown(twice)})
    gaps = len(written) - 1
    if strengths and len(strengths) != gaps:
        raise BadOrder(
            gettext("%(tiers)s tiers have %(gaps)s gaps between them, but %(given)s strengths were given.")
            % {"tiers": len(written), "gaps": gaps, "given": len(strengths)}
        )
    if any(not 1 <= strength <= MOST for strength in strengths):
        raise BadOrder(gettext("A strength is 1 to %(most)s.") % {"most": MOST})
    return WeakOrder(written, tuple(strengths) or (1,) * gaps, left_out)


def check_complete(order: WeakOrder, *, names: Iterable[str]) -> None:
    """Raises `BadOrder` unless the order ranks `FEWEST` names or more, leaves out the others of `names`, and has no else."""
    wanted, ranked = set(names), {name for tier in order.tiers for name in tier}
    told = ranked | set(order.unranked)
    if unknown := sorted(told - wanted):
        raise BadOrder(gettext("There is no text %(letters)s.") % {"letters": shown(unknown)})
    if missing := sorted(wanted - told):
        told_of = ngettext(
            "Not ranked yet: %(letters)s. Rank it, or leave it out on purpose.",
            "Not ranked yet: %(letters)s. Rank them, or leave them out on purpose.",
            len(missing),
        )
        raise BadOrder(told_of % {"letters": shown(missing)})
    if len(ranked) < FEWEST:
        raise BadOrder(gettext("Rank two texts at least, or say why this cannot be ranked."))


def shown(names: Iterable[str]) -> str:
    return ", ".join(name.upper() if len(name) == 1 else name for name in names)


def comparisons(tiers: Iterable[Iterable[str]], strengths: Sequence[int] = ()) -> list[Pair]:
    """Every pair of names from different tiers, better one first; ties give none. The weights of a ranking sum to 1.

    Of no tiers, which is the answer that something cannot be ranked, there is none.
    """
    tiers = [list(tier) for tier in tiers]
    if not tiers:
        return []
    order = canonical(tiers, strengths)
    found = [
        (better, worse, sum(order.strengths[i:j]))
        for i, j in _places(len(order.tiers))
        for better in order.tiers[i]
        for worse in order.tiers[j]
    ]
    return [Pair(better, worse, margin, 1 / len(found)) for better, worse, margin in found]


def _places(count: int) -> Iterator[tuple[int, int]]:
    return ((i, j) for i in range(count) for j in range(i + 1, count))


def renamed(order: WeakOrder, names: dict[str, str]) -> WeakOrder:
    """The same order under other names. Every name must be known."""
    tiers = [[names[name] for name in tier] for tier in order.tiers]
    return canonical(tiers, order.strengths, [names[name] for name in order.unranked])
