"""The mathematics of groups against numbers worked out by hand, and what must hold for any scores."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.mechanics.groups import math as group

torch.set_num_threads(1)

NOBODY = math.nan
SCORES = st.one_of(st.floats(-5, 5, width=32), st.just(NOBODY))
GROUPS = st.lists(st.lists(SCORES, min_size=4, max_size=4), min_size=1, max_size=5)


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def flat(groups):
    return torch.tensor(groups, dtype=torch.float64).flatten()


def part(new, old, *, signals, counts=None, reference=None, mask=None, tokens=1.0):
    new = torch.tensor(new, dtype=torch.float64, requires_grad=True)
    return group.Part(
        new_BA=new,
        old_BA=torch.tensor(old, dtype=torch.float64),
        reference_BA=torch.tensor(reference if reference is not None else old, dtype=torch.float64),
        mask_BA=torch.ones_like(new, dtype=torch.bool) if mask is None else torch.tensor(mask),
        signals_B=tensor(*signals),
        counts_B=torch.tensor(counts if counts is not None else [True] * len(signals)),
        tokens=tokens,
    )


def ratio_of(rows):
    """Log-probabilities whose ratio to zeros is as given."""
    return [[math.log(value) for value in row] for row in rows]


GRPO = {"ratio": "token", "clip_low": 0.2, "clip_high": 0.2, "kl_price": 0.0, "weighing": "grpo", "max_tokens": 10}


# Advantages


def test_each_completion_is_measured_by_the_mean_of_its_siblings():
    assert group.leave_one_out_advantages(tensor(1, 2, 6, 0, 0, 3), k=3).tolist() == [-3, -1.5, 4.5, -1.5, -1.5, 3]


def test_what_nobody_scored_is_no_part_of_the_baseline():
    assert group.leave_one_out_advantages(tensor(1, NOBODY, 4), k=3).tolist() == [-3, 0, 3]
    assert group.leave_one_out_advantages(tensor(NOBODY, NOBODY, 4), k=3).tolist() == [0, 0, 0]


def test_grpo_divides_by_the_prompts_own_deviation_by_that_of_all_or_not_at_all():
    scores = tensor(1, 3, 10, 30)
    own, every, none = (group.group_advantages(scores, k=2, scale=scale) for scale in ("group", "batch", "none"))
    assert none.tolist() == [-1, 1, -10, 10]
    assert own.tolist() == pytest.approx([-(0.5**0.5), 0.5**0.5] * 2, rel=1e-3)
    assert every.tolist() == pytest.approx([value / scores.std().item() for value in (-1, 1, -10, 10)], rel=1e-3)


@given(GROUPS)
def test_advantages_sum_to_zero_within_each_group_and_are_zero_for_what_nobody_scored(groups):
    scores = flat(groups)
    found = [group.group_advantages(scores, k=4, scale=scale) for scale in ("group", "batch", "none")]
    for advantages in (group.leave_one_out_advantages(scores, k=4), *found):
        assert advantages.isfinite().all()
        assert (advantages[scores.isnan()] == 0).all()
        assert advantages.view(-1, 4).sum(dim=1).abs().max().item() == pytest.approx(0, abs=1e-4)


@given(GROUPS, st.floats(-5, 5, width=32))
def test_equal_rewards_give_advantages_of_zero_and_no_pair(groups, value):
    scores = torch.where(flat(groups).isnan(), flat(groups), value)
    found = [group.group_advantages(scores, k=4, scale=scale) for scale in ("group", "none")]
    for advantages in (group.leave_one_out_advantages(scores, k=4), *found):
        assert advantages.abs().max().item() == pytest.approx(0, abs=1e-9)
    assert group.indifferent_groups(scores, k=4).all()
    assert group.best_and_worst(scores, k=4) == []


@given(GROUPS, st.randoms())
def test_the_score_of_a_masked_completion_never_counts(groups, lot):
    """A group with one completion masked has the advantages of the group without it."""
    for scores in (torch.tensor(each, dtype=torch.float64) for each in groups):
        place = lot.randrange(4)
        rest = [i for i in range(4) if i != place]
        masked = scores.clone()
        masked[place] = NOBODY
        both = group.leave_one_out_advantages(masked, k=4)[rest], group.leave_one_out_advantages(scores[rest], k=3)
        assert both[0].tolist() == pytest.approx(both[1].tolist())


@given(GROUPS)
def test_a_pair_is_the_best_and_the_worst_that_somebody_scored(groups):
    scores = flat(groups)
    pairs = group.best_and_worst(scores, k=4)
    assert len(pairs) == (~group.indifferent_groups(scores, k=4)).sum().item()
    for chosen, rejected in pairs:
        scored = [value for value in groups[chosen // 4] if not math.isnan(value)]
        assert (scores[chosen].item(), scores[rejected].item()) == (max(scored), min(scored))
        assert chosen // 4 == rejected // 4


# Losses


def test_rloo_takes_a_completion_as_one_action():
    told = group.leave_one_out_loss(
        part(ratio_of([[1.05, 1.02], [0.9, 1.0]]), [[0, 0], [0, 0]], signals=[2, -1]), clip=0.2
    )
    assert told.loss.item() == pytest.approx((-2 * 1.05 * 1.02 + 0.9) / 2)
    assert told.clip_fraction.item() == 0


def test_the_clip_takes_the_gradient_where_going_on_would_please():
    given_part = part(ratio_of([[1.5], [0.5], [1.5], [0.5]]), [[0.0]] * 4, signals=[1, -1, -1, 1])
    told = group.leave_one_out_loss(given_part, clip=0.2)
    told.loss.backward()
    assert given_part.new_BA.grad.flatten().tolist() == pytest.approx([0, 0, 1.5 / 4, -0.5 / 4])
    assert told.clip_fraction.item() == 0.5


@pytest.mark.parametrize(
    ("weighing", "expected"),
    [
        ("grpo", -((1.1 + 1.0) / 2 * 1 + 0.9 * 2) / 2),
        ("dapo", -(1.1 + 1.0 + 0.9 * 2) / 4),
        ("dr_grpo", -(1.1 + 1.0 + 0.9 * 2) / (2 * 10)),
        ("bnpo", -(1.1 + 1.0 + 0.9 * 2) / 3),
    ],
)
def test_a_token_weighs_by_its_completion_by_all_or_by_the_longest_length(weighing, expected):
    told = group.group_loss(
        part(
            ratio_of([[1.1, 1.0], [0.9, 9.0]]),
            [[0, 0], [0, 0]],
            signals=[1, 2],
            mask=[[True, True], [True, False]],
            tokens=4.0,
        ),
        **GRPO | {"weighing": weighing},
    )
    assert told.loss.item() == pytest.approx(expected)


def test_dapo_clips_further_above_than_below():
    told = group.group_loss(
        part(ratio_of([[1.25], [1.4], [0.7]]), [[0.0]] * 3, signals=[1, 1, -1]), **GRPO | {"clip_high": 0.28}
    )
    assert told.loss.item() == pytest.approx((-1.25 - 1.28 + 0.8) / 3)
    assert told.clip_fraction.item() == pytest.approx(2 / 3)


def test_gspo_clips_the_geometric_mean_of_a_completions_ratios():
    told = group.group_loss(part(ratio_of([[1.44, 1.0]]), [[0, 0]], signals=[1]), **GRPO | {"ratio": "sequence"})
    assert told.loss.item() == pytest.approx(-1.2)
    assert told.ratios.tolist() == pytest.approx([1.2])


def test_kl_is_paid_by_k3_which_is_never_negative():
    given_part = part([[-1.0]], [[-1.0]], signals=[0], reference=[[-2.0]])
    told = group.group_loss(given_part, **GRPO | {"kl_price": 0.5})
    assert told.loss.item() == pytest.approx(0.5 * (math.exp(-1) + 1 - 1))


@pytest.mark.parametrize("weighing", ["grpo", "dr_grpo", "bnpo"])
def test_a_completion_that_nobody_scored_weighs_nothing_in_the_loss_its_kl_included(weighing):
    old, reference = [[-1.0, -2.0], [-1.0, -1.0]], [[-1.5, -1.0], [-3.0, -2.0]]
    new = [[-0.9, -2.2], [-0.5, -0.7]]
    asked = GRPO | {"weighing": weighing, "kl_price": 0.3}
    both = part(new, old, signals=[1, 0], counts=[True, False], reference=reference)
    alone = part(new[:1], old[:1], signals=[1], reference=reference[:1])
    told = group.group_loss(both, **asked)
    assert told.loss.item() == pytest.approx(group.group_loss(alone, **asked).loss.item())
    told.loss.backward()
    assert (both.new_BA.grad[1] == 0).all()
    rloo = group.leave_one_out_loss(both, clip=0.2), group.leave_one_out_loss(alone, clip=0.2)
    assert rloo[0].loss.item() == pytest.approx(rloo[1].loss.item())


def test_the_first_loss_of_a_pair_is_that_of_a_coin():
    same = part([[-1.0], [-3.0]], [[-1.0], [-3.0]], signals=[1, -1])
    assert group.pair_loss(same, beta=0.1, kind="sigmoid").loss.item() == pytest.approx(math.log(2))
    assert group.pair_loss(same, beta=0.1, kind="ipo").loss.item() == pytest.approx(25)


def test_a_pair_is_learned_by_what_it_moved_apart_from_the_reference():
    moved = part([[-0.5], [-4.0]], [[0.0], [0.0]], signals=[1, -1], reference=[[-1.0], [-3.0]])
    assert group.pair_loss(moved, beta=0.5, kind="sigmoid").loss.item() == pytest.approx(math.log(1 + math.exp(-0.75)))
    assert group.pair_loss(moved, beta=0.5, kind="ipo").loss.item() == pytest.approx((1.5 - 1) ** 2)
