"""What a reward model gives conversations, kept part by part, so that a killed run reads none of them twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from training.context import RunContext
from training.mechanics import datasets, models, scoring
from training.mechanics.memory import Room
from training.mechanics.models import RewardScale
from training.mechanics.parts import Row, Tell, batches_by_length, kept

Talk = list[datasets.Message]


@dataclass(frozen=True, slots=True)
class Scorer:
    """The input `reward`, loaded."""

    model: Any
    tokenizer: Any
    scale: RewardScale
    context: RunContext

    @classmethod
    def load(cls, context: RunContext, *, dtype: torch.dtype) -> Scorer:
        given = context.input("reward")
        tokenizer, scale = models.load_tokenizer(given), models.read_reward_scale(given)
        model = models.load_reward(given, dtype=dtype).to(models.device())
        return cls(model.eval(), tokenizer, scale, context)

    def rewards(self, name: str, talks: Sequence[Talk], *, batch_size: int) -> list[float]:
        """Normalised, of each conversation; its parts are kept by `name`."""

        def score(places: list[int], tell: Tell) -> list[Row]:
            found = scoring.rewards(
                self.model, self.tokenizer, [talks[place] for place in places], scale=self.scale, batch_size=batch_size,
                tell=tell, room=Room(self.context, self.tokenizer),
            )  # fmt: skip
            return [{"reward": value} for value in found]

        lengths = [len(datasets.render_conversation(self.tokenizer, talk)) for talk in talks]
        batches = batches_by_length(lengths, batch_size=batch_size)
        return [row["reward"] for row in kept(self.context, f"{name} rewards", batches, score, unit="completions")]
