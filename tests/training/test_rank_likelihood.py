"""The likelihood of orders: a distribution over all of them, Bradley-Terry for two, equal to what slow sums give."""

from __future__ import annotations

import math
from itertools import combinations, permutations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from training.mechanics.people.likelihood import (
    NOWHERE,
    bradley_terry_losses,
    losses_by_lot,
    num_choices,
    plackett_luce_losses,
    ties_of_equals,
)

SCORE = st.floats(-4, 4)


def loss_of(scores, tiers, *, ties=(), gaps=None) -> torch.Tensor:
    """Of one order, given as tiers of indices into `scores`."""
    places = [index for tier in tiers for index in tier]
    numbers = [number for number, tier in enumerate(tiers) for _ in tier]
    below = [sum((gaps or [0] * len(tiers))[:number]) for number in numbers]
    return plackett_luce_losses(
        torch.as_tensor(scores, dtype=torch.float32)[places].unsqueeze(0), torch.tensor([numbers]),
        log_ties=torch.tensor(ties) if ties else None, strengths_OK=torch.tensor([below], dtype=torch.float32),
    )[0]  # fmt: skip


def weak_orders(names):
    """Every way to put names into tiers."""
    if not names:
        yield ()
    for size in range(1, len(names) + 1):
        for tier in combinations(names, size):
            for rest in weak_orders(tuple(name for name in names if name not in tier)):
                yield (tier, *rest)


def slow_loss(scores, tiers, *, ties=()) -> float:
    """The equation as it is written, over all subsets."""
    d = [1.0, *(math.exp(tie) for tie in ties)]

    def worth(subset):
        return d[len(subset) - 1] * math.exp(sum(scores[i] for i in subset) / len(subset))

    left, total = [i for tier in tiers for i in tier], 0.0
    for tier in tiers:
        among = sum(worth(subset) for t in range(1, len(d) + 1) for subset in combinations(left, t))
        total -= math.log(worth(tier) / among)
        left = [i for i in left if i not in tier]
    return total


@given(SCORE, SCORE, st.floats(0, 3))
def test_for_two_texts_it_is_bradley_terry_with_its_margin(better, worse, margin):
    found = loss_of([better, worse], [(0,), (1,)], gaps=[margin])
    expected = -F.logsigmoid(torch.tensor(better - worse - margin))
    assert found.item() == pytest.approx(expected.item(), abs=1e-5)
    told = bradley_terry_losses(torch.tensor(better), torch.tensor(worse), margin=margin)
    assert told.item() == pytest.approx(expected.item(), abs=1e-5)


@pytest.mark.slow(seconds=3)
@given(st.lists(SCORE, min_size=2, max_size=5))
def test_the_probabilities_of_all_strict_orders_sum_to_one(scores):
    orders = permutations(range(len(scores)))
    assert sum(math.exp(-loss_of(scores, [(i,) for i in order])) for order in orders) == pytest.approx(1, abs=1e-4)


@pytest.mark.slow(seconds=3)
@given(st.lists(SCORE, min_size=2, max_size=4), st.lists(st.floats(-3, 2), min_size=3, max_size=3))
def test_with_ties_the_probabilities_of_all_weak_orders_sum_to_one(scores, ties):
    ties = ties[: len(scores) - 1]
    orders = weak_orders(tuple(range(len(scores))))
    assert sum(math.exp(-loss_of(scores, order, ties=ties)) for order in orders) == pytest.approx(1, abs=1e-4)


@given(st.lists(SCORE, min_size=4, max_size=4), st.lists(st.floats(-3, 2), min_size=3, max_size=3), st.data())
def test_it_equals_the_sum_over_all_subsets(scores, ties, data):
    order = data.draw(st.sampled_from(list(weak_orders((0, 1, 2, 3)))))
    expected = slow_loss(scores, order, ties=ties)
    assert loss_of(scores, order, ties=ties).item() == pytest.approx(expected, abs=1e-4)


@given(st.permutations(range(4)))
def test_texts_that_are_equal_to_the_rater_may_stand_in_any_order(order):
    scores = [0.3, -1.2, 2.0, 0.7]
    expected = loss_of(scores, [(0, 1, 2), (3,)], ties=(-0.5, -1.0)).item()
    tier = [i for i in order if i != 3]
    assert loss_of(scores, [tier, (3,)], ties=(-0.5, -1.0)).item() == pytest.approx(expected, abs=1e-5)


def test_a_tie_of_two_is_davidsons():
    a, b, d = math.exp(0.4), math.exp(-0.9), math.exp(-0.3)
    expected = d * math.sqrt(a * b) / (a + b + d * math.sqrt(a * b))
    assert math.exp(-loss_of([0.4, -0.9], [(0, 1)], ties=(-0.3,))) == pytest.approx(expected, rel=1e-5)


