"""The mathematics of PPO against numbers worked out by hand, naive loops and finite differences."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.mechanics.ppo import math as ppo

torch.set_num_threads(1)


def tensor(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def mask(*lengths, width):
    return torch.arange(width).unsqueeze(0) < torch.tensor(lengths).unsqueeze(1)


def random_rows(seed, lengths, width):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(lengths), width, generator=generator, dtype=torch.float64)


def finite_difference(function, at, step=1e-6):
    gradient = torch.zeros_like(at)
    for index in range(at.numel()):
        nudge = torch.zeros_like(at).flatten()
        nudge[index] = step
        nudge = nudge.view_as(at)
        gradient.view(-1)[index] = (function(at + nudge) - function(at - nudge)) / (2 * step)
    return gradient


# Log-probabilities and entropy


def test_log_probabilities_are_taken_at_the_temperature_of_sampling():
    logits = torch.tensor([[[0.0, math.log(4.0)]]])
    actions = torch.tensor([[1]])
    assert ppo.token_logprobs(logits, actions, temperature=1.0).item() == pytest.approx(math.log(4 / 5), abs=1e-6)
    # At temperature 2 the odds are the square root: 2 to 1.
    assert ppo.token_logprobs(logits, actions, temperature=2.0).item() == pytest.approx(math.log(2 / 3), abs=1e-6)


def test_log_probabilities_of_bfloat16_logits_are_float32():
    logits = torch.tensor([[[1.0, 2.0, 3.0]]], dtype=torch.bfloat16)
    logprobs = ppo.token_logprobs(logits, torch.tensor([[2]]), temperature=1.0)
    assert logprobs.dtype == torch.float32
    assert logprobs.item() == pytest.approx(-math.log(1 + math.exp(-1) + math.exp(-2)), abs=1e-6)


def test_entropy_of_a_uniform_choice_is_the_logarithm_of_its_size():
    assert ppo.token_entropies(torch.zeros(1, 1, 7), temperature=0.7).item() == pytest.approx(math.log(7), abs=1e-6)
    nearly_certain = torch.tensor([[[100.0, 0.0, 0.0]]])
    assert ppo.token_entropies(nearly_certain, temperature=1.0).item() == pytest.approx(0.0, abs=1e-6)


# Means and whitening


def test_a_mean_weighs_tokens_and_not_rows():
    x = tensor([1, 2, 3], [10, -999, -999])
    assert ppo.masked_mean(x, mask(3, 1, width=3)).item() == pytest.approx(4.0)


def test_a_mean_ignores_what_is_not_a_number_in_the_padding():
    x = tensor([1, 3, math.nan])
    assert ppo.masked_mean(x, mask(2, width=3)).item() == 2.0


@given(st.integers(0, 10_000), st.lists(st.integers(1, 6), min_size=2, max_size=5))
def test_whitened_advantages_have_mean_0_and_deviation_1_over_the_taken_actions_and_0_elsewhere(seed, lengths):
    taken = mask(*lengths, width=6)
    white = ppo.whiten(3 + 5 * random_rows(seed, lengths, 6), taken)
    values = white[taken]
    assert values.mean().item() == pytest.approx(0, abs=1e-9)
    assert values.std(correction=0).item() == pytest.approx(1, abs=1e-4)
    assert (white[~taken] == 0).all()


def test_whitening_equal_advantages_gives_zeros():
    assert ppo.whiten(tensor([2, 2, 2]), mask(3, width=3)).tolist() == [[0, 0, 0]]


# Rewards


def test_the_score_is_paid_once_at_the_last_action_and_kl_at_each():
    policy, reference = tensor([-1, -2, -3], [-1, -2, -9]), tensor([-2, -2, -1], [-1, -1, -1])
    rewards = ppo.token_rewards(
        torch.tensor([10.0, 20.0], dtype=torch.float64), policy, reference, mask(3, 2, width=3), kl_price=0.5
    )
    assert rewards.tolist() == [[-0.5, 0.0, 11.0], [0.0, 20.5, 0.0]]


def test_kl_of_a_completion_is_the_sum_over_its_own_tokens():
    policy, reference = tensor([-1, -2, -3], [-1, -2, -9]), tensor([-2, -2, -1], [-1, -1, -1])
    assert ppo.completion_kl(policy, reference, mask(3, 2, width=3)).tolist() == [-1.0, -1.0]


def test_scores_are_cut_then_charged_for_a_missing_end():
    scores = ppo.final_scores(
        torch.tensor([9.0, -9.0, 0.5]), torch.tensor([True, False, False]), clip=5.0, missing_eos_penalty=1.0
    )
    assert scores.tolist() == [5.0, -6.0, -0.5]


def test_the_reference_samples_get_mean_0_and_deviation_1():
    raw = 3.0 + 2.0 * torch.randn(64, generator=torch.Generator().manual_seed(1))
    scale = ppo.Scale.of(raw, otherwise=ppo.Scale(0.0, 1.0))
    assert scale.normalise(raw).mean().item() == pytest.approx(0, abs=1e-5)
    assert scale.normalise(raw).std(correction=0).item() == pytest.approx(1, abs=1e-5)


def test_a_constant_reward_keeps_the_scale_that_was_given():
    given_scale = ppo.Scale(1.0, 3.0)
    noise = 5.0 + 1e-6 * torch.randn(64, generator=torch.Generator().manual_seed(1))
    assert ppo.Scale.of(noise, otherwise=given_scale) == given_scale


def test_a_handful_of_scores_does_not_set_the_scale():
    given_scale = ppo.Scale(1.0, 3.0)
    assert ppo.Scale.of(torch.arange(8.0), otherwise=given_scale) == given_scale


# Advantages


def naive_advantages(rewards, values, lengths, gamma, lam):
    """A_a = sum_k (gamma lam)^k delta_{a+k}, written out as a double loop over each row's own length."""
    advantages = torch.zeros_like(rewards)
    for row, length in enumerate(lengths):
        for a in range(length):
            for k in range(a, length):
                following = values[row, k + 1] if k + 1 < length else 0.0
                delta = rewards[row, k] + gamma * following - values[row, k]
                advantages[row, a] += (gamma * lam) ** (k - a) * delta
    return advantages


