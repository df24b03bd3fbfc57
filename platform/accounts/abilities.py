"""What a person can judge: languages as BCP 47 primary tags, skills as short words; both written alike wherever they meet."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

MOST = 30  # languages of a person, and skills
LANGUAGE = re.compile(r"[a-z]{2,3}")
SKILL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,28}[a-z0-9])?")


class BadAbility(ValueError):
    """What is wrong with a language or a skill, as a sentence."""


def language_of(text: str) -> str:
    """The primary tag: "de" of "de-AT". Raises `BadAbility`."""
    tag = re.split(r"[-_]", text.strip().lower(), maxsplit=1)[0]
    if not LANGUAGE.fullmatch(tag):
        raise BadAbility(
            f"A language is a tag of two or three letters, such as en, de or gsw; {text.strip()[:40]} is none."
        )
    return tag


def skill_of(text: str) -> str:
    """Raises `BadAbility`."""
    word = text.strip().lower()
    if not SKILL.fullmatch(word):
        raise BadAbility(f"A skill is a word of up to 30 letters a-z, digits and hyphens; {text.strip()[:40]} is none.")
    return word


def languages_of(texts: Iterable[str]) -> list[str]:
    """Sorted, each once; blank ones are passed over. Raises `BadAbility`."""
    return _each_once(texts, language_of, what="languages")


def skills_of(texts: Iterable[str]) -> list[str]:
    return _each_once(texts, skill_of, what="skills")


def _each_once(texts: Iterable[str], read: Callable[[str], str], *, what: str) -> list[str]:
    found = sorted({read(text) for text in texts if text.strip()})
    if len(found) > MOST:
        raise BadAbility(f"A person has at most {MOST} {what}, not {len(found)}.")
    return found


def split(typed: str) -> list[str]:
    """What is typed in one line, between commas or blanks."""
    return re.split(r"[,;\s]+", typed)
