"""Texts that begin alike, read as one sequence: their common beginning once, then the rest of each.

K completions of one prompt are K sequences that repeat the prompt. Here they are one row, prompt | rest 1 | ... | rest K,
under a mask by which a token sees the beginning and what stands before it in its own text, at the position that it has
there: what a text comes to is what it comes to alone, and the prompt is computed once, forwards and backwards. With a
prompt and K = 4 completions of 128 tokens, 640 positions stand for 1,024; over all six pairs, as TRL reads them, for 3,072.

Shapes: U texts; R rows of T positions; N tokens whose probability is asked for. A place is an index into R x T, flat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """Token ids, of which the first `num_prompt` are not the completion's. Only texts of one `group` share a row."""

    ids: Ids
    num_prompt: int = 0
    group: str = ""


@dataclass(slots=True)
class Row:
    """Texts by number, the `prefix` tokens that they begin with, and T, its length."""

    texts: list[int]
    prefix: int
    length: int


def can_share(config: Any) -> bool:
    """Whether a model of this config takes a mask of our own: full attention in every layer, by torch's SDPA."""
    text = config.get_text_config()
    kinds = set(getattr(text, "layer_types", None) or ["full_attention"])
    return config._attn_implementation == "sdpa" and kinds == {"full_attention"} and not windowed(text)


def windowed(config: Any) -> bool:
    return bool(getattr(config, "sliding_window", None)) and getattr(config, "use_sliding_window", True)


@dataclass(frozen=True, slots=True)
class Reader:
    """How texts are read by a model of hidden size `width`; one that cannot `share` reads each in a row of its own."""

    pad_token_id: int
    width: int
    shares: bool

    @classmethod
    def of(cls, model: Any, *, pad_token_id: int) -> Reader:
        return cls(pad_token_id, model.config.get_text_config().hidden_size, can_share(model.config))


def read_together(texts: Sequence[Text], *, reader: Reader) -> dict[str, Tensor]:
    """What a model reads, and where each text stands in it.

    `input_ids`, `position_ids` (R, T) and `attention_mask` (R, 1, T, T), true where a token may look; where nothing is
    shared, (R, T). `last_places` (U,), each text's last token. `asked_ids`, `asked_places`, `asked_of` (N,): every token of
    a completion, the place from which it is predicted, and its text. `text_lengths` (U,), prompts included.
    """
    rows = plan(texts, width=reader.width) if reader.shares else apart(texts)
    shape = (len(rows), max(row.length for row in rows))
    input_ids_RT = torch.full(shape, reader.pad_token_id)
    position_ids_RT = torch.zeros(shape, dtype=torch.long)
    owners_RT = torch.full(shape, PADDING)
    places: list[list[int]] = [[] for _ in texts]  # of each token of each text
    for number, row in enumerate(rows):
        at = number * shape[1]
        ids = [*texts[row.texts[0]].ids[: row.prefix]]
        positions, owners = list(range(row.prefix)), [SHARED] * row.prefix
        for text in row.texts:
            rest = texts[text].ids[row.prefix :]
            places[text] = [*range(at, at + row.prefix), *range(at + len(ids), at + len(ids) + len(rest))]
            ids += rest
            positions += range(row.prefix, row.prefix + len(rest))
            owners += [text] * len(rest)
        input_ids_RT[number, : row.length] = torch.tensor(ids)
        position_ids_RT[number, : row.length] = torch.tensor(positions)
        owners_RT[number, : row.length] = torch.tensor(owners)
    asked = [(text, i) for text, one in enumerate(texts) for i in range(max(one.num_prompt, 1), len(one.ids))]
    return {
        "input_ids": input_ids_RT,
        "position_ids": position_ids_RT,
        "attention_mask": may_look(owners_RT) if reader.shares else (owners_RT != PADDING).long(),
        "last_places": torch.tensor([own[-1] for own in places]),
        "asked_ids": torch.tensor([texts[text].ids[i] for text, i in asked], dtype=torch.long),
        "asked_places": torch.tensor([places[text][i - 1] for text, i in asked], dtype=torch.long),
        "asked_of": torch.tensor([text for text, _ in asked], dtype=torch.long),
        "text_lengths": torch.tensor([len(text.ids) for text in texts]),
    }


SHARED, PADDING = -1, -2  # whose a position is, where it is no text's own


def may_look(owners_RT: Tensor) -> Tensor:
    """(R, 1, T, T): from a position to those before it that are shared or its own text's. Padding looks at itself."""
    length = owners_RT.shape[1]
    from_RT1, to_R1T = owners_RT[:, :, None], owners_RT[:, None, :]
    before_TT = torch.ones(length, length, dtype=torch.bool).tril()
    allowed_RTT = ((from_RT1 == to_R1T) | (to_R1T == SHARED)) & (from_RT1 != PADDING) & before_TT
    allowed_RTT |= torch.eye(length, dtype=torch.bool)  # a row of nothing but False comes out of a softmax as NaN
    return allowed_RTT[:, None]


def plan(texts: Sequence[Text], *, width: int) -> list[Row]:
    """Which texts share a row. One joins the row of its group if reading its beginning again would cost more.

    The price of a row is its tokens and its T^2 pairs of positions, which attention computes, allowed or not. A token
    costs 24 width^2 multiplications a layer in projections and MLP, a pair 4 width: a token is worth 6 width pairs.
    """
    groups: dict[str, list[int]] = {}
    for number, text in enumerate(texts):
        groups.setdefault(text.group, []).append(number)
    rows = []
    for numbers in groups.values():
        prefix = common_length([texts[number].ids for number in numbers])
        row: Row | None = None
        for number in numbers:
            rest = len(texts[number].ids) - prefix
            if row is not None and price_of_joining(row, rest=rest, width=width) <= 0:
                row.texts.append(number)
                row.length += rest
            else:
                row = Row([number], prefix, prefix + rest)
                rows.append(row)
    return rows


def apart(texts: Sequence[Text]) -> list[Row]:
    return [Row([number], 0, len(text.ids)) for number, text in enumerate(texts)]


def price_of_joining(row: Row, *, rest: int, width: int) -> int:
    """In pairs of positions, beside a row of its own."""
    more_pairs = (row.length + rest) ** 2 - row.length**2 - (row.prefix + rest) ** 2
    return more_pairs - 6 * width * row.prefix


def common_length(several: Sequence[Ids]) -> int:
    """Tokens that all begin with; at least one of each remains its own, so that each has a last place of its own."""
    first, last = min(several), max(several)
    alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))
    return min(alike, *(len(ids) - 1 for ids in several))
