"""Texts that begin alike, read as one sequence: their common beginning once, then the rest of each.

K completions of one prompt are K sequences that repeat the prompt. Here all texts of a batch stand in one row without
padding, prompt | rest 1 | ... | rest K | next prompt | ..., each token at the position that it has in its own text.
Attention goes block by block (`shared_attention`). So a text comes to what it comes to alone, and a prompt is computed
once, forwards and backwards. With a prompt and K = 4 completions of 128 tokens, 640 positions stand for 1,024; over all six
pairs, as TRL reads them, for 3,072.

Shapes: U texts; R rows of T positions (R = 1 where beginnings are shared); N tokens whose probability is asked for; D width.
A place is an index into R x T, flat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor

from training.mechanics.shared_attention import NAME, Block, Layout, filled_row

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """Token ids, of which the first `num_prompt` are not the completion's. Only texts of one `group` share a beginning."""

    ids: Ids
    num_prompt: int = 0
    group: str = ""


@dataclass(frozen=True, slots=True)
class Reader:
    """How a model reads several texts: with their beginnings shared, or each in a row of its own."""

    pad_token_id: int
    shares: bool

    @classmethod
    def of(cls, model: Any, *, pad_token_id: int) -> Reader:
        """Gives the model our attention, where that comes to what its own does."""
        base = model.get_base_model() if hasattr(model, "peft_config") else model
        shares = can_share(base)
        if shares:
            base.set_attn_implementation(NAME)
            shares = reads_alike(base, pad_token_id=pad_token_id)
        if not shares:
            base.set_attn_implementation(
                "sdpa" if base.config._attn_implementation == NAME else base.config._attn_implementation
            )
        return cls(pad_token_id, shares)


def can_share(model: Any) -> bool:
    """Whether its attention can be replaced, and is full in every layer: a window would be cut by places in the row."""
    text = model.config.get_text_config()
    kinds = set(getattr(text, "layer_types", None) or ["full_attention"])
    windowed = getattr(text, "sliding_window", None) and getattr(text, "use_sliding_window", True)
    own = model._supports_attention_backend and model.config._attn_implementation == "sdpa"
    return bool(own and kinds == {"full_attention"} and not windowed)


@torch.no_grad()
def reads_alike(model: Any, *, pad_token_id: int) -> bool:
    """Asks the model itself: one that doesn't hand a layout on to its layers, or counts positions by place, fails this.

    By its first layer, for what bfloat16 rounds away grows with depth: in SmolLM2-135M to a sixth of the states. There a
    text that is read together differs from itself alone by an eighth of what it would, were it not told what to see.
    """
    size = model.config.get_text_config().vocab_size
    texts = [Text(tuple(i % size for i in ids)) for ids in ((1, 2, *range(3, 25)), (1, 2, 4, 3, 5))]
    together = read_together(texts, reader=Reader(pad_token_id, shares=True))
    alone = read_together(texts, reader=Reader(pad_token_id, shares=False))

    def states(batch: dict[str, Any], **changed: Any) -> Tensor:
        read = on_device({name: batch[name] for name in READ} | changed, model.device)
        layers = model.base_model(**read, use_cache=False, output_hidden_states=True).hidden_states
        states_UD: Tensor = layers[1].flatten(0, 1)[batch["last_places"].to(model.device)]
        return states_UD.float()

    expected = states(alone)
    error = (states(together) - expected).abs().mean()
    unheard = (states(together, layout=None, attention_mask=None) - expected).abs().mean()
    return bool((error <= 0.4 * unheard).item())  # of a poisoned model, no


READ = ("input_ids", "position_ids", "attention_mask", "layout")