@given(
    st.integers(0, 10_000),
    st.lists(st.integers(1, 7), min_size=1, max_size=4),
    st.floats(0.5, 1.0),
    st.floats(0.0, 1.0),
)
def test_advantages_equal_a_naive_double_loop_whatever_the_padding_holds(seed, lengths, gamma, lam):
    taken = mask(*lengths, width=7)
    rewards = torch.where(taken, random_rows(seed, lengths, 7), 0.0)
    values = torch.where(taken, random_rows(seed + 1, lengths, 7), math.nan)  # a critic's padding may hold anything
    advantages, targets = ppo.generalised_advantages(rewards, values, taken, gamma=gamma, lam=lam)
    expected = naive_advantages(rewards, values, lengths, gamma, lam)
    assert torch.allclose(advantages, expected, atol=1e-10)
    assert torch.allclose(targets[taken], (expected + values)[taken], atol=1e-10)
    assert (targets[~taken] == 0).all()


def test_without_discount_a_target_is_the_sum_of_the_rewards_to_come():
    rewards, values = tensor([1, 2, 3]), tensor([5, -1, 7])
    _, targets = ppo.generalised_advantages(rewards, values, mask(3, width=3), gamma=1.0, lam=1.0)
    assert targets.tolist() == [[6, 5, 3]]


def test_advantages_worked_out_by_hand():
    # delta = (0 + .5*2 - 1, 4 - 2) = (0, 2);  A = (0 + .5*.5*2, 2)
    advantages, targets = ppo.generalised_advantages(
        tensor([0, 4]), tensor([1, 2]), mask(2, width=2), gamma=0.5, lam=0.5
    )
    assert advantages.tolist() == [[0.5, 2.0]]
    assert targets.tolist() == [[1.5, 4.0]]


# Losses


def test_the_policy_loss_at_ratio_1_is_minus_the_mean_advantage():
    old = tensor([-1, -2], [-3, -4])
    found = ppo.policy_loss(old.clone(), old, tensor([1, 2], [3, 99]), mask(2, 1, width=2), clip=0.2)
    assert found.loss.item() == pytest.approx(-2.0)
    assert found.approx_kl.item() == 0.0
    assert found.clip_fraction.item() == 0.0
    assert found.mean_ratio.item() == 1.0


