"""What differs between two versions: principles added, removed, moved, and changed with their words marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.numbers import digits
from annotation.differences import Change, changes
from rlhf.services.constitutions.wording import Wording

LABELS: dict[str, str | Promise] = {
    "critique": _("Critique request"),
    "revision": _("Revision request"),
    "comparison": _("Comparison question"),
    "weight": _("Weight"),
    "tags": _("Tags"),
    "examples": _("Examples"),
}


@dataclass(frozen=True, slots=True)
class FieldChange:
    label: str | Promise
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class PrincipleChange:
    """`kind` is "added", "removed", "changed" or "moved"; `fields` has what changed in it, or all of what is new."""

    id: str
    kind: str
    fields: tuple[FieldChange, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """In the order of the later version; what was removed stands at the end."""

    principles: tuple[PrincipleChange, ...]
    num_same: int

    def count(self, kind: str) -> int:
        return sum(change.kind == kind for change in self.principles)


def compare(before: Sequence[Wording], after: Sequence[Wording]) -> Comparison:
    """Principles are the same one by their ids."""
    old, new = ({wording.id: wording for wording in version} for version in (before, after))
    moved = moved_between([name for name in old if name in new], [name for name in new if name in old])
    found: list[PrincipleChange] = []
    num_same = 0
    for name, wording in new.items():
        if name not in old:
            found.append(PrincipleChange(name, "added", fields_between(None, wording)))
        elif told := fields_between(old[name], wording):
            found.append(PrincipleChange(name, "changed", told))
        elif name in moved:
            found.append(PrincipleChange(name, "moved", ()))
        else:
            num_same += 1
    found += [
        PrincipleChange(name, "removed", fields_between(wording, None))
        for name, wording in old.items()
        if name not in new
    ]
    return Comparison(tuple(found), num_same)


def moved_between(old: list[str], new: list[str]) -> set[str]:
    """The fewest that must have moved: all but a longest run of names that stand in one order in both."""
    lengths = [[0] * (len(new) + 1) for _ in range(len(old) + 1)]
    for i, one in enumerate(old):
        for j, other in enumerate(new):
            lengths[i + 1][j + 1] = lengths[i][j] + 1 if one == other else max(lengths[i][j + 1], lengths[i + 1][j])
    i, j, stayed = len(old), len(new), set()
    while i and j:
        if old[i - 1] == new[j - 1]:
            stayed.add(old[i - 1])
            i, j = i - 1, j - 1
        elif lengths[i - 1][j] >= lengths[i][j - 1]:
            i -= 1
        else:
            j -= 1
    return set(old) - stayed


def fields_between(before: Wording | None, after: Wording | None) -> tuple[FieldChange, ...]:
    told = []
    for name, label in LABELS.items():
        old, new = (text_of(one, name) if one is not None else "" for one in (before, after))
        if old != new:
            told.append(FieldChange(label, changes(old, new)))
    return tuple(told)


def text_of(wording: Wording, name: str) -> str:
    match name:
        case "weight":
            return digits(wording.weight)
        case "tags":
            return ", ".join(wording.tags)
        case "examples":
            return "\n\n".join(
                "\n".join((example.prompt, example.response, example.critique, example.revision))
                for example in wording.examples
            )
        case _:
            return str(getattr(wording, name))
