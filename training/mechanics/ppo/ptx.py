"""PPO-ptx (Ouyang et al. 2022, equation 2): beside the reward, the policy is held to the likelihood of a corpus.

    objective = E[reward - price KL] + ptx_weight E[log pi(text)]

Means over tokens, here as in the policy's loss, so a weight is of one size whatever the lengths. Each minibatch of a pass
reads as many rows of the corpus as it has completions; which ones is a function of how many were read before.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from training.context import RunContext
from training.contract import Failure
from training.mechanics import datasets
from training.mechanics.corpus.packing import Rows, encode_documents
from training.mechanics.ppo.model import Actor
from training.mechanics.scoring import Completion
from training.recipes.ppo import PpoRecipe


class Corpus:
    """Raises `Failure("too_few_tokens")`, "no_rows"."""

    def __init__(
        self, context: RunContext, recipe: PpoRecipe, tokenizer: Any, *, window: int | None, seed: int
    ) -> None:
        texts = [row["text"] for row in datasets.read_rows(context.input("corpus"), split="train")]
        if not texts:
            raise Failure("no_rows", "The corpus has no text to train on.", advice="Choose another corpus.")
        self.length = min(recipe.ptx_length, window or recipe.ptx_length)
        self.size = recipe.minibatch_size
        most = recipe.episodes * recipe.epochs * self.length + 2 * self.length
        stream = encode_documents(tokenizer, texts, most=most)
        self.rows = Rows(stream, length=self.length, seed=seed)

    def loss(self, actor: Actor, *, minibatch: int) -> Tensor:
        """-log pi a token, in nats, over the rows of the run's minibatch of that number: []."""
        rows_BT = self.rows.batch_BT(minibatch * self.size, self.size)
        return actor.likelihood_loss([Completion(row[:1].tolist(), row[1:].tolist()) for row in rows_BT])
