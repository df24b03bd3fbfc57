"""What a reward model is trained on: a prompt, every text of it that somebody ranked, and all the orders they were put in.

A dataset's `rankings/` has whole orders, with ties and strengths; a dataset of comparisons alone (HH, TRL, imports) has
orders of two, and so has a ranking whose comparisons say how sure they are (`soft_labels`). Either way a prompt is one element
of a batch and weighs once, however many raters ranked it: each order of it has an equal share, and votes of several raters on
one pair come to a soft label.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

from training.context import RunContext
from training.contract import Failure, Input
from training.mechanics import datasets
from training.mechanics.datasets import Message
from training.mechanics.people.soft_labels import are_soft, label_of, may_be_soft
from training.mechanics.shared_prefix import Ids

MOST_TEXTS = 16  # of one element: what a batch holds is bounded, where a prompt has hundreds of comparisons

Reply = tuple[tuple[str, str], ...]  # (role, content) of each message


@dataclass(frozen=True, slots=True)
class Order:
    """A rater's order of some of a group's texts: tiers of indices, best first; `below`, how far each is below the first."""

    tiers: tuple[tuple[int, ...], ...]
    below: tuple[float, ...]
    weight: float
    rater: str = ""
    """A pseudonym."""
    lot: float = 0.0
    """The probability that it was given by lot."""
    label: float = 1.0
    """The probability that it is not the other way round, of two texts."""
    heads: tuple[float, ...] = ()
    """How much it counts for each head of a model; empty where there is one."""

    @property
    def pairs(self) -> Iterator[tuple[int, int]]:
        """(better, worse); ties give none."""
        for number, tier in enumerate(self.tiers):
            for better in tier:
                yield from ((better, worse) for later in self.tiers[number + 1 :] for worse in later)


@dataclass(frozen=True, slots=True)
class Group:
    """A prompt's texts (`ids`, the tokens of each as a whole conversation) and their orders."""

    id: str
    prompt: tuple[tuple[str, str], ...]
    replies: tuple[Reply, ...]
    orders: tuple[Order, ...]
    ids: tuple[Ids, ...] = ()
    num_prompt: int = 0
    """Tokens of the prompt, where the length of answers is asked for (`with_prompt_lengths`)."""

    @property
    def weight(self) -> float:
        return sum(order.weight for order in self.orders)

    @property
    def length(self) -> int:
        return max(map(len, self.ids))

    @property
    def answer_tokens(self) -> list[int]:
        return [len(ids) - self.num_prompt for ids in self.ids]


@dataclass(frozen=True, slots=True)
class Judged:
    """An order as a row has it, its tiers of replies."""

    group: str
    prompt: tuple[tuple[str, str], ...]
    tiers: tuple[tuple[Reply, ...], ...]
    below: tuple[float, ...]
    weight: float | None
    """None for an equal share of its prompt."""
    rater: str
    label: float = 1.0
    part: float = 1.0
    """Of a ranking: a comparison is as much of one as it has comparisons."""


def read_rankings(preferences: Input, *, split: str) -> list[Group]:
    """Of the whole rankings that stand beside the comparisons; empty where there are none.

    Where comparisons have soft labels, an order has no place for them: rankings of such comparisons are read as these, and so
    are comparisons whose ranking doesn't stand beside them. A ranking weighs what it did.
    """
    rows = datasets.read_rows(preferences, split=split, folder="rankings")
    pairs = labelled_pairs(preferences, {row["ranking_id"] for row in rows}) if rows and split == "train" else []
    taken = {row["ranking_id"] for row in pairs}
    judged = [of_ranking(row) for row in rows if row["ranking_id"] not in taken]
    times = Counter(row["ranking_id"] for row in pairs)
    judged += [replace(of_pair(row), weight=None, part=1 / times[row["ranking_id"]]) for row in pairs]
    return gathered(one for one in judged if one.tiers)


def labelled_pairs(preferences: Input, rankings: set[str]) -> list[dict[str, Any]]:
    """The training comparisons of rankings of which one has a label, or that are none of `rankings`; none without labels."""
    rows = datasets.read_rows(preferences, split="train") if may_be_soft(preferences) else []
    if not are_soft(rows):
        return []
    told = {row["ranking_id"] for row in rows if row.get("label") is not None}
    return [row for row in rows if row["ranking_id"] in told or row["ranking_id"] not in rankings]


def of_comparisons(rows: Iterable[dict[str, Any]]) -> list[Group]:
    """Rows of comparisons as orders of two."""
    return gathered(map(of_pair, rows))


def of_pair(row: dict[str, Any]) -> Judged:
    return Judged(
        row["group_id"], told(row["prompt"]), ((told(row["chosen"]),), (told(row["rejected"]),)),
        (0.0, row["margin"]), row["weight"], row["rater"], label_of(row),
    )  # fmt: skip


