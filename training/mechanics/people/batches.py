"""Rankings on their way into a model: a batch of prompts, each text of it once, and its orders as places among them.

Shapes: B groups, U texts, O orders, K places of an order (its end padded), P pairs of texts from different tiers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from training.mechanics.people.likelihood import NOWHERE
from training.mechanics.people.rankings import Group, Order
from training.mechanics.shared_prefix import Reader, Text, read_together

OF_ORDERS = ("places", "tiers", "below", "weights", "lots")


@dataclass(frozen=True, slots=True)
class RankingCollator:
    """What a model reads (`shared_prefix.read_together`), and beside it

    `orders_of` (B,), how many orders each group has; `places`, `tiers`, `below` (O, K), an order's texts, best first, the
    number of the tier of each and how far that is below the first; `weights`, `lots` (O,); `chosen`, `rejected` (P,);
    `head_weights` (O, H), where a model has several heads; `soft_labels` (O,), where an order may be the other way round.
    """

    reader: Reader

    def __call__(self, groups: Sequence[Group]) -> dict[str, Any]:
        texts: dict[Text, int] = {}
        orders: list[tuple[Order, list[int]]] = []
        for group in groups:
            place = [texts.setdefault(Text(ids, group=group.id), len(texts)) for ids in group.ids]
            orders += [(order, place) for order in group.orders]
        pairs = [(place[a], place[b]) for order, place in orders for a, b in order.pairs]
        labels = [order.label for order, _ in orders]
        of_heads = [order.heads for order, _ in orders if order.heads]
        chosen, rejected = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).unbind(dim=1)
        # `orders_of` stands first: the trainer takes the size of a batch from the first tensor it meets.
        return {
            "orders_of": torch.tensor([len(group.orders) for group in groups]),
            **places_of(orders),
            "weights": torch.tensor([order.weight for order, _ in orders]),
            "lots": torch.tensor([order.lot for order, _ in orders]),
            "chosen": chosen,
            "rejected": rejected,
            **({"head_weights": torch.tensor(of_heads)} if of_heads else {}),
            **({"soft_labels": torch.tensor(labels)} if min(labels) < 1 else {}),
            **read_together(list(texts), reader=self.reader),
        }


def places_of(orders: Sequence[tuple[Order, list[int]]]) -> dict[str, Tensor]:
    shape = (len(orders), max(sum(map(len, order.tiers)) for order, _ in orders))
    places_OK = torch.zeros(shape, dtype=torch.long)
    tiers_OK = torch.full(shape, NOWHERE)
    below_OK = torch.zeros(shape)
    for row, (order, place) in enumerate(orders):
        told = [(place[text], number) for number, tier in enumerate(order.tiers) for text in tier]
        for k, (text, number) in enumerate(told):
            places_OK[row, k], tiers_OK[row, k], below_OK[row, k] = text, number, order.below[number]
    return {"places": places_OK, "tiers": tiers_OK, "below": below_OK}
