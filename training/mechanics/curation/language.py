"""Texts that are in none of the languages to keep."""

from __future__ import annotations

from collections.abc import Collection

from training.contract import Failure
from training.mechanics.languages import known, likeliest
from training.recipes.curate import Language


def about_language(text: str, bounds: Language) -> str:
    """The reason to drop the text, or ""."""
    beginning = text[: bounds.characters]
    if len(beginning.split()) < bounds.min_words:
        return ""
    language = likeliest(beginning)
    return "" if language in bounds.keep else f"in {language}"


def refuse_unknown(languages: Collection[str]) -> None:
    """Raises `Failure("no_language")`."""
    if unknown := sorted(set(languages) - known()):
        raise Failure(
            "no_language",
            f"No language has the code {unknown[0]!r}.",
            advice="Name ISO 639-1 codes, such as en or de.",
        )
