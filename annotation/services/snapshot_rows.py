"""How a ranking stands in a dataset: as comparisons, and whole, under a pseudonym."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from django.utils.crypto import salted_hmac

from annotation.models import Ranking
from annotation.weak_order import Pair, comparisons
from registry.services.schemas import canonical


@dataclass(frozen=True, slots=True)
class Judged:
    """One ranking as it goes into a dataset."""

    ranking: Ranking
    tiers: list[list[str]]
    strengths: list[int]  # between neighbouring tiers
    texts: dict[str, str]  # completion id -> text
    rater: str  # pseudonym
    rater_group: str = ""

    @property
    def prompt(self) -> list[dict[str, str]]:
        messages: list[dict[str, str]] = self.ranking.task.prompt.messages
        return messages

    @property
    def group(self) -> str:
        return str(self.ranking.task.prompt.content_hash)

    def pairs(self) -> list[Pair]:
        """Comparisons between texts that differ: of two that are the same, none can be chosen over the other.

        In the order of what the texts say: ids are random, and the order of rows decides which share a batch.
        """
        found = sorted(
            comparisons(self.tiers, self.strengths),
            key=lambda pair: (self.texts[pair.better], self.texts[pair.worse]),
        )
        return [pair for pair in found if self.texts[pair.better].strip() != self.texts[pair.worse].strip()]


@dataclass(frozen=True, slots=True)
class Sure:
    """A comparison, with the probability that it is the right way round where a feedback model told one."""

    pair: Pair
    label: float | None = None
    principle: str = ""


def sure_pairs(judged: Judged) -> list[Sure]:
    """What a feedback model said of each two texts that differ; nothing of those that it finds equal, or abstained from."""
    found = []
    for told in judged.ranking.preferences.all():
        first, second = str(told.first_id), str(told.second_id)
        better, worse = (first, second) if told.p > 0.5 else (second, first)
        is_said = told.p != 0.5 and not told.is_abstained
        if is_said and judged.texts[better].strip() != judged.texts[worse].strip():
            found.append(Sure(Pair(better, worse, 1, 1.0), max(told.p, 1 - told.p), told.principle))
    return sorted(found, key=lambda sure: (judged.texts[sure.pair.better], judged.texts[sure.pair.worse]))


def row_of(judged: Judged, sure: Sure, *, number: int, weight: float) -> dict[str, Any]:
    ranking, pair = judged.ranking, sure.pair
    return {
        "prompt": judged.prompt,
        "chosen": [{"role": "assistant", "content": judged.texts[pair.better]}],
        "rejected": [{"role": "assistant", "content": judged.texts[pair.worse]}],
        "id": f"{ranking.pk}-{number}",
        "group_id": judged.group,
        "prompt_id": str(ranking.task.prompt_id),
        "ranking_id": str(ranking.pk),
        "rater": judged.rater,
        "margin": float(pair.margin),
        "weight": weight,
        "simulated": ranking.is_simulated,
        **({"label": sure.label} if sure.label is not None else {}),
    }


def shuffled(
    tiers: list[list[str]], strengths: list[int], *, texts: dict[str, str], seed: int, number: int
) -> tuple[list[list[str]], list[int]]:
    """The same tiers with other names in them, by lot: what it comes to follows from the texts, not from their random ids.

    The seeds 2n and 2n + 1 share a lot, and the odd one turns it upside down: each comparison of the one stands in the other
    the other way round, so what a lot favours by luck cancels over the two, and what both do to a policy is a drift.
    """
    names = sorted((name for tier in tiers for name in tier), key=lambda name: (texts[name], name))
    random.Random(f"{seed // 2} {number}").shuffle(names)
    rest = iter(names)
    placed = [sorted(next(rest) for _ in tier) for tier in tiers]
    return (placed[::-1], strengths[::-1]) if seed % 2 else (placed, strengths)


def pseudonym(dataset: str, rater: int) -> str:
    """The same rater has another name in every dataset; without this installation's secret none leads back to her."""
    return "r-" + salted_hmac("annotation.rater", f"{dataset}\n{rater}", algorithm="sha256").hexdigest()[:16]


def ranking_row(judged: Judged) -> dict[str, Any]:
    ranking = judged.ranking
    return {
        "group_id": judged.group,
        "ranking_id": str(ranking.pk),
        "prompt": judged.prompt,
        "completions": [{"id": name, "text": text} for name, text in sorted(judged.texts.items())],
        "tiers": judged.tiers,
        "strengths": judged.strengths,
        "rater": judged.rater,
        "rater_group": judged.rater_group,
        "seconds": ranking.seconds,
        "simulated": ranking.is_simulated,
        "all_bad": ranking.all_bad,
        "cannot_rank": ranking.cannot_rank,
        "texts": [text_row(ranking, name) for name in sorted(judged.texts)],
        "ai": ranking.is_ai,
        "labels": [
            {
                "chosen": sure.pair.better,
                "rejected": sure.pair.worse,
                "label": sure.label,
                "principle": sure.principle,
            }
            for sure in (sure_pairs(judged) if ranking.is_ai else ())
        ],
    }


def text_row(ranking: Ranking, name: str) -> dict[str, Any]:
    """What the ranking says of one text. Reasons stay here: they are written for those who run the campaign."""
    edit = ranking.edit
    return {
        "id": name,
        "left_out": name in ranking.unranked,
        "flags": " ".join(ranking.flags.get(name, ())),
        "ratings": canonical(ranking.ratings.get(name, {})).decode(),
        "better_than": str(edit.parent_id) if edit is not None and str(edit.pk) == name else "",
    }
