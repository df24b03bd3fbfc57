"""Virtual tokens of prompt and prefix tuning as what attention sees of them: keys and values before every text.

peft hands them to a model at each call. Made once, they are a cache that any text goes on from, so sampling and scoring
read a model with virtual tokens as they read any other.

Shapes: P virtual tokens, H heads of keys and values, D width of a head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from transformers import DynamicCache


@dataclass(frozen=True, slots=True)
class Virtual:
    """By layer, keys and values (1, H, P, D)."""

    layers: tuple[tuple[Tensor, Tensor], ...]

    @property
    def count(self) -> int:
        return self.layers[0][0].shape[2]

    def cache(self, rows: int) -> DynamicCache:
        """A fresh one for so many texts."""
        found = DynamicCache()
        for i, (keys, values) in enumerate(self.layers):
            found.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), i)
        return found


@torch.no_grad()
def split(model: Any) -> tuple[Any, Virtual | None]:
    """A model as the one that reads texts, and the virtual tokens that stand before them: None for any other model."""
    if not isinstance(model, PeftModel) or not model.active_peft_config.is_prompt_learning:
        return model, None
    trunk: Any = model.get_base_model()
    cache: Any = model.get_prompt(batch_size=1)
    if isinstance(cache, Tensor):  # of prompt tuning: embeddings, which the model is yet to read
        embeddings = cache.to(trunk.get_input_embeddings().weight.dtype)
        cache = DynamicCache()
        trunk(inputs_embeds=embeddings, past_key_values=cache, use_cache=True)
    return trunk, Virtual(tuple((layer.keys, layer.values) for layer in cache.layers))