def of_ranking(row: dict[str, Any]) -> Judged:
    """Of two texts that say the same, one is ranked; where they stand in different tiers, neither."""
    texts = {one["id"]: one["text"] for one in row["completions"]}
    tiers = [{texts[name].strip(): texts[name] for name in tier} for tier in row["tiers"]]
    times = Counter(said for tier in tiers for said in tier)
    kept = [tuple((("assistant", text),) for said, text in tier.items() if times[said] == 1) for tier in tiers]
    below = accumulate(row["strengths"] or [1] * (len(tiers) - 1), initial=0)
    left = [(tier, float(down)) for tier, down in zip(kept, below, strict=False) if tier]
    if sum(len(tier) for tier, _ in left) < 2:
        left = []
    return Judged(
        row["group_id"], told(row["prompt"]), tuple(tier for tier, _ in left), tuple(down for _, down in left), None,
        row["rater"],
    )  # fmt: skip


def told(messages: list[Message]) -> Reply:
    return tuple((message["role"], message["content"]) for message in messages)


def gathered(judged: Iterable[Judged]) -> list[Group]:
    """Groups in the order in which prompts are met, of `MOST_TEXTS` texts at most; orders without a weight share 1."""
    of_group: dict[str, list[Judged]] = {}
    for one in judged:
        of_group.setdefault(one.group, []).append(one)
    groups = []
    for orders in of_group.values():
        num_rankings = sum(one.part for one in orders)
        places: dict[Reply, int] = {}
        part: list[Order] = []
        for one in orders:
            ranked = [reply for tier in one.tiers for reply in tier]
            if part and len(places.keys() | set(ranked)) > MOST_TEXTS:
                groups.append(Group(one.group, one.prompt, tuple(places), tuple(part)))
                places, part = {}, []
            for reply in ranked:
                places.setdefault(reply, len(places))
            tiers = tuple(tuple(places[reply] for reply in tier) for tier in one.tiers)
            weight = one.part / num_rankings if one.weight is None else one.weight
            part.append(Order(tiers, one.below, weight, one.rater, label=one.label))
        groups.append(Group(orders[0].group, orders[0].prompt, tuple(places), tuple(part)))
    return groups


def has_rankings(preferences: Input) -> bool:
    return any(Path(preferences.path, "rankings").glob("train-*.parquet"))


def scaled(groups: list[Group]) -> list[Group]:
    """Weights of groups with mean 1: the loss keeps the size of an unweighted one. Raises `Failure("no_weight")`."""
    mean = sum(group.weight for group in groups) / max(len(groups), 1)
    if groups and mean <= 0:
        raise Failure("no_weight", "No comparison has a weight above 0.", advice="Look at the dataset's weight column.")
    return [
        replace(group, orders=tuple(replace(order, weight=order.weight / mean) for order in group.orders))
        for group in groups
    ]


def tokenised(groups: list[Group], *, tokenizer: Any, max_length: int, context: RunContext, split: str) -> list[Group]:
    """With `ids`. Texts longer than `max_length` tokens take no part, and are counted: a cut one would lose its end.

    Raises `Failure("no_rows")` where nothing is left to train on.
    """
    kept: list[Group] = []
    num_long = num_texts = 0
    for group in groups:
        talks = [[*group.prompt, *reply] for reply in group.replies]
        ids = [
            tuple(datasets.render_conversation(tokenizer, [{"role": role, "content": text} for role, text in talk]))
            for talk in talks
        ]
        short = {i for i, tokens in enumerate(ids) if len(tokens) <= max_length}
        num_texts += len(ids)
        num_long += len(ids) - len(short)
        if left := only(replace(group, ids=tuple(ids)), short):
            kept.append(left)
    if num_long:
        context.warn(
            "left_out_long",
            f"{num_long} of {num_texts} texts ({split}) are longer than {max_length} tokens and were left out.",
        )
    if not kept and split == "train":
        raise Failure(
            "no_rows",
            f"No comparison is left: of the {num_texts} texts {num_long} are longer than {max_length} tokens.",
            advice="Raise max_length.",
        )
    return kept


def with_prompt_lengths(groups: list[Group], *, tokenizer: Any) -> list[Group]:
    answer = {"role": "assistant", "content": ""}
    return [
        replace(
            group,
            num_prompt=datasets.num_before(
                tokenizer, [*({"role": role, "content": text} for role, text in group.prompt), answer]
            ),
        )
        for group in groups
    ]


def only(group: Group, texts: set[int]) -> Group | None:
    """The group without its other texts, and without orders that have nothing left to compare; it weighs what it did."""
    if len(texts) == len(group.replies):
        return group
    new = {text: number for number, text in enumerate(sorted(texts))}
    orders = []
    for order in group.orders:
        tiers = [tuple(new[text] for text in tier if text in texts) for tier in order.tiers]
        if sum(map(len, tiers)) >= 2:
            left = [(tier, below) for tier, below in zip(tiers, order.below, strict=True) if tier]
            orders.append(
                replace(order, tiers=tuple(tier for tier, _ in left), below=tuple(below for _, below in left))
            )
    if not orders:
        return None
    share = group.weight / (sum(order.weight for order in orders) or 1.0)
    old = sorted(texts)
    return replace(
        group,
        replies=tuple(group.replies[i] for i in old),
        ids=tuple(group.ids[i] for i in old),
        orders=tuple(replace(order, weight=order.weight * share) for order in orders),
    )
