"""Scores of texts by a reward model that has just been trained: their scale, and probes of what no good one should like."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from training.context import RunContext, Stopped
from training.mechanics import datasets
from training.mechanics.estimate.probe import Probe, spread
from training.mechanics.memory import Room
from training.mechanics.models import RewardScale
from training.mechanics.people.rankings import Group
from training.mechanics.reward.score_rule import PLAIN, ScoreRule
from training.mechanics.shared_prefix import READ, Ids, Reader, Text, on_device, read_together

PROBED = 32  # prompts
TURNED = 8  # prompts whose texts are read in two orders
REPEATED = 4  # words, over and over
MOST_FLIP = 0.05  # standard deviations that the company of a text may change its score by
SAID = {
    "empty": "An empty answer scores",
    "repeat": "An answer that repeats its first words over and over scores",
    "copy": "An answer that copies the prompt scores",
}


@dataclass(frozen=True, slots=True)
class Scorer:
    model: Any
    accelerator: Any
    reader: Reader
    context: RunContext
    batch_size: int
    rule: ScoreRule = PLAIN
    room: Room = field(default_factory=Room)

    def together(self, texts: Sequence[Text], *, answer_tokens: Sequence[int]) -> list[float]:
        """Raw scores of texts that are read as one batch, all heads and the length of answers considered."""
        raw: list[float] = self.rule.combined(self.heads(texts)).tolist()
        if not self.rule.length_slope:
            return raw
        return [self.rule.corrected(s, answer_tokens=n) for s, n in zip(raw, answer_tokens, strict=True)]

    def heads(self, texts: Sequence[Text]) -> Tensor:
        """What each head says, (texts, heads)."""
        batch = read_together(texts, reader=self.reader)
        read = on_device({name: batch[name] for name in (*READ, "last_places")}, self.accelerator.device)
        self.model.eval()
        with torch.no_grad(), self.accelerator.autocast():
            logits: Tensor = self.model(**read, use_cache=False).logits
        return logits

    def head_scale(self, groups: Sequence[Group]) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of what each head says of the groups' texts. Raises `Stopped`."""
        found = []
        for group in groups:
            if self.context.stop_requested:
                raise Stopped
            found.append(self.heads([Text(ids, group=group.id) for ids in group.ids]))
        heads_UH = torch.cat(found).double().cpu()
        stds_H = heads_UH.std(dim=0, correction=0).clamp(min=1e-6)
        return tuple(heads_UH.mean(dim=0).tolist()), tuple(stds_H.tolist())

    def scores(self, texts: Sequence[Ids], *, answer_tokens: Sequence[int], phase: str) -> list[float]:
        """Raw scores, batch by batch of similar length. Raises `Stopped`."""
        order = sorted(range(len(texts)), key=lambda i: (len(texts[i]), texts[i]))
        batches = [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]
        if self.context.probe is not None:
            return self.probed(texts, answer_tokens, batches, phase=phase, probe=self.context.probe)
        found = [0.0] * len(texts)
        for number, some in enumerate(batches):
            if self.context.stop_requested:
                raise Stopped
            self.context.progress(phase, number * self.batch_size, len(texts), unit="texts")
            for i, score in zip(some, self.of_batch(texts, answer_tokens, some), strict=True):
                found[i] = score
        return found

    def of_batch(self, texts: Sequence[Ids], answer_tokens: Sequence[int], some: Sequence[int]) -> list[float]:
        parts = self.room.halve(some, partial(self.alone, texts, answer_tokens), ids=lambda i: texts[i])
        return [score for part in parts for score in part]

    def probed(
        self, texts: Sequence[Ids], answer_tokens: Sequence[int], batches: list[list[int]], *, phase: str, probe: Probe
    ) -> list[float]:
        """Of some batches, to time them; all others get scores of those."""
        loop = probe.loop(phase, total=sum(map(len, texts)), unit="texts")
        scores: list[float] = []
        for number in spread(len(batches)):
            with loop.one(weight=sum(len(texts[i]) for i in batches[number])):
                scores += self.of_batch(texts, answer_tokens, batches[number])
            if loop.is_enough():
                break
        loop.leave(units=len(texts))
        return [scores[i % len(scores)] for i in range(len(texts))]

    def alone(self, texts: Sequence[Ids], answer_tokens: Sequence[int], some: Sequence[int]) -> list[float]:
        """Raw scores of `some` of the texts, none of which shares a beginning with another one."""
        return self.together(
            [Text(texts[i], group=str(i)) for i in some], answer_tokens=[answer_tokens[i] for i in some]
        )

    def of_groups(self, groups: Sequence[Group]) -> dict[Ids, float]:
        """Raw scores of all texts, each read once."""
        tokens = {ids: n for group in groups for ids, n in zip(group.ids, group.answer_tokens, strict=True)}
        texts = list(tokens)
        found = self.scores(texts, answer_tokens=[tokens[ids] for ids in texts], phase="scale")
        return dict(zip(texts, found, strict=True))


