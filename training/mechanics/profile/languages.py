"""The language that a text is most likely in: by its script, and among those in Latin letters by their commonest words."""

from __future__ import annotations

import re
from collections import Counter

SCRIPTS = {
    "ja": r"[\u3040-\u30ff]", "ko": r"[\uac00-\ud7af\u1100-\u11ff]", "zh": r"[\u4e00-\u9fff]", "ar": r"[\u0600-\u06ff]",
    "he": r"[\u0590-\u05ff]", "ru": r"[\u0400-\u04ff]", "el": r"[\u0370-\u03ff]", "hi": r"[\u0900-\u097f]",
    "th": r"[\u0e00-\u0e7f]", "la": r"[A-Za-z\u00c0-\u024f]",
}  # fmt: skip
COMMON = {
    "en": "the of and to in is that it for was with as on are this be by have you not what which from",
    "de": "der die das und ist nicht ein eine zu den mit sich auf für von dem des im auch wie wird sind",
    "fr": "le la les des et est que dans un une pour qui pas sur avec ce sont plus au du il vous",
    "es": "el la los las de que y en un una es por con para no se lo como del su más pero",
    "it": "il di che e la un una per non con del è sono gli da le si come della più anche nel",
    "pt": "o que de e do da em um uma para com não os as se na por mais dos como é ao",
    "nl": "de het een en van is dat niet in op te zijn met voor er aan die ook als maar wat",
    "sv": "och att det som en på är av för med den till inte har om ett var jag de kan",
    "pl": "i w na nie się z to że jest do o jak ale po co tak za od jego czy",
    "tr": "ve bir bu da de için ile çok ne gibi daha var olarak ama en kadar o mi",
    "id": "yang dan di itu dengan untuk tidak ini dari dalam akan pada saya juga adalah ke karena ada",
}
WORD = re.compile(r"[^\W\d_]+")
ENOUGH = 0.08  # of the words are among a language's commonest: in real texts some 30 %
FEWEST_WORDS = 4
MOST = 4000  # characters looked at: more changes nothing
BY_SCRIPT = {language: re.compile(pattern) for language, pattern in SCRIPTS.items()}
# A single letter is as often a name in a formula or a list.
BY_WORD = {language: frozenset(word for word in words.split() if len(word) > 1) for language, words in COMMON.items()}


def language_of(text: str) -> str:
    """A code of ISO 639-1, "short" for too few words to tell, "other" for what is none of those known here."""
    text = text[:MOST]
    letters = {language: len(pattern.findall(text)) for language, pattern in BY_SCRIPT.items()}
    if letters["ja"] and letters["ja"] * 20 > letters["zh"]:
        letters["ja"] += letters.pop("zh")  # Japanese is written in Chinese signs too
    script = max(letters, key=lambda language: letters[language])
    if not letters[script]:
        return "short"
    if script != "la":
        return script
    words = [word.lower() for word in WORD.findall(text)]
    if len(words) < FEWEST_WORDS:
        return "short"
    hits = Counter({language: sum(word in common for word in words) for language, common in BY_WORD.items()})
    language, count = hits.most_common(1)[0]
    return language if count >= max(2, ENOUGH * len(words)) else "other"
