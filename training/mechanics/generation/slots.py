"""A cache of keys and values with a slot for each live sequence: written in place, each sequence at a position of its own.

transformers' growing cache copies all it holds at each token: with 64 sequences of 100 tokens, a quarter of a step.

Shapes: S slots, B <= S live sequences (slots 0 to B-1), H heads of keys and values, T positions, D width of a head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import CacheLayerMixin

from training.contract import Failure

FULL, SLIDING = "full_attention", "sliding_attention"
GRAIN = 64  # positions that are added at a time
OWN_MASKS = {"bloom", "gpt_neo"}


class SlotLayer(CacheLayerMixin):
    """Keys and values of one layer, both (S, H, T, D), of the kind of a prompt's layer `like`."""

    def __init__(self, like: Any, *, slots: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        # Zeros, for what a mask hides is still multiplied by 0, and memory that nobody has written may hold NaN.
        self.keys, self.values = (old.new_zeros((slots, old.shape[1], 0, old.shape[3])) for old in tensors_of(like))
        self.is_initialized = True
        self.at_B: Tensor = torch.empty(0, dtype=torch.long)
        self.rows_B: Tensor = self.at_B
        self.width = 0

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Takes (B, H, 1, D) of this step's tokens; gives what there is up to the longest sequence."""
        keys, values = tensors_of(self)
        # Under autocast a layer's values are of a smaller type than its keys, which have been turned by float32 angles.
        keys[self.rows_B, :, self.at_B] = key_states[:, :, 0].to(keys.dtype)
        values[self.rows_B, :, self.at_B] = value_states[:, :, 0].to(values.dtype)
        live = len(self.rows_B)
        return keys[:live, :, : self.width], values[:live, :, : self.width]

    def widen(self, width: int) -> None:
        keys, values = tensors_of(self)
        more = width - keys.shape[2]
        self.keys, self.values = (
            torch.cat([old, old.new_zeros((*old.shape[:2], more, old.shape[3]))], dim=2) for old in (keys, values)
        )

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing: a slot layer is made from a prompt's layer."""

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.width, 0

    def get_seq_length(self) -> int:
        return self.width - 1

    def get_max_length(self) -> int:
        return -1


class SlotCache(Cache):
    """Handed to a model as `past_key_values` for steps of one token a sequence; prompts are read into a `DynamicCache`."""

    def __init__(self, *, slots: int) -> None:
        super().__init__(layers=[])
        self.slots = slots
        self.own: list[SlotLayer] = []

    def put(self, prompt: DynamicCache, row: int, *, slots: list[int], length: int, room: int) -> None:
        """Copies the first `length` positions of a prompt into each of `slots`, where `room` will be needed in all."""
        if not self.own:
            self.own = [SlotLayer(layer, slots=self.slots) for layer in prompt.layers]
            self.layers = [*self.own]
        if room > tensors_of(self.own[0])[0].shape[2]:
            for layer in self.own:
                layer.widen(-(-room // GRAIN) * GRAIN)
        for mine, theirs in zip(self.own, prompt.layers, strict=True):
            for into, given in zip(tensors_of(mine), tensors_of(theirs), strict=True):
                into[slots, :, :length] = given[row, :, :length]

    def move(self, source: list[int], target: list[int], *, length: int) -> None:
        for layer in self.own:
            for kept in tensors_of(layer):
                kept[target, :, :length] = kept[source, :, :length]

    def begin_step(self, at_B: Tensor, *, width: int) -> None:
        """The next tokens stand at positions `at_B`; the longest sequence has `width` tokens with its own."""
        rows_B = torch.arange(len(at_B), device=at_B.device)
        for layer in self.own:
            layer.at_B, layer.rows_B, layer.width = at_B, rows_B, width

    def masks(self, config: Any) -> Tensor | dict[str, Tensor]:
        """What each sequence may see, to be added to its scores: (B, 1, 1, T), by kind of layer where there are two."""
        first = self.own[0]
        place_T = torch.arange(first.width, device=first.at_B.device)
        seen_BT = place_T <= first.at_B[:, None]
        window = getattr(config, "sliding_window", None)
        kinds = set(getattr(config, "layer_types", None) or [SLIDING if window else FULL])
        near_BT = seen_BT if window is None else seen_BT & (place_T > first.at_B[:, None] - window)
        found = {kind: self.additive(near_BT if kind == SLIDING else seen_BT) for kind in kinds}
        return found if len(found) > 1 else found.popitem()[1]

    def additive(self, seen_BT: Tensor) -> Tensor:
        keys, _ = tensors_of(self.own[0])
        mask_BT = torch.zeros(seen_BT.shape, dtype=keys.dtype, device=keys.device)
        return mask_BT.masked_fill_(~seen_BT, torch.finfo(keys.dtype).min)[:, None, None]


def tensors_of(layer: Any) -> tuple[Tensor, Tensor]:
    return layer.keys, layer.values


def refuse_other_states(model: Any) -> None:
    """Raises `Failure("no_slots")` for a model that remembers a text by anything but keys and values of its tokens, or
    that works out by itself, from the length of its cache, what a token may see."""
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or [])
    if (
        kinds - {FULL, SLIDING}
        or getattr(model, "_is_stateful", False)
        or config.model_type in OWN_MASKS
        or getattr(config, "alibi", False)
    ):
        raise Failure(
            "no_slots",
            f"Models of the kind {config.model_type} cannot be sampled here, many sequences at a time.",
            advice="Choose a model whose layers are of full or sliding-window attention, such as a Llama or a Qwen.",
        )
