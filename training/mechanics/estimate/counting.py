"""FLOPs and tokens of whatever reads: counted at the input embedding of the model that is called.

A token costs 2 FLOPs a parameter on its way forward and twice as many on its way back (Kaplan et al. 2020, arXiv 2001.08361,
section 2.1; Hoffmann et al. 2022, appendix F, counts layer by layer and comes within a few percent): 6 N where all N are
trained. Frozen weights pass gradients on and get none: 4 N + 2 N_trained, as with an adapter. N is without an input
embedding that is no output matrix as well. Left out: attention over the context, and what is not a product of matrices.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from transformers import PreTrainedModel

from training.mechanics.estimate.probe import Probe, Reading


class Counter:
    """Adds to the probe what its process reads, until `close`."""

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.outer: PreTrainedModel | None = None
        self.embedding: nn.Module | None = None
        self.sizes: dict[int, tuple[int, int]] = {}
        self.hooks = [
            register_module_forward_pre_hook(self.enter),
            register_module_forward_hook(self.leave, always_call=True),
        ]

    def close(self) -> None:
        for hook in self.hooks:
            hook.remove()

    def enter(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        if self.outer is None:
            if isinstance(module, PreTrainedModel):
                self.outer, self.embedding = module, module.get_input_embeddings()
        elif module is self.embedding and args:
            self.count(self.outer, args[0].numel())

    def leave(self, module: nn.Module, args: Any, output: Any) -> None:
        if module is self.outer:
            self.outer = self.embedding = None

    def count(self, model: PreTrainedModel, tokens: int) -> None:
        key = id(model)
        if key not in self.sizes:
            self.sizes[key] = sizes(model)
        every, trained = self.sizes[key]
        if torch.is_grad_enabled() and trained:
            self.probe.counted += Reading(flops=(4 * every + 2 * trained) * tokens, learned=tokens)
        else:
            self.probe.counted += Reading(flops=2 * every * tokens, read=tokens)


def sizes(model: PreTrainedModel) -> tuple[int, int]:
    """Parameters that take part in products, and how many of them are trained."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    looked_up: Any = embedding.weight if embedding is not None else None
    # A trunk that is called by itself has its head applied outside, by a matrix of the embedding's size.
    if model.base_model is model or (head is not None and getattr(head, "weight", None) is looked_up):
        looked_up = None
    every = [weight for weight in model.parameters() if weight is not looked_up]
    return sum(w.numel() for w in every), sum(w.numel() for w in every if w.requires_grad)
