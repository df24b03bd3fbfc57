"""A key-value cache with room for what is still to be sampled, so that a token doesn't copy all that came before it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer


def roomy_cache(config: Any, *, room: int) -> DynamicCache:
    """For `room` positions without a copy, and more with one. Layers of a kind of their own (sliding windows) stay as they are."""
    cache = DynamicCache(config=config)
    cache.layers = [RoomyLayer(room) if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


class RoomyLayer(DynamicLayer):
    """`DynamicLayer`, whose `keys` and `values` are views of the first positions of a wider tensor.

    Shapes: B sequences, H heads of keys, R positions of room, T of them filled, D numbers a head.
    """

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.keys_BHRD, self.values_BHRD = self.widened(key_states), self.widened(value_states)
            filled = 0
        else:
            filled = self.keys.shape[-2]
        end = filled + key_states.shape[-2]
        if end > self.keys_BHRD.shape[-2]:
            self.room = 2 * end
            self.keys_BHRD, self.values_BHRD = self.widened(self.keys), self.widened(self.values)
        self.keys_BHRD[:, :, filled:end] = key_states
        self.values_BHRD[:, :, filled:end] = value_states
        self.keys, self.values = self.keys_BHRD[:, :, :end], self.values_BHRD[:, :, :end]
        return self.keys, self.values

    def widened(self, states_BHTD: Tensor) -> Tensor:
        *sizes, filled, width = states_BHTD.shape
        wide_BHRD = states_BHTD.new_empty((*sizes, max(self.room, filled), width))
        wide_BHRD[:, :, :filled] = states_BHTD
        return wide_BHRD

    def batch_select_indices(self, indices: Tensor) -> None:
        filled = self.keys.shape[-2]
        self.keys_BHRD, self.values_BHRD = self.keys_BHRD[indices], self.values_BHRD[indices]
        self.keys, self.values = self.keys_BHRD[:, :, :filled], self.values_BHRD[:, :, :filled]