def test_a_tie_pulls_scores_together_and_a_choice_apart():
    scores = torch.tensor([1.0, -1.0], requires_grad=True)
    (tie,) = torch.autograd.grad(loss_of(scores, [(0, 1)], ties=(0.0,)), scores)
    (choice,) = torch.autograd.grad(loss_of(scores, [(0,), (1,)], ties=(0.0,)), scores)
    assert tie[0] > 0 > tie[1]
    assert choice[0] < 0 < choice[1]


def test_orders_of_other_lengths_beside_it_change_nothing():
    scores = torch.tensor([[1.0, 0.2, -0.5], [0.4, -0.4, 99.0]])
    tiers = torch.tensor([[0, 1, 1], [0, 1, NOWHERE]])
    together = plackett_luce_losses(scores, tiers, log_ties=torch.tensor([-1.0]))
    assert together[0].item() == pytest.approx(loss_of([1.0, 0.2, -0.5], [(0,), (1, 2)], ties=(-1.0,)).item())
    assert together[1].item() == pytest.approx(loss_of([0.4, -0.4], [(0,), (1,)], ties=(-1.0,)).item())


def test_moving_all_scores_alike_changes_nothing():
    moved = loss_of([101.0, 100.2, 99.5], [(0, 1), (2,)], ties=(-1.0,))
    assert moved.item() == pytest.approx(loss_of([1.0, 0.2, -0.5], [(0, 1), (2,)], ties=(-1.0,)).item(), abs=1e-4)


@pytest.mark.parametrize("size", [1e3, 1e5])
def test_gradients_of_enormous_scores_are_numbers(size):
    scores = torch.tensor([[-size, 0.0, size, size / 2]], requires_grad=True)
    ties = torch.tensor([0.0, -1.0], requires_grad=True)
    plackett_luce_losses(scores, torch.tensor([[0, 1, 1, NOWHERE]]), log_ties=ties).sum().backward()
    assert torch.isfinite(scores.grad).all() and torch.isfinite(ties.grad).all()
    assert scores.grad[0, 3] == 0


def test_the_gradient_is_that_of_finite_differences():
    tiers = torch.tensor([[0, 0, 1, 2]])
    scores, ties = torch.tensor([[0.2, -0.3, 0.9, -1.0]]), torch.tensor([-0.7])
    free = scores.clone().requires_grad_()
    plackett_luce_losses(free, tiers, log_ties=ties).sum().backward()
    for place in range(4):
        step = torch.zeros_like(scores)
        step[0, place] = 1e-2
        up, down = (plackett_luce_losses(scores + sign * step, tiers, log_ties=ties).item() for sign in (1, -1))
        assert free.grad[0, place].item() == pytest.approx((up - down) / 2e-2, abs=1e-3)


def test_choices_are_counted_where_there_is_something_to_choose_from():
    tiers = torch.tensor([[0, 1, 2, 3], [0, 1, 1, NOWHERE], [0, 0, NOWHERE, NOWHERE], [0, 0, 1, NOWHERE]])
    assert num_choices(tiers).tolist() == [3, 2, 1, 1]


# Raters who answer by lot


def test_for_two_texts_by_lot_is_a_flipped_label():
    tiers, lot = torch.tensor([[0, 1]]), 0.3
    meant = plackett_luce_losses(torch.tensor([[0.8, -0.4]]), tiers)
    right = 1 / (1 + math.exp(-1.2))
    expected = -math.log((1 - lot / 2) * right + lot / 2 * (1 - right))
    assert losses_by_lot(meant, tiers, lots_O=torch.tensor([lot])).item() == pytest.approx(expected, rel=1e-5)


def test_whom_one_trusts_wholly_is_taken_at_her_word_and_whom_not_at_all_teaches_nothing():
    scores = torch.tensor([[0.8, -0.4, 0.1], [0.8, -0.4, 0.1]], requires_grad=True)
    tiers = torch.tensor([[0, 1, 2]] * 2)
    losses = losses_by_lot(plackett_luce_losses(scores, tiers), tiers, lots_O=torch.tensor([0.0, 1.0]))
    assert losses[0].item() == pytest.approx(plackett_luce_losses(scores, tiers)[0].item(), rel=1e-5)
    assert losses[1].item() == pytest.approx(math.log(6), rel=1e-3)
    losses.sum().backward()
    assert scores.grad[1].abs().max() < 1e-5 < scores.grad[0].abs().max()


# Where learning begins


def test_without_ties_none_are_held_possible():
    assert ties_of_equals([(1, 1, 1)] * 5) == []


def test_pairs_begin_with_ties_as_frequent_as_they_were_seen():
    (log_d,) = ties_of_equals([(2,)] * 20 + [(1, 1)] * 80)
    assert math.exp(-loss_of([0.0, 0.0], [(0, 1)], ties=(log_d,))) == pytest.approx(0.2, abs=1e-4)
