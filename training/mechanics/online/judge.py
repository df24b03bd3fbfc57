"""The reward model beside a policy: it scores finished conversations, and tells what it thought along the way.

It reads conversations as text, end of turn included, with the tokenizer it was trained with: its vocabulary need not be
the policy's. So its opinion of an unfinished completion is found by characters: the score at the last of its tokens that
lies wholly in what had been said.

Shapes: B completions, A actions (tokens of the policy), R rows of T tokens of the reward model, D width.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from training.context import RunContext, Stopped
from training.contract import Input
from training.mechanics import datasets, models, scoring
from training.mechanics.datasets import Message
from training.mechanics.memory import Room
from training.mechanics.online.policy import Policy
from training.mechanics.online.shared_trunk import OnTrunk, can_share
from training.mechanics.ppo.math import Scale
from training.mechanics.reward.score_rule import rule_of
from training.mechanics.shared_prefix import READ, Reader, Text, on_device, read_together

WINDOW = 4  # tokens before one that can change how it reads: a letter's other bytes, a leading space


@dataclass(frozen=True, slots=True)
class Said:
    """A prompt's messages, what was answered, and after how many of its characters each action was taken (A + 1)."""

    messages: list[Message]
    text: str
    reaches: list[int]

    @property
    def talk(self) -> list[Message]:
        return [*self.messages, {"role": "assistant", "content": self.text}]


@dataclass(frozen=True, slots=True)
class Scores:
    """`final_B` of the whole conversations; `along_BA` of what stood before each action, 0 behind a completion's end."""

    final_B: Tensor
    along_BA: Tensor


@dataclass(frozen=True, slots=True)
class Judge:
    """`scale` is the one of its own training texts; scores here are raw."""

    model: Any
    tokenizer: Any
    scale: Scale
    reader: Reader
    room: Room = field(default_factory=Room)

    @classmethod
    def beside(cls, policy: Policy, trunk: Input, given: Input) -> Judge:
        """On the policy's own trunk where both are adapters of it, so that its weights are in memory once."""
        if not can_share(policy.policy, trunk, given):
            return replace(cls.load(given, bf16=policy.bf16), room=policy.room)
        trained, tokenizer = models.read_reward_scale(given), models.load_tokenizer(given)
        model = OnTrunk(policy.policy, given)
        return cls(model, tokenizer, Scale(trained.mean, trained.std), policy.reader, policy.room)

    @classmethod
    def load(cls, given: Input, *, bf16: bool) -> Judge:
        model = models.load_reward(given, dtype=torch.bfloat16 if bf16 else torch.float32)
        model.to(models.device()).requires_grad_(False).eval()
        trained = models.read_reward_scale(given)
        reader = Reader.of(model, pad_token_id=model.config.pad_token_id)
        return cls(model, models.load_tokenizer(given), Scale(trained.mean, trained.std), reader)

    @torch.no_grad()
    def score(self, context: RunContext, answers: list[Said], *, batch_size: int) -> Scores:
        """Raises `Stopped` between two batches, on request, and `Failure("out_of_memory")`."""
        read = [read_answer(self.tokenizer, answer) for answer in answers]
        slope = rule_of(self.model).length_slope
        # A conversation is rendered once more to count them: once a prompt, and only where length is taken out.
        talks = {one.prompt: answer.talk for one, answer in zip(read, answers, strict=True)} if slope else {}
        num_before = {prompt: datasets.num_before(self.tokenizer, talk) for prompt, talk in talks.items()}
        final_B = torch.zeros(len(answers))
        along_BA = torch.zeros(len(answers), max(len(one.places) for one in read))
        # By prompt within a length: a batch that holds all completions of a prompt reads it once.
        order = sorted(range(len(read)), key=lambda row: (len(read[row].prompt), read[row].prompt))
        for start in range(0, len(order), batch_size):
            if context.stop_requested:
                raise Stopped
            rows = order[start : start + batch_size]
            parts = self.room.halve([read[row] for row in rows], self.scores_of, ids=lambda one: one.ids)
            for row, scores_T in zip(rows, [scores for part in parts for scores in part], strict=True):
                if slope:
                    answered = torch.arange(len(scores_T)) + 1 - num_before[read[row].prompt]
                    scores_T = scores_T - slope * answered.clamp(min=0)
                final_B[row] = scores_T[-1]
                places = read[row].places
                along_BA[row, : len(places)] = scores_T[places]
        return Scores(final_B, along_BA)

    def scores_of(self, read: Sequence[Read]) -> list[Tensor]:
        """The score at every token (T,) of each conversation, its length as yet in it, float32 on the CPU."""
        texts = [Text(tuple(one.ids), 1, group=repr(one.prompt)) for one in read]
        batch = on_device(read_together(texts, reader=self.reader), self.model.device)
        hidden_RTD = self.model.base_model(**{name: batch[name] for name in READ}, use_cache=False).last_hidden_state
        scores = scoring.head_scores(self.model, hidden_RTD.flatten(0, 1)).cpu()
        before, lasts = batch["asked_places"].cpu(), batch["last_places"].cpu()
        found, at = [], 0
        for one, last in zip(read, lasts, strict=True):
            places = torch.cat([before[at : at + len(one.ids) - 1], last[None]])
            found.append(scores[places])
            at += len(one.ids) - 1
        return found


@dataclass(frozen=True, slots=True)
class Read:
    """A conversation's tokens, where each action was taken, and the words of its prompt."""

    ids: list[int]
    places: list[int]
    prompt: str


def read_answer(tokenizer: Any, answer: Said) -> Read:
    """Where its template does not write the answer down as it is, all actions are taken at the first token: that
    tells nothing, and can tell nothing of what was to come."""
    ids, ends = datasets.render_with_ends(tokenizer, answer.talk)
    prompt = datasets.render_words(tokenizer, answer.messages, ends_open=True)
    words = datasets.render_words(tokenizer, answer.talk)
    places = [0] * (len(answer.reaches) - 1)
    if ends is not None and words.startswith(prompt + answer.text):
        reached = list(accumulate(ends, max))
        places = [max(bisect_right(reached, len(prompt) + c) - 1, 0) for c in answer.reaches[:-1]]
    return Read(ids, places, prompt)


def reaches_of(tokenizer: Any, ids: list[int]) -> list[int]:
    """Characters that are written before each token and behind the last (A + 1), special tokens not counted."""
    pairs = [ids[max(0, a - WINDOW) : a + more] for a in range(len(ids)) for more in (0, 1)]
    words = tokenizer.batch_decode(pairs, skip_special_tokens=True) if pairs else []
    added = [len(after) - len(before) for before, after in zip(words[::2], words[1::2], strict=True)]
    return [0, *accumulate(added)]
