"""The keys of the ranking page: what each action does, its key, and which keys a rater may choose for it instead."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.utils.translation import gettext, gettext_noop

from accounts.errors import UserError
from accounts.models import User

LETTERS = "abcdefghi"  # of texts: a campaign has nine at most
NAMED = {"Backspace": "Backspace", "Delete": "Delete", "Insert": "Insert", "ArrowLeft": "←", "ArrowRight": "→"}


class BadKey(UserError):
    code = "bad_key"


@dataclass(frozen=True, slots=True)
class Action:
    """Something that one key does. `default` may be a letter of a text: then it is pressed with Shift where that text is."""

    name: str
    default: str
    words: str  # in English

    @property
    def meaning(self) -> str:
        return gettext(self.words)


@dataclass(frozen=True, slots=True)
class Fixed:
    """What is always on the same keys."""

    shown: str
    words: str  # in English

    @property
    def meaning(self) -> str:
        return gettext(self.words)


@dataclass(frozen=True, slots=True)
class Key:
    """The key of an action for one person: as a browser names it, and as it is shown."""

    action: Action
    key: str
    shown: str
    is_default: bool


FIXED = (
    Fixed("a … i", gettext_noop("take that text in hand (and scroll to it)")),
    Fixed("1 … 9", gettext_noop("put it in that place")),
    Fixed("0", gettext_noop("leave it out of the order")),
    Fixed("↑ ↓", gettext_noop("move it one step better or worse")),
    Fixed("Esc", gettext_noop("let it go; leave a field")),
    Fixed("Ctrl ↵", gettext_noop("submit")),
)
ACTIONS = (
    Action("tie", "=", gettext_noop("tie it with the next letter")),
    Action("worse", ">", gettext_noop("the next letter is worse; again for stronger")),
    Action("step_better", "ArrowLeft", gettext_noop("move it one step better")),
    Action("step_worse", "ArrowRight", gettext_noop("move it one step worse")),
    Action("stronger", "+", gettext_noop("make the difference larger")),
    Action("weaker", "-", gettext_noop("make the difference smaller")),
    Action("take_back", "Backspace", gettext_noop("take it back off the rail")),
    Action("compare", "v", gettext_noop("show two texts side by side: the one in hand, then the letter of the other")),
    Action("unfold", "o", gettext_noop("unfold the long text in hand, or all of them; again to fold")),
    Action("all_bad", "x", gettext_noop("all are bad")),
    Action("cannot_rank", "n", gettext_noop("say that it cannot be ranked")),
    Action(
        "better", "e", gettext_noop("write a better version of the text in hand (with Shift where there is a text E)")
    ),
    Action("reason", "/", gettext_noop("write a reason")),
    Action("flag", "f", gettext_noop("flag the text in hand (with Shift where there is a text F)")),
    Action("skip", "s", gettext_noop("skip this task")),
    Action("undo", "u", gettext_noop("take back the ranking that you submitted last, to correct it")),
    Action("help", "?", gettext_noop("show these keys")),
)
BY_NAME = {action.name: action for action in ACTIONS}


def keys_of(user: User) -> tuple[Key, ...]:
    """In the order of `ACTIONS`. A choice that no longer fits (actions change between versions) falls back to the default."""
    chosen = chosen_by(user)
    return tuple(
        Key(action, key, NAMED.get(key, key), is_default=key == action.default)
        for action in ACTIONS
        for key in [chosen.get(action.name, action.default)]
    )


def chosen_by(user: User) -> dict[str, str]:
    """What she chose, where all of it still goes together; else nothing."""
    kept = user.keys if isinstance(user.keys, dict) else {}
    chosen = {name: key for name, key in kept.items() if name in BY_NAME and isinstance(key, str)}
    used = [chosen.get(action.name, action.default) for action in ACTIONS]
    return chosen if len(set(used)) == len(used) else {}


def choose_key(user: User, *, action: str, key: str) -> tuple[Key, ...]:
    """Gives an action another key. Raises `BadKey`: an unknown action, a key that is taken or that can't be one."""
    if action not in BY_NAME:
        raise BadKey(gettext("There is no such action on the ranking page."))
    with transaction.atomic():
        person = User.objects.select_for_update().get(pk=user.pk)
        chosen = chosen_by(person)
        wanted = checked(key, action=BY_NAME[action])
        for other in ACTIONS:
            if other.name != action and chosen.get(other.name, other.default) == wanted:
                raise BadKey(
                    gettext("%(key)s is taken: %(meaning)s.")
                    % {"key": NAMED.get(wanted, wanted), "meaning": other.meaning}
                )
        changed = {**chosen, action: wanted}
        person.keys = {name: key for name, key in changed.items() if key != BY_NAME[name].default}
        person.save(update_fields=["keys"])
    return keys_of(person)


def checked(key: str, *, action: Action) -> str:
    """One key, in lower case: its own default, a sign or letter that names no text and no place, or one of `NAMED`."""
    wanted = key if key in NAMED else key.lower()
    if wanted == action.default or wanted in NAMED:
        return wanted
    if len(wanted) != 1 or not wanted.isprintable() or wanted.isspace():
        raise BadKey(
            gettext("That key can't be chosen. Take a letter from J to Z, a sign, Backspace, Delete, Insert, ← or →.")
        )
    if wanted in LETTERS or wanted.isdigit():
        raise BadKey(
            gettext("%(key)s names a text or a place. Take a letter from J to Z, or a sign.") % {"key": key.upper()}
        )
    return wanted


def reset_keys(user: User) -> tuple[Key, ...]:
    """All keys as they were."""
    User.objects.filter(pk=user.pk).update(keys={})
    user.keys = {}
    return keys_of(user)