def on_device(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    return {name: value.to(device) if isinstance(value, Tensor) else value for name, value in batch.items()}


def read_together(texts: Sequence[Text], *, reader: Reader) -> dict[str, Any]:
    """What a model reads, and where each text stands in it.

    `READ`: `input_ids` and `position_ids` (R, T), `attention_mask` (R, T) or, where the `layout` says who sees whom, a
    placeholder. `last_places` (U,), each text's last token. `asked_ids`, `asked_places`, `asked_of` (N,): every token of a
    completion, the place from which it is predicted, and its text. `text_lengths` (U,), prompts included. `source`: the
    texts themselves, for whoever must read them in parts.
    """
    place = in_one_row if reader.shares else apart
    placed = place(texts, pad_token_id=reader.pad_token_id)
    asked = [(text, i) for text, one in enumerate(texts) for i in range(max(one.num_prompt, 1), len(one.ids))]
    return {
        **placed.read,
        "last_places": torch.tensor([own[-1] for own in placed.places]),
        "asked_ids": torch.tensor([texts[text].ids[i] for text, i in asked], dtype=torch.long),
        "asked_places": torch.tensor([placed.places[text][i - 1] for text, i in asked], dtype=torch.long),
        "asked_of": torch.tensor([text for text, _ in asked], dtype=torch.long),
        "text_lengths": torch.tensor([len(text.ids) for text in texts]),
        "source": Source(tuple(texts)),
    }


@dataclass(frozen=True, slots=True)
class Source:
    """Of a class of its own: a loader of data goes into tuples, and leaves this alone."""

    texts: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class Placed:
    """What is read, and the place of each token of each text."""

    read: dict[str, Any]
    places: list[list[int]]


def in_one_row(texts: Sequence[Text], *, pad_token_id: int) -> Placed:
    """Behind them a text of pads that nobody asks for, where the row is long (`filled_row`)."""
    groups: dict[str, list[int]] = {}
    for number, text in enumerate(texts):
        groups.setdefault(text.group, []).append(number)
    ids: list[int] = []
    positions: list[int] = []
    places: list[list[int]] = [[] for _ in texts]
    blocks = []
    for numbers in groups.values():
        length = common_length([texts[number].ids for number in numbers])
        beginning = (len(ids), len(ids) + length)
        ids += texts[numbers[0]].ids[:length]
        positions += range(length)
        rests = []
        for number in numbers:
            rest = texts[number].ids[length:]
            rests.append((len(ids), len(ids) + len(rest)))
            places[number] = [*range(*beginning), *range(*rests[-1])]
            ids += rest
            positions += range(length, length + len(rest))
        blocks.append(Block(beginning, tuple(rests)))
    if blank := filled_row(len(ids)) - len(ids):
        blocks.append(Block((len(ids), len(ids) + blank), ()))
        ids += [pad_token_id] * blank
        positions += range(blank)
    read = {
        "input_ids": torch.tensor([ids]),
        "position_ids": torch.tensor([positions]),
        "attention_mask": torch.ones(1, 1, 1, 1, dtype=torch.bool),  # of four dimensions: transformers makes none
        "layout": Layout(tuple(blocks)),
    }
    return Placed(read, places)


def apart(texts: Sequence[Text], *, pad_token_id: int) -> Placed:
    shape = (len(texts), max(len(text.ids) for text in texts))
    input_ids_RT = torch.full(shape, pad_token_id)
    mask_RT = torch.zeros(shape, dtype=torch.long)
    for row, text in enumerate(texts):
        input_ids_RT[row, : len(text.ids)] = torch.tensor(text.ids)
        mask_RT[row, : len(text.ids)] = 1
    read = {
        "input_ids": input_ids_RT,
        "position_ids": (mask_RT.cumsum(dim=1) - 1).clamp(min=0),
        "attention_mask": mask_RT,
        "layout": None,
    }
    places = [list(range(row * shape[1], row * shape[1] + len(text.ids))) for row, text in enumerate(texts)]
    return Placed(read, places)


def common_length(several: Sequence[Ids]) -> int:
    """Tokens that all begin with; each keeps one of its own at least, and with it a last place. Of one text, none."""
    if len(several) == 1:
        return 0
    first, last = min(several), max(several)
    alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))
    return min(alike, *(len(ids) - 1 for ids in several))
