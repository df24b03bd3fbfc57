"""What is counted of rows: a plain dict of numbers that two batches of rows add up to, and the profile that comes of it.

A batch's counts are kept as JSON, so a run that was killed counts no batch twice; the profile is a function of the rows alone.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from training.mechanics import languages
from training.mechanics.profile import groups, tone
from training.mechanics.ratios import moments, ratio

Row = dict[str, Any]
Counts = dict[str, Any]

# A sign of Chinese, Japanese or Korean is counted as a word: their texts have no blanks to count by.
WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]+(?:['’][^\W_]+)*")
MESSY = re.compile(r"[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
COLUMNS = ("question", "text", "critique", "revision", "comparison")  # the last three: of a constitution's principles
SHOWN, SHOWN_CHARACTERS = 5, 700
TOLD_WORDS = 6


def texts_of(row: Row) -> list[tuple[str, str]]:
    """(who speaks or which column, text) in the order of a row of any kind."""
    found: list[tuple[str, str]] = []
    for name in ("prompt", "messages", "chosen", "rejected"):
        for message in row.get(name) or ():
            found.append((name if name in ("chosen", "rejected") else message["role"], message["content"]))
    found += [(name, row[name]) for name in COLUMNS if row.get(name)]
    return found or [("text", "")]


def count(rows: Iterable[Row], *, split: str) -> Counts:
    total: Counts = {}
    for row in rows:
        add(total, count_row(row, split=split))
    return total


def count_row(row: Row, *, split: str) -> Counts:
    parts = texts_of(row)
    whole = "\n".join(text for _, text in parts)
    words = {part: 0 for part, _ in parts}
    for part, text in parts:
        words[part] += len(WORD.findall(text))
    name = hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode(errors="replace")).hexdigest()
    of_split: Counts = {
        "rows": 1, "bytes": len(whole.encode(errors="replace")), "characters": len(whole), "words": sum(words.values()),
        "turns": {str(len(parts)): 1}, "languages": {languages.language_of(whole): 1},
        "lengths": {part: {str(number): 1} for part, number in {"row": sum(words.values()), **words}.items()},
    }  # fmt: skip
    normal = hashlib.sha256(" ".join(whole.lower().split()).encode(errors="replace")).hexdigest()[:16]
    shown = {"name": name[:16], "split": split, "parts": [[part, shortened(text)] for part, text in parts]}
    return {"splits": {split: of_split}, "texts": [normal], "samples": [shown], **told_of(parts)}


def shortened(text: str) -> str:
    """Fit to be shown: without signs that turn or hide what stands beside them."""
    clean = MESSY.sub("\ufffd", text)
    return clean if len(clean) <= SHOWN_CHARACTERS else clean[:SHOWN_CHARACTERS] + " …"


def told_of(parts: list[tuple[str, str]]) -> Counts:
    """Whom the sentences of a row name, in which tone, and the rough words among them."""
    all_sentences, all_rough = [0.0, 0], 0
    named: dict[str, dict[str, Any]] = {}
    rough: Counter[str] = Counter()
    for sentence in (sentence for _, text in parts for sentence in tone.sentences_of(text)):
        mood, rough_here = tone.sentiment(sentence), tone.rough_words(sentence)
        all_sentences[0] += mood
        all_sentences[1] += 1
        all_rough += bool(rough_here)
        rough.update(rough_here)
        for group, words in groups.groups_named(sentence).items():
            entry = named.setdefault(group, {"mood": 0.0, "rough": 0, "sentences": 0, "words": Counter()})
            entry["mood"] += mood
            entry["rough"] += bool(rough_here)
            entry["sentences"] += 1
            entry["words"].update(words)
    return {
        "sentiment": moments(*all_sentences) if all_sentences[1] else {},
        "rough": {
            "rows": int(bool(rough)), "words": dict(rough),
            "sentences": moments(all_rough, all_sentences[1]) if all_sentences[1] else {},
        },
        "groups": {
            group: {
                "sentiment": moments(entry["mood"], entry["sentences"]), "rough": moments(entry["rough"], entry["sentences"]),
                "words": dict(entry["words"]),
            }
            for group, entry in named.items()
        },
    }  # fmt: skip


def add(total: Counts, more: Counts) -> None:
    """Numbers are added, tables by their keys, lists go behind each other; of samples the first by name are kept."""
    for name, value in more.items():
        if isinstance(value, dict):
            add(total.setdefault(name, {}), value)
        elif isinstance(value, list):
            total.setdefault(name, []).extend(value)
            if name == "samples":  # by the hash of what they say: by lot, and the same ones wherever they are counted
                total[name] = sorted(total[name], key=named)[:SHOWN]
        else:
            total[name] = total.get(name, 0) + value


def named(sample: dict[str, Any]) -> str:
    return str(sample["name"])


def profile_of(counts: Counts) -> dict[str, Any]:
    """What is told of all rows, plain values throughout."""
    num_rows = sum(split["rows"] for split in counts["splits"].values())
    return {
        "version": 1,
        "num_rows": num_rows,
        "splits": {name: split_of(split) for name, split in sorted(counts["splits"].items(), reverse=True)},
        "num_repeated": num_rows - len(set(counts["texts"])),
        "samples": counts["samples"],
        "sentiment": plain_ratio(counts["sentiment"]),
        "rough": {
            "rows": counts["rough"]["rows"],
            "sentences": plain_ratio(counts["rough"]["sentences"]),
            "kinds": kinds_of(counts["rough"]["words"]),
        },
        "groups": [group_of(name, counts["groups"][name]) for name in groups.NAMES if name in counts["groups"]],
        "groups_not_named": [name for name in groups.NAMES if name not in counts["groups"]],
    }


def split_of(split: Counts) -> dict[str, Any]:
    lengths = {part: {int(words): rows for words, rows in table.items()} for part, table in split["lengths"].items()}
    return {
        **{name: split[name] for name in ("rows", "bytes", "characters", "words")},
        "turns": {turns: split["turns"][turns] for turns in sorted(split["turns"], key=int)},
        "languages": dict(sorted(split["languages"].items(), key=lambda entry: (-entry[1], entry[0]))),
        "lengths": {part: quantiles_of(table) for part, table in lengths.items()},
        "histogram": histogram_of(lengths["row"]),
    }


def quantiles_of(table: dict[int, int]) -> dict[str, int]:
    """Words at 5, 50 and 95 % of the rows that have this part, and of the longest."""
    total, seen, found = sum(table.values()), 0, {}
    wanted = [("low", 0.05), ("median", 0.5), ("high", 0.95), ("longest", 1.0)]
    for words in sorted(table):
        seen += table[words]
        while wanted and seen >= wanted[0][1] * total:
            found[wanted.pop(0)[0]] = words
    return {"rows": total, **found}


def histogram_of(table: dict[int, int]) -> list[dict[str, int]]:
    """Rows by words, in bins that grow by half an octave: [`from`, `to`)."""
    edges = [0, 1]
    while edges[-1] <= max(table):
        edges.append(max(edges[-1] + 1, round(edges[-1] * 2**0.5)))
    bins = [{"from": low, "to": high, "rows": 0} for low, high in itertools.pairwise(edges)]
    for words, rows in table.items():
        next(place for place in bins if place["from"] <= words < place["to"])["rows"] += rows
    filled = [at for at, place in enumerate(bins) if place["rows"]]
    return bins[filled[0] : filled[-1] + 1]


def kinds_of(words: dict[str, int]) -> dict[str, dict[str, Any]]:
    found: dict[str, Counter[str]] = {}
    for word, number in words.items():
        found.setdefault(tone.KINDS[word], Counter())[word] += number
    return {
        kind: {"words": sum(found[kind].values()), "most": commonest(found[kind])}
        for kind in tone.ROUGH
        if kind in found
    }


def commonest(words: dict[str, int]) -> list[list[Any]]:
    return [
        [word, number] for word, number in sorted(words.items(), key=lambda entry: (-entry[1], entry[0]))[:TOLD_WORDS]
    ]


def group_of(name: str, entry: Counts) -> dict[str, Any]:
    return {
        "name": name,
        "axis": groups.AXES[name],
        "rows": int(entry["sentiment"]["n"]),
        "sentences": int(entry["sentiment"]["b"]),
        "words": commonest(entry["words"]),
        "sentiment": plain_ratio(entry["sentiment"]),
        "rough": plain_ratio(entry["rough"]),
    }


def plain_ratio(sums: dict[str, float]) -> dict[str, Any] | None:
    found = ratio(sums)
    return found.as_plain() if found else None
