"""The sampler that a recipe asks for."""

from __future__ import annotations

from typing import Any, Protocol

from training.context import RunContext
from training.mechanics.generation.sampler import OwnSampler, Sampled, Sampler, Wanted
from training.mechanics.generation.vllm.sampler import VllmSampler
from training.mechanics.generation.vllm.server import find_python
from training.recipes.vllm import Vllm


class SampledRecipe(Protocol):
    """What a recipe says of its rollouts."""

    @property
    def vllm(self) -> Vllm | None: ...

    @property
    def temperature(self) -> float: ...

    @property
    def max_new_tokens(self) -> int: ...

    @property
    def batch_size(self) -> int: ...

    @property
    def bf16(self) -> bool: ...


def refuse_no_vllm(recipe: SampledRecipe) -> None:
    """Before a model is loaded. Raises `Failure("no_vllm")` where the recipe asks for vLLM and there is none."""
    if recipe.vllm is not None:
        find_python()


def sampler_of(context: RunContext, recipe: SampledRecipe, policy: Sampled, tokenizer: Any, *, longest: int) -> Sampler:
    """`longest` is the number of tokens of the longest prompt. A server is started when it is first needed.

    Raises `Failure("no_vllm")`.
    """
    wanted = Wanted(recipe.temperature, recipe.max_new_tokens, recipe.batch_size)
    if recipe.vllm is None:
        return OwnSampler(policy, tokenizer, wanted, lambda: context.stop_requested)
    return VllmSampler(
        context, recipe.vllm, policy, tokenizer, wanted, bf16=recipe.bf16, window=longest + recipe.max_new_tokens
    )