def test_the_policy_loss_worked_out_by_hand():
    # Ratios 2, 2, .5, .5 with advantages 1, -1, 1, -1: the clipped objective takes 1.2, -2, .5, -.8.
    old = tensor([0, 0, 0, 0])
    new = torch.log(tensor([2, 2, 0.5, 0.5]))
    found = ppo.policy_loss(new, old, tensor([1, -1, 1, -1]), mask(4, width=4), clip=0.2)
    assert found.loss.item() == pytest.approx(-(1.2 - 2 + 0.5 - 0.8) / 4)
    assert found.clip_fraction.item() == pytest.approx(0.5)
    assert found.mean_ratio.item() == pytest.approx(1.25)
    assert found.max_ratio_error.item() == pytest.approx(1.0)
    expected_kl = ((2 - 1 - math.log(2)) * 2 + (0.5 - 1 + math.log(2)) * 2) / 4
    assert found.approx_kl.item() == pytest.approx(expected_kl)


def test_the_policy_gradient_equals_finite_differences():
    lengths = (4, 2, 3)
    taken = mask(*lengths, width=4)
    old = random_rows(1, lengths, 4)
    advantages = random_rows(2, lengths, 4)
    new = (old + 0.5 * random_rows(3, lengths, 4)).requires_grad_()

    def loss(at):
        return ppo.policy_loss(at, old, advantages, taken, clip=0.2).loss

    loss(new).backward()
    assert torch.allclose(new.grad, finite_difference(loss, new.detach()), atol=1e-8)
    assert new.grad.abs().sum() > 0
    assert (new.grad[~taken] == 0).all()


def test_the_policy_gradient_through_the_logits_equals_finite_differences():
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(2, 3, 5, generator=generator, dtype=torch.float32).requires_grad_()
    actions = torch.randint(0, 5, (2, 3), generator=generator)
    old = ppo.token_logprobs(logits.detach(), actions, temperature=0.7)
    advantages = torch.randn(2, 3, generator=generator)
    taken = mask(3, 2, width=3)

    def loss(at):
        new = ppo.token_logprobs(at, actions, temperature=0.7)
        return ppo.policy_loss(new, old, advantages, taken, clip=0.2).loss

    loss(logits).backward()
    assert torch.allclose(logits.grad, finite_difference(loss, logits.detach(), step=1e-2), atol=1e-3)
    assert logits.grad.abs().max() > 0.02


def test_padding_with_a_huge_log_ratio_leaves_the_gradient_finite():
    new = tensor([0.0, 5000.0]).requires_grad_()
    found = ppo.policy_loss(new, tensor([0, 0]), tensor([1, 1]), mask(1, width=2), clip=0.2)
    found.loss.backward()
    assert found.loss.item() == -1.0
    assert new.grad.tolist() == [[-1.0, 0.0]]


def test_the_value_loss_worked_out_by_hand():
    # V moved from 0 to 1 with clip .2, target 2: unclipped error 1, clipped (0.2 - 2)^2 = 3.24; the worse one counts.
    # V moved from 0 to 1, target 0: unclipped 1, clipped .04. The third is padding.
    loss = ppo.value_loss(tensor([1, 1, 9]), tensor([0, 0, 0]), tensor([2, 0, 0]), mask(2, width=3), clip=0.2)
    assert loss.item() == pytest.approx(0.5 * (3.24 + 1.0) / 2)


def test_the_value_gradient_equals_finite_differences():
    lengths = (4, 2, 3)
    taken = mask(*lengths, width=4)
    old, targets = random_rows(1, lengths, 4), random_rows(2, lengths, 4)
    new = (old + 0.3 * random_rows(3, lengths, 4)).requires_grad_()

    def loss(at):
        return ppo.value_loss(at, old, targets, taken, clip=0.2)

    loss(new).backward()
    assert torch.allclose(new.grad, finite_difference(loss, new.detach()), atol=1e-8)
    assert (new.grad[~taken] == 0).all()
    assert new.grad.abs().sum() > 0


