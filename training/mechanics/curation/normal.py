"""One form of each text: encodings that were read wrongly are mended, characters composed, line ends made one.

ftfy (Speer 2019) mends; quotation marks and the wide letters of East Asian scripts stay as they were written. Applied
until nothing changes, so that normalising what is normal changes nothing.
"""

from __future__ import annotations

import re
import unicodedata

import ftfy

# Texts of these characters alone are normal, and most are: ftfy would take a thousand times as long to find that out.
UNUSUAL = re.compile("[^\t\n\\x20-\\x7e\u2013\u2014\u2018\u2019\u201c\u201d\u2026]|&")
MENDING = ftfy.TextFixerConfig(
    uncurl_quotes=False, fix_character_width=False, fix_latin_ligatures=False, normalization="NFC", explain=False
)
ROUNDS = 8  # two are enough for whatever was met


def normal(text: str) -> str:
    if not UNUSUAL.search(text):
        return text
    for _ in range(ROUNDS):
        # ftfy normalises line by line, and a combining mark may begin the next: once more over the whole.
        mended = unicodedata.normalize("NFC", ftfy.fix_text(text, MENDING)).replace("\0", "")
        if mended == text:
            break
        text = mended
    return text
