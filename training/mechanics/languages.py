"""In which language a text is, by py3langid (Lui and Baldwin 2012): a model of 97 languages that lies in its package."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

LOOKED_AT = 400  # characters: more takes longer and changes little
LIKELY = 0.5  # prose reaches 0.9 with a few words, code and names stay far below
FEWEST_WORDS = 4  # in Latin letters; another script tells by fewer
LETTER = re.compile(r"[^\W\d_]")
OTHER_SCRIPT = re.compile(r"[^\W\d_A-Za-z\u00c0-\u024f]")


def language_of(text: str) -> str:
    """A code of ISO 639-1, "short" for what is too little to tell, "other" for what is likely none of the known."""
    beginning = text[:LOOKED_AT]
    few = len(beginning.split()) < FEWEST_WORDS and not OTHER_SCRIPT.search(beginning)
    if few or not LETTER.search(beginning):
        return "short"
    language, probability = identifier().classify(beginning)
    return str(language) if probability > LIKELY else "other"


def likeliest(text: str) -> str:
    return str(identifier().classify(text)[0])


def known() -> set[str]:
    return {str(name) for name in identifier().nb_classes}


@cache
def identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415  (seconds, and most runs need none)

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
