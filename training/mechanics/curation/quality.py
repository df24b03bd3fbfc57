"""What speaks against a text by itself: bounds of Gopher (Rae et al. 2021) and C4 (Raffel et al. 2020), each with a reason.

Words are what stands between spaces, as there; runs of words are those of `words.py`, which knows neither case nor
punctuation, and their share is of the characters of all words. Of a run that stands several times, the first is not counted.

Legend: D texts, W words of all texts, R runs of all texts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from training.mechanics.curation.words import Words, runs_of
from training.recipes.curate import Quality, Repetition

STOP_WORDS = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
BULLETS = ("•", "‣", "▪", "●", "◦", "- ", "* ", "– ")
ELLIPSES = ("...", "…")
LETTER = re.compile(r"[^\W\d_]")
Shares = npt.NDArray[np.float64]


def about_quality(text: str, bounds: Quality) -> str:
    """The first reason to drop the text, or ""."""
    words = text.split()
    count = len(words)
    if count < bounds.min_words:
        return "too few words"
    if count > bounds.max_words:
        return "too many words"
    if not count:
        return ""
    characters = sum(map(len, words))
    if characters / count < bounds.min_word_length:
        return "words too short"
    if characters / count > bounds.max_word_length:
        return "words too long"
    if (text.count("#") + text.count("...") + text.count("…")) / count > bounds.max_symbols:
        return "too many symbols"
    if sum(1 for word in words if LETTER.search(word)) / count < bounds.min_alphabetic:
        return "too few words with a letter"
    if bounds.min_letters and len(LETTER.findall(text)) / characters < bounds.min_letters:
        return "too few letters"
    if bounds.stop_words and len(STOP_WORDS & {word.lower() for word in words}) < bounds.stop_words:
        return "too few common words"
    if bounds.placeholders and "lorem ipsum" in text.lower():
        return "placeholder text"
    return about_lines(text, bounds)


def about_lines(text: str, bounds: Quality) -> str:
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if len(lines) < 2:
        return ""  # one line is no list
    if sum(line.startswith(BULLETS) for line in lines) / len(lines) > bounds.max_bullets:
        return "too many bullets"
    if sum(line.endswith(ELLIPSES) for line in lines) / len(lines) > bounds.max_ellipses:
        return "too many ellipses"
    return ""


def about_repetition(texts: Sequence[str], words: Words, bounds: Repetition) -> list[str]:
    """The first reason to drop each text, or ""."""
    asked = words.counts_D >= bounds.min_words
    reasons = [repeated_parts(text, bounds) if ask else "" for text, ask in zip(texts, asked.tolist(), strict=True)]
    for n, most in zip((2, 3, 4), bounds.max_most_frequent, strict=True):
        mark(reasons, asked & (most_frequent_D(words, n) > most), f"one run of {n} words too often")
    doubtful = asked
    for n, most in zip(range(5, 11), bounds.max_repeated, strict=True):
        shares = repeated_D(words, n) if doubtful.any() else np.zeros(len(texts))
        mark(reasons, doubtful & (shares > most), f"too many repeated runs of {n} words")
        # A word in a repeated run of n + 1 words is in one of n: who repeats less than any bound needs no further look.
        doubtful = doubtful & (shares > min(bounds.max_repeated))
    return reasons


def mark(reasons: list[str], dropped: npt.NDArray[np.bool_], reason: str) -> None:
    for place in np.flatnonzero(dropped).tolist():
        reasons[place] = reasons[place] or reason


def repeated_parts(text: str, bounds: Repetition) -> str:
    for name, parts, most, most_characters in (
        ("paragraphs", text.split("\n\n"), bounds.max_paragraphs, bounds.max_paragraph_characters),
        ("lines", text.split("\n"), bounds.max_lines, bounds.max_line_characters),
    ):
        parts = [part.strip() for part in parts if part.strip()]
        if len(parts) < 2:
            continue
        again = len(parts) - len(set(parts))
        if again / len(parts) > most:
            return f"too many repeated {name}"
        if again and 1 - sum(map(len, set(parts))) / sum(map(len, parts)) > most_characters:
            return f"too much text in repeated {name}"
    return ""


def most_frequent_D(words: Words, n: int) -> Shares:
    """The share of characters in the run of n words that stands most often, in each text where one stands twice."""
    hashes_R, places_R = runs_of(words, n)
    total_D, until_W = characters(words)
    keys, text_R = by_text(words, hashes_R, places_R)
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    again = counts > 1
    width = until_W[places_R[first[again]] + n] - until_W[places_R[first[again]]]
    found_D = np.zeros(len(total_D))
    np.maximum.at(found_D, text_R[first[again]], width * counts[again])
    return found_D / np.maximum(total_D, 1)


def repeated_D(words: Words, n: int) -> Shares:
    """The share of characters in runs of n words that stood before in the same text."""
    hashes_R, places_R = runs_of(words, n)
    total_D, _ = characters(words)
    keys, _ = by_text(words, hashes_R, places_R)
    _, first = np.unique(keys, return_index=True)
    again = np.ones(len(keys), dtype=bool)
    again[first] = False
    covered_W = np.zeros(len(words.hashes_W) + 1, dtype=np.int64)
    np.add.at(covered_W, places_R[again], 1)
    np.add.at(covered_W, places_R[again] + n, -1)
    is_covered_W = np.cumsum(covered_W)[:-1] > 0
    found_D = np.bincount(words.text_of_W, weights=words.widths_W * is_covered_W, minlength=len(total_D))
    return np.asarray(found_D / np.maximum(total_D, 1))


def characters(words: Words) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Of the words of each text, and of all words before each word."""
    until_W = np.concatenate([np.zeros(1, np.int64), np.cumsum(words.widths_W)])
    return np.diff(until_W[words.begins_D]).astype(np.float64), until_W


def by_text(words: Words, hashes_R: npt.NDArray[np.uint64], places_R: npt.NDArray[np.int64]) -> tuple[
    npt.NDArray[np.uint64], npt.NDArray[np.int64]
]:  # fmt: skip
    """A key that a run shares with its repetitions in the same text alone."""
    text_R = np.searchsorted(words.begins_D, places_R, side="right") - 1
    return hashes_R ^ (text_R.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)), text_R