def test_explained_variance_is_1_for_a_critic_that_knows_and_0_for_a_constant():
    targets, taken = tensor([1, 2, 3, 99]), mask(3, width=4)
    assert ppo.explained_variance(targets.clone(), targets, taken) == pytest.approx(1.0)
    assert ppo.explained_variance(tensor([7, 7, 7, 0]), targets, taken) == pytest.approx(0.0)
    assert ppo.explained_variance(-targets, targets, taken) == pytest.approx(-3.0)
    assert ppo.explained_variance(targets, tensor([5, 5, 5, 5]), taken) == 0.0


# The price of KL


def test_the_price_of_kl_rises_above_the_target_and_falls_below_it():
    assert ppo.next_kl_price(0.1, kl=6.6, target=6.0, episodes=100, horizon=1000) == pytest.approx(0.1 * 1.01)
    assert ppo.next_kl_price(0.1, kl=5.4, target=6.0, episodes=100, horizon=1000) == pytest.approx(0.1 * 0.99)
    assert ppo.next_kl_price(0.1, kl=6.0, target=6.0, episodes=100, horizon=1000) == pytest.approx(0.1)


@given(st.floats(-1e6, 1e6))
def test_one_rollout_moves_the_price_by_a_fifth_of_its_share_of_the_horizon_at_most(kl):
    price = ppo.next_kl_price(0.1, kl=kl, target=6.0, episodes=100, horizon=1000)
    assert 0.098 - 1e-12 <= price <= 0.102 + 1e-12


def test_without_a_target_the_price_stays():
    assert ppo.next_kl_price(0.1, kl=600.0, target=None, episodes=100, horizon=1000) == 0.1


@pytest.mark.parametrize("gain", [5.0, 50.0])
def test_the_controller_brings_a_process_that_answers_the_price_to_its_target(gain):
    price = 1.0
    for _ in range(400):
        price = ppo.next_kl_price(price, kl=gain / price, target=6.0, episodes=100, horizon=1000)
    assert gain / price == pytest.approx(6.0, rel=0.02)


# Where the critic begins


def foreseen(along, returns):
    mask = torch.ones(along.shape, dtype=torch.bool)
    rewards = torch.zeros(along.shape)
    rewards[:, -1] = returns
    return ppo.foreseen_returns(along, rewards, mask, gamma=1.0)


def test_a_score_along_the_way_is_believed_as_far_as_it_was_right():
    torch.manual_seed(0)
    returns = torch.randn(200)
    told = (returns / 2).unsqueeze(1).expand(-1, 4)
    assert torch.allclose(foreseen(told, returns), returns.unsqueeze(1).expand(-1, 4), atol=0.1)

    half = told + 0.5 * torch.randn(200, 4)  # as much noise as meaning
    kept = foreseen(half, returns)
    slope = ((kept * half).mean() / half.square().mean()).item()
    assert slope == pytest.approx(1.0, abs=0.15)  # of least squares: 2 less the noise's half

    idle = foreseen(torch.randn(200, 4), returns)
    assert idle.std() < 0.15
    assert idle.mean().item() == pytest.approx(returns.mean().item(), abs=0.05)


def test_a_score_that_means_something_in_the_end_alone_is_believed_there_alone():
    torch.manual_seed(0)
    returns = torch.randn(500)
    told = torch.randn(500, 8)
    told[:, 4:] += 4 * returns.unsqueeze(1)
    kept = foreseen(told, returns)
    assert kept[:, 7].std() > 2 * kept[:, 0].std()


def test_of_a_score_that_never_changes_only_the_course_of_the_mean_return_is_left():
    torch.manual_seed(0)
    returns = torch.randn(50)
    kept = foreseen(torch.full((50, 4), 3.0), returns)
    assert torch.allclose(kept, returns.mean().expand(50, 4), atol=1e-4)


def test_what_is_behind_a_completions_end_is_not_foreseen():
    mask = torch.tensor([[True, True, True], [True, False, False]])
    rewards = torch.tensor([[0.0, 0.0, 1.0], [3.0, 0.0, 0.0]])
    along = torch.tensor([[0.0, 1.0, 2.0], [5.0, 100.0, -100.0]])
    other = torch.where(mask, along, 7.0)
    kept = ppo.foreseen_returns(along, rewards, mask, gamma=1.0)
    assert not kept[~mask].any()
    assert torch.equal(kept, ppo.foreseen_returns(other, rewards, mask, gamma=1.0))
