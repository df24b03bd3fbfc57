"""The policy and its reference, read in one way: a prompt once for its completions, the vocabulary's head on actions alone.

Shapes: B completions, R rows of T tokens, A actions, N actions that were taken, D width, V vocabulary.

Completions of one prompt share it in one row (`shared_prefix`), where the model's attention can do that; else each has a
row of its own, padded on the right. The sampler keeps a cache, so its log-probabilities differ from these by rounding;
they are taken anew here, by the forward pass that is trained, and a first ratio of exactly 1 proves it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from training.contract import Failure, Input
from training.mechanics import memory, models
from training.mechanics.memory import Room
from training.mechanics.ppo.math import token_entropies, token_logprobs
from training.mechanics.scoring import Completion
from training.mechanics.shared_prefix import READ, Reader, Text, on_device, read_together
from training.mechanics.trainers.head import CHANGED_LOGITS
from training.recipes.online import OnlineRecipe
from training.recipes.ppo import PpoRecipe

T = TypeVar("T")

CHUNK = 512  # actions projected onto the vocabulary at once

LoopRecipe = PpoRecipe | OnlineRecipe
"""What a method is told that learns from what its policy writes."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Prompts and completions as a model reads them; column a of `mask_BA` is the choice of a completion's token a.

    `places_N` are the positions, in the flat rows, whose hidden states foresee the actions `actions_N`: in the order of
    `mask_BA`, row by row.
    """

    read: dict[str, Any]
    completions: list[Completion]
    places_N: Tensor
    actions_N: Tensor
    mask_BA: Tensor

    @classmethod
    def of(cls, completions: list[Completion], *, reader: Reader, device: torch.device) -> Texts:
        texts = [Text((*c.prompt, *c.ids), len(c.prompt), group=repr(c.prompt)) for c in completions]
        batch = on_device(read_together(texts, reader=reader), device)
        lengths_B = torch.tensor([len(c.ids) for c in completions], device=device)
        mask_BA = torch.arange(int(lengths_B.max()), device=device) < lengths_B.unsqueeze(1)
        read = {name: batch[name] for name in READ}
        return cls(read, completions, batch["asked_places"], batch["asked_ids"], mask_BA)


@dataclass(frozen=True, slots=True)
class Reading:
    """What is said of texts: all [B, A], 0 outside the mask; entropies where they were asked for, values by a critic."""

    logprobs_BA: Tensor
    entropies_BA: Tensor | None
    values_BA: Tensor | None


@dataclass(frozen=True, slots=True)
class Trained:
    """Weights that are trained at one rate; their gradients are clipped together, and `norm` is the figure that tells theirs."""

    name: str
    weights: dict[str, nn.Parameter]
    rate: float
    norm: str


class Policy:
    """A policy and its reference. Raises `Failure("unsupported_model")` where logits are changed behind the projection."""

    def __init__(self, given: Input, recipe: LoopRecipe) -> None:
        self.bf16 = recipe.bf16
        self.temperature = recipe.temperature
        self.learning_rate = recipe.learning_rate
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
        self.room = Room()
        self.reader = Reader.of(self.policy, pad_token_id=0)  # any token: what stands behind a text never counts
        if self.reference is not None:
            Reader.of(self.reference, pad_token_id=0)

    def policy_weights(self) -> dict[str, nn.Parameter]:
        return {name: weight for name, weight in self.policy.named_parameters() if weight.requires_grad}

    def texts(self, completions: list[Completion]) -> Texts:
        return Texts.of(completions, reader=self.reader, device=self.device)

    def autocast(self) -> Any:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16)

    def trained(self) -> list[Trained]:
        return [Trained("policy", self.policy_weights(), self.learning_rate, norm="grad_norm")]

    def read(self, texts: Texts, *, entropies: bool = False) -> Reading:
        """By the pass that is trained: gradients reach the policy through `logprobs_BA`. In the room's parts."""
        parts, width = self.parts_of(texts), texts.mask_BA.shape[1]
        alone = self.read_part if len(parts) == 1 else partial(memory.again, self.read_part)
        found = [alone(part, entropies) for part in parts]
        entropies_BA = (
            one_below_another([said for _, _, said in found if said is not None], width) if entropies else None
        )
        values_BA = self.values(torch.cat([hidden_ND for hidden_ND, _, _ in found]), texts)
        return Reading(one_below_another([logprobs for _, logprobs, _ in found], width), entropies_BA, values_BA)

    def parts_of(self, texts: Texts) -> list[Texts]:
        """As many as the room has: `texts` themselves, where they are read as a whole."""
        if self.room.parts == 1:
            return [texts]
        return [self.texts(list(some)) for some in memory.cut(texts.completions, self.room.parts)]

    def read_part(self, texts: Texts, entropies: bool) -> tuple[Tensor, Tensor, Tensor | None]:
        """Hidden states [N, D], log-probabilities and, if asked for, entropies, of texts that are read together."""
        with self.autocast():
            hidden_ND = hidden_of(self.plain, texts)
            parts = list(self.scored(self.plain, hidden_ND, texts, entropies=entropies))
        logprobs_BA = spread(torch.cat([logprobs for logprobs, _ in parts]), texts.mask_BA)
        entropies_BA = spread(torch.cat([entropy for _, entropy in parts]), texts.mask_BA) if entropies else None
        return hidden_ND, logprobs_BA, entropies_BA

    def values(self, hidden_ND: Tensor, texts: Texts) -> Tensor | None:
        """[B, A], where there is a critic."""
        return None

    @torch.no_grad()
    def look(self, texts: Texts) -> list[Tensor]:
        """Log-probabilities, entropies, the reference's log-probabilities and, where there is a critic, values: all [B, A]."""
        said = self.read(texts, entropies=True)
        found = [said.logprobs_BA, said.entropies_BA, self.reference_logprobs(texts), said.values_BA]
        return [each_BA for each_BA in found if each_BA is not None]

    def likelihood_loss(self, texts: list[Completion]) -> Tensor:
        """Mean -log pi of the texts' tokens behind the first, at temperature 1: []."""
        parts = self.parts_of(self.texts(texts))
        read = self.likelihoods if len(parts) == 1 else partial(memory.again, self.likelihoods)
        return -torch.cat([read(part) for part in parts]).mean()

    def likelihoods(self, texts: Texts) -> Tensor:
        """Log-probability of each token that foresees nothing but the corpus, at temperature 1: [N]."""
        with self.autocast():
            parts = self.scored(self.plain, hidden_of(self.plain, texts), texts, entropies=False, temperature=1.0)
            return torch.cat([logprobs for logprobs, _ in parts])

    @torch.no_grad()
    def reference_logprobs(self, texts: Texts) -> Tensor:
        """[B, A], of the model that the run was given: with an adapter, the same trunk with the adapter switched off."""
        parts, width = self.parts_of(texts), texts.mask_BA.shape[1]
        if self.reference is not None:
            return one_below_another([self.plain_logprobs(self.reference, part) for part in parts], width)
        with self.policy.disable_adapter():
            return one_below_another([self.plain_logprobs(self.plain, part) for part in parts], width)

    def plain_logprobs(self, model: Any, texts: Texts) -> Tensor:
        with self.autocast():
            parts = self.scored(model, hidden_of(model, texts), texts, entropies=False)
            return spread(torch.cat([logprobs for logprobs, _ in parts]), texts.mask_BA)

    def fit(
        self, work: Callable[[], T], completions: list[Completion], *, undo: Callable[[], None] = lambda: None
    ) -> T:
        """See `Room.fit`."""
        return self.room.fit(work, [[*c.prompt, *c.ids] for c in completions], undo=undo)

    def try_longest(self, completions: list[Completion]) -> None:
        """A minibatch of the longest there may be, forwards and backwards; see `Room.try_longest`."""

        def read() -> None:
            try:
                self.read(self.texts(completions)).logprobs_BA.sum().backward()
            finally:
                self.policy.zero_grad(set_to_none=True)

        self.room.try_longest(read, [[*c.prompt, *c.ids] for c in completions])

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


def hidden_of(model: Any, texts: Texts) -> Tensor:
    """Last hidden states of the positions that foresee an action, in the order of `mask_BA`: [N, D]."""
    hidden_RTD: Tensor = model.base_model(**texts.read, use_cache=False).last_hidden_state
    return hidden_RTD.flatten(0, 1)[texts.places_N]


def spread(values_N: Tensor, mask_BA: Tensor) -> Tensor:
    return values_N.new_zeros(mask_BA.shape).masked_scatter(mask_BA, values_N)


def one_below_another(parts_BA: list[Tensor], width: int) -> Tensor:
    """[B, width], of parts that are as wide as their own longest completion."""
    return torch.cat([F.pad(part_BA, (0, width - part_BA.shape[1])) for part_BA in parts_BA])


def refuse_changed_logits(model: Any) -> None:
    config = model.config.get_text_config()
    changed = [name for name in CHANGED_LOGITS if getattr(config, name, None) is not None]
    if changed:
        raise Failure(
            "unsupported_model",
            f"This model changes its logits by {changed[0]}, which training on its own completions does not know how to follow.",
            advice="Choose a model of the Llama, Qwen or GPT-2 kind.",
        )
