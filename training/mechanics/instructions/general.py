"""What fine-tuning makes a model forget: its loss on texts of a general corpus, before and after."""

from __future__ import annotations

from typing import Any

from training.contract import Failure, Input
from training.mechanics import datasets
from training.mechanics.corpus.packing import encode_documents
from training.mechanics.instructions.talks import Example
from training.mechanics.naming import named

TEXTS = 64  # and a text is cut at the recipe's max_length: an evaluation costs what a few steps cost


def read_general(given: Input, *, tokenizer: Any, max_length: int) -> list[Example]:
    """The first texts of the held-out split, or of the only one there is; every token is predicted. Raises `Failure`."""
    rows = datasets.read_rows(given, split="test", limit=TEXTS) or datasets.read_rows(given, split="train", limit=TEXTS)
    streams = [encode_documents(tokenizer, [row["text"]], most=max_length) for row in rows]
    encoded = [stream.read(0, max_length).tolist() for stream in streams]
    examples = [Example(ids, list(ids), 0) for ids in encoded if len(ids) > 1]
    if not examples:
        raise Failure(
            "no_rows",
            f"{named(given)} has no text of two tokens or more, by which forgetting could be told.",
            advice="Choose another general corpus, or none.",
        )
    return examples
