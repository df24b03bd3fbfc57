"""Rows of a dataset's folder, and conversations as the tokens that a model reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from training.contract import Failure, Input

Message = dict[str, str]


def read_rows(given: Input, *, split: str, limit: int | None = None, folder: str = "data") -> list[dict[str, Any]]:
    """The first `limit` rows of a split, all without one; none where the dataset has no such split.

    Raises `Failure("bad_dataset")` for a file that is no Parquet.
    """
    rows: list[dict[str, Any]] = []
    for path in sorted(Path(given.path, folder).glob(f"{split}-*.parquet")):
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches():
                    rows += batch.to_pylist()
                    if limit is not None and len(rows) >= limit:
                        return rows[:limit]
        except pa.ArrowInvalid as error:
            raise Failure(
                "bad_dataset", f"{path.name} of {given.name or 'the dataset'} is no Parquet: {error}"
            ) from error
    return rows


def messages_of(row: dict[str, Any]) -> list[Message]:
    return [{"role": message["role"], "content": message["content"]} for message in row["messages"]]


def render_prompt(tokenizer: Any, messages: list[Message]) -> list[int]:
    """Tokens up to where the assistant is to speak. Without a chat template: the plain words, to be gone on with."""
    if not tokenizer.chat_template:
        return render_plain(tokenizer, messages)
    return ids_of(tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True))


def render_conversation(tokenizer: Any, messages: list[Message]) -> list[int]:
    """Tokens of a whole conversation, its last end of turn included: what a reward model is trained on and scores."""
    if not tokenizer.chat_template:
        return [*render_plain(tokenizer, messages), tokenizer.eos_token_id]
    return ids_of(tokenizer.apply_chat_template(messages, return_dict=True))


def render_plain(tokenizer: Any, messages: list[Message]) -> list[int]:
    begin = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    return begin + list(tokenizer(render_words(tokenizer, messages), add_special_tokens=False)["input_ids"])


def render_words(tokenizer: Any, messages: list[Message], *, ends_open: bool = False) -> str:
    """What a model reads, as text; `ends_open` where the assistant is to speak."""
    if not tokenizer.chat_template:
        return "\n".join(message["content"] for message in messages) + ("\n" if ends_open else "")
    words: str = tokenizer.apply_chat_template(messages, add_generation_prompt=ends_open, tokenize=False)
    return words


def render_with_ends(tokenizer: Any, messages: list[Message]) -> tuple[list[int], list[int] | None]:
    """`render_conversation`, and the place in `render_words` where each token ends; none where that can't be told."""
    ids = render_conversation(tokenizer, messages)
    if not tokenizer.is_fast:
        return ids, None
    read = tokenizer(render_words(tokenizer, messages), add_special_tokens=False, return_offsets_mapping=True)
    found, ends = list(read["input_ids"]), [end for _, end in read["offset_mapping"]]
    if not tokenizer.chat_template:
        before = len(ids) - len(found) - 1
        found, ends = [*ids[:before], *found, ids[-1]], [*[0] * before, *ends, ends[-1] if ends else 0]
    return ids, ends if found == ids else None


def ids_of(encoded: Any) -> list[int]:
    return list(encoded["input_ids"])
