"""The policy, its reference and its critic, read in one way: a prompt once for its completions, heads on actions alone.

Shapes: B completions, R rows of T tokens, A actions, N actions that were taken, D width, V vocabulary.

Completions of one prompt share it in one row (`shared_prefix`), where the model's attention can do that; else each has a
row of its own, padded on the right. The sampler keeps a cache, so its log-probabilities differ from these by rounding;
they are taken anew here, by the forward pass that is trained, and a first ratio of exactly 1 proves it.

The critic is a small network on the policy's own last hidden states, detached. A critic of its own trunk would cost a
second forward and backward pass, most of a step; one that trains the shared trunk lets the error of the values move the
policy, and its weight against the policy's loss becomes one more thing to tune. Detached, it costs nothing and moves
nobody. Its last layer begins at 0: the first advantages are the returns themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from training.contract import Failure, Input
from training.mechanics import models
from training.mechanics.ppo_math import token_entropies, token_logprobs
from training.mechanics.scoring import Completion
from training.mechanics.shared_prefix import READ, Reader, Text, on_device, read_together
from training.mechanics.trainer_head import CHANGED_LOGITS
from training.recipes.lora import LoRA

CHUNK = 512  # actions projected onto the vocabulary at once


@dataclass(frozen=True, slots=True)
class Texts:
    """Prompts and completions as a model reads them; column a of `mask_BA` is the choice of a completion's token a.

    `places_N` are the positions, in the flat rows, whose hidden states foresee the actions `actions_N`: in the order of
    `mask_BA`, row by row.
    """

    read: dict[str, Any]
    places_N: Tensor
    actions_N: Tensor
    mask_BA: Tensor

    @classmethod
    def of(cls, completions: list[Completion], *, reader: Reader, device: torch.device) -> Texts:
        texts = [Text((*c.prompt, *c.ids), len(c.prompt), group=repr(c.prompt)) for c in completions]
        batch = on_device(read_together(texts, reader=reader), device)
        lengths_B = torch.tensor([len(c.ids) for c in completions], device=device)
        mask_BA = torch.arange(int(lengths_B.max()), device=device) < lengths_B.unsqueeze(1)
        return cls({name: batch[name] for name in READ}, batch["asked_places"], batch["asked_ids"], mask_BA)


@dataclass(frozen=True, slots=True)
class Reading:
    """What policy and critic say of texts: all [B, A], 0 outside the mask; entropies only where they were asked for."""

    logprobs_BA: Tensor
    values_BA: Tensor
    entropies_BA: Tensor | None


class Critic(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU())
        self.value = nn.Linear(width, 1)
        nn.init.zeros_(self.value.weight)
        nn.init.zeros_(self.value.bias)

    def forward(self, hidden_ND: Tensor) -> Tensor:
        values_N: Tensor = self.value(self.inner(hidden_ND)).squeeze(-1)
        return values_N


class PolicyRecipe(Protocol):
    """What a recipe says of the policy."""

    @property
    def lora(self) -> LoRA | None: ...

    @property
    def bf16(self) -> bool: ...

    @property
    def temperature(self) -> float: ...


class Policy:
    """A policy and its reference. Raises `Failure("unsupported_model")` where logits are changed behind the projection."""

    def __init__(self, given: Input, recipe: PolicyRecipe) -> None:
        self.bf16 = recipe.bf16
        self.temperature = recipe.temperature
        self.device = models.device()
        frozen = torch.bfloat16 if recipe.bf16 else torch.float32
        # A trained matrix needs float32: a step of 1e-5 is lost in bfloat16's 8 bits.
        self.policy = models.load_causal(given, dtype=frozen if recipe.lora else torch.float32)
        self.reference: Any = None
        if recipe.lora:
            self.policy = models.add_lora(self.policy, recipe.lora, task="causal")
        else:
            self.reference = models.load_causal(given, dtype=torch.float32).to(self.device).requires_grad_(False).eval()
        self.policy.to(self.device)
        # Without dropout, always: it would make the ratio of a policy to itself differ from 1.
        self.policy.eval()
        self.plain = self.policy.get_base_model() if recipe.lora else self.policy
        refuse_changed_logits(self.plain)
        self.reader = Reader.of(self.policy, pad_token_id=0)  # any token: what stands behind a text never counts
        if self.reference is not None:
            Reader.of(self.reference, pad_token_id=0)

    def policy_weights(self) -> dict[str, nn.Parameter]:
        return {name: weight for name, weight in self.policy.named_parameters() if weight.requires_grad}

    def texts(self, completions: list[Completion]) -> Texts:
        return Texts.of(completions, reader=self.reader, device=self.device)

    def autocast(self) -> Any:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16)

    def look(self, texts: Texts, *, entropies: bool = False) -> tuple[Tensor, Tensor, Tensor | None]:
        """Hidden states [N, D], log-probabilities and, if asked for, entropies, both [B, A], by the pass that is trained."""
        with self.autocast():
            hidden_ND = hidden_of(self.plain, texts)
            parts = list(self.scored(self.plain, hidden_ND, texts, entropies=entropies))
        logprobs_BA = spread(torch.cat([logprobs for logprobs, _ in parts]), texts.mask_BA)
        entropies_BA = spread(torch.cat([entropy for _, entropy in parts]), texts.mask_BA) if entropies else None
        return hidden_ND, logprobs_BA, entropies_BA

    def likelihood_loss(self, texts: list[Completion]) -> Tensor:
        """Mean -log pi of the texts' tokens behind the first, at temperature 1: []."""
        read = self.texts(texts)
        with self.autocast():
            parts = self.scored(self.plain, hidden_of(self.plain, read), read, entropies=False, temperature=1.0)
            return -torch.cat([logprobs for logprobs, _ in parts]).mean()

    @torch.no_grad()
    def reference_logprobs(self, texts: Texts) -> Tensor:
        """[B, A], of the model that the run was given: with an adapter, the same trunk with the adapter switched off."""
        if self.reference is not None:
            return self.plain_logprobs(self.reference, texts)
        with self.policy.disable_adapter():
            return self.plain_logprobs(self.plain, texts)

    def plain_logprobs(self, model: Any, texts: Texts) -> Tensor:
        with self.autocast():
            parts = self.scored(model, hidden_of(model, texts), texts, entropies=False)
            return spread(torch.cat([logprobs for logprobs, _ in parts]), texts.mask_BA)

    def scored(
        self, model: Any, hidden_ND: Tensor, texts: Texts, *, entropies: bool, temperature: float | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Chunk by chunk, (log-probabilities, entropies) of N actions: a whole minibatch of vocabularies fills a memory."""
        score = partial(
            self.score_chunk,
            model.get_output_embeddings(),
            entropies=entropies,
            temperature=self.temperature if temperature is None else temperature,
        )
        chunks = list(zip(hidden_ND.split(CHUNK), texts.actions_N.split(CHUNK), strict=True))
        for hidden, actions in chunks:
            if len(chunks) > 1 and torch.is_grad_enabled():
                # Logits are made again on the way back: kept, they would stand beside each other after all.
                yield checkpoint(score, hidden, actions, use_reentrant=False)
            else:
                yield score(hidden, actions)

    @staticmethod
    def score_chunk(
        head: nn.Module, hidden_ND: Tensor, actions_N: Tensor, *, entropies: bool, temperature: float
    ) -> tuple[Tensor, Tensor]:
        logits_NV = head(hidden_ND)
        logprobs_N = token_logprobs(logits_NV, actions_N, temperature=temperature)
        if not entropies:
            return logprobs_N, logprobs_N
        return logprobs_N, token_entropies(logits_NV, temperature=temperature)


class Actor(Policy):
    """A policy with its critic."""

    def __init__(self, given: Input, recipe: PolicyRecipe) -> None:
        super().__init__(given, recipe)
        self.critic = Critic(self.plain.config.get_text_config().hidden_size).to(self.device)

    def critic_weights(self) -> dict[str, nn.Parameter]:
        return dict(self.critic.named_parameters())

    def read(self, texts: Texts, *, entropies: bool = False) -> Reading:
        """Gradients reach the policy through `logprobs_BA`, the critic through `values_BA`."""
        hidden_ND, logprobs_BA, entropies_BA = self.look(texts, entropies=entropies)
        values_N = self.critic(hidden_ND.detach().float())
        return Reading(logprobs_BA, spread(values_N, texts.mask_BA), entropies_BA)


def hidden_of(model: Any, texts: Texts) -> Tensor:
    """Last hidden states of the positions that foresee an action, in the order of `mask_BA`: [N, D]."""
    hidden_RTD: Tensor = model.base_model(**texts.read, use_cache=False).last_hidden_state
    return hidden_RTD.flatten(0, 1)[texts.places_N]


def spread(values_N: Tensor, mask_BA: Tensor) -> Tensor:
    return values_N.new_zeros(mask_BA.shape).masked_scatter(mask_BA, values_N)


def refuse_changed_logits(model: Any) -> None:
    config = model.config.get_text_config()
    changed = [name for name in CHANGED_LOGITS if getattr(config, name, None) is not None]
    if changed:
        raise Failure(
            "unsupported_model",
            f"This model changes its logits by {changed[0]}, which training on its own completions does not know how to follow.",
            advice="Choose a model of the Llama, Qwen or GPT-2 kind.",
        )
