"""Scores of texts by a reward model that has just been trained: their scale, and probes of what no good one should like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from training.context import RunContext, Stopped
from training.mechanics import datasets
from training.mechanics.models import RewardScale
from training.mechanics.rankings import Group
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

    def together(self, texts: Sequence[Text]) -> list[float]:
        """Raw scores of texts that are read as one batch."""
        batch = read_together(texts, reader=self.reader)
        read = on_device({name: batch[name] for name in (*READ, "last_places")}, self.accelerator.device)
        self.model.eval()
        with torch.no_grad(), self.accelerator.autocast():
            scores: list[float] = self.model(**read, use_cache=False).logits.squeeze(-1).tolist()
        return scores

    def scores(self, texts: Sequence[Ids], *, phase: str) -> list[float]:
        """Raw scores, batch by batch of similar length. Raises `Stopped`."""
        order = sorted(range(len(texts)), key=lambda i: (len(texts[i]), texts[i]))
        found = [0.0] * len(texts)
        for start in range(0, len(texts), self.batch_size):
            if self.context.stop_requested:
                raise Stopped
            self.context.progress(phase, start, len(texts), unit="texts")
            some = order[start : start + self.batch_size]
            for i, score in zip(some, self.together([Text(texts[i], group=str(i)) for i in some]), strict=True):
                found[i] = score
        return found

    def scale(self, groups: Sequence[Group]) -> RewardScale:
        """Of the raw scores of all texts, each counted once."""
        texts = list({ids: None for group in groups for ids in group.ids})
        values = torch.tensor(self.scores(texts, phase="scale"), dtype=torch.float64)
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
    raw = scorer.scores([made[name] for _, made in rows for name in names], phase="probes")
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
        there, back = scorer.together(texts), scorer.together(texts[::-1])[::-1]
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
