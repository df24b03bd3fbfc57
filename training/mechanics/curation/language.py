"""In which language a text is, by py3langid (Lui and Baldwin 2012): a model of 97 languages that lies in its package."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Any

from training.contract import Failure
from training.recipes.curate import Language


def about_language(text: str, bounds: Language) -> str:
    """The reason to drop the text, or ""."""
    beginning = text[: bounds.characters]
    if len(beginning.split()) < bounds.min_words:
        return ""
    language, _ = identifier().classify(beginning)
    return "" if language in bounds.keep else f"in {language}"


def refuse_unknown(languages: Collection[str]) -> None:
    """Raises `Failure("no_language")`."""
    known = {str(name) for name in identifier().nb_classes}
    if unknown := sorted(set(languages) - known):
        raise Failure(
            "no_language",
            f"No language has the code {unknown[0]!r}.",
            advice="Name ISO 639-1 codes, such as en or de.",
        )


@cache
def identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415  (seconds, and most runs need none)

    return LanguageIdentifier.from_model_file(MODEL_FILE)