def scale_of(scores: Iterable[float]) -> RewardScale:
    values = torch.tensor(list(scores), dtype=torch.float64)
    return RewardScale(values.mean().item(), max(values.std(correction=0).item(), 1e-6))


def probes(
    groups: Sequence[Group], *, scorer: Scorer, scale: RewardScale, tokenizer: Any, max_length: int
) -> dict[str, float]:
    """Mean scores in standard deviations (`probe_best` of the preferred texts), and what turning a batch around changes.

    A policy that learns from this reward finds whatever it likes: each probe that beats the preferred texts is told.
    """
    asked = list({group.id: group for group in groups}.values())[:PROBED]
    found = {"probe_flip": flip(asked[:TURNED], scorer=scorer) / scale.std}
    if found["probe_flip"] > MOST_FLIP:
        scorer.context.warn(
            "probe_flip",
            f"The same text scores up to {found['probe_flip']:.2f} standard deviations apart when its batch is turned around.",
        )
    rows = [(group, made) for group in asked if (made := degenerate(group, tokenizer, max_length=max_length))]
    if not rows:
        return found
    names = list(rows[0][1])
    raw = scorer.scores(
        [made[name] for _, made in rows for name in names],
        answer_tokens=[len(made[name]) - group.num_prompt for group, made in rows for name in names],
        phase="probes",
    )
    of = {name: [scale.normalise(score) for score in raw[i :: len(names)]] for i, name in enumerate(names)}
    means = {name: sum(scores) / len(scores) for name, scores in of.items()}
    for name, sentence in SAID.items():
        beaten = sum(bad >= best for bad, best in zip(of[name], of["best"], strict=True)) / len(rows)
        if beaten >= 0.5:
            scorer.context.warn(
                f"probe_{name}",
                f"{sentence} {means[name]:+.2f} standard deviations on average, and no less than the answer that people"
                f" preferred ({means['best']:+.2f}) on {beaten:.0%} of {len(rows)} prompts. A policy that is trained on"
                " this reward will find that out.",
            )
    return found | {f"probe_{name}": mean for name, mean in means.items()}


def flip(groups: Sequence[Group], *, scorer: Scorer) -> float:
    """The largest change of a raw score when the texts of its prompt stand in the opposite order."""
    changes = [0.0]
    for group in groups:
        texts = [Text(ids, group=group.id) for ids in group.ids]
        tokens = group.answer_tokens
        there = scorer.together(texts, answer_tokens=tokens)
        back = scorer.together(texts[::-1], answer_tokens=tokens[::-1])[::-1]
        changes += [abs(one - other) for one, other in zip(there, back, strict=True)]
    return max(changes)


def degenerate(group: Group, tokenizer: Any, *, max_length: int) -> dict[str, Ids] | None:
    """The preferred text, and three that only look like answers; None where one is longer than the model ever read."""
    best = group.orders[0].tiers[0][0]
    said = group.replies[best][-1][1]
    words = said.split()
    first = words[:REPEATED] or ["well"]
    asked = next((content for role, content in reversed(group.prompt) if role == "user"), "")
    replies = {
        "empty": "",
        "repeat": " ".join((first * (len(words) // len(first) + REPEATED))[: max(len(words), 3 * REPEATED)]),
        "copy": asked,
    }
    prompt = [{"role": role, "content": content} for role, content in group.prompt]
    made = {"best": group.ids[best]} | {
        name: tuple(datasets.render_conversation(tokenizer, [*prompt, {"role": "assistant", "content": text}]))
        for name, text in replies.items()
    }
    return made if max(map(len, made.values())) <= max_length else None
