"""The mathematics of PPO on language: pure functions on tensors, each with its equation and where it comes from.

Shapes: B completions of a rollout or a minibatch, A actions, V vocabulary. An action is the choice of one response
token; column a of every `_BA` tensor belongs to the same choice: the log-probability with which it was taken, the value
of the state *before* it, the reward paid *after* it. Rows are right-padded: `mask_BA` is true on the actions that were
taken, a row's are contiguous, and every row has at least one. What stands outside the mask never counts.

Papers: Schulman et al. 2015 (GAE, arXiv:1506.02438) and 2017 (PPO, arXiv:1707.06347); Ziegler et al. 2019 (KL in the
reward and its controller, arXiv:1909.08593); Huang et al. 2024 (which details matter, arXiv:2403.17031).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

ERROR_BOUND = 0.2  # Ziegler et al. 2019, section 2.2: the controller's proportional error is cut to +-0.2


def token_logprobs(logits_BAV: Tensor, actions_BA: Tensor, *, temperature: float) -> Tensor:
    """log pi(action) at the sampling temperature, in float32 whatever the logits are: [B, A].

    The distribution that was sampled from is softmax(logits / temperature). At any other temperature the ratio of two
    policies is a ratio of distributions that nobody sampled from.
    """
    scaled_BAV = logits_BAV.float() / temperature
    chosen_BA = scaled_BAV.gather(-1, actions_BA.unsqueeze(-1)).squeeze(-1)
    return chosen_BA - scaled_BAV.logsumexp(dim=-1)


def token_entropies(logits_BAV: Tensor, *, temperature: float) -> Tensor:
    """H(pi) = logsumexp(z) - sum_v p_v z_v, in nats: [B, A]."""
    scaled_BAV = logits_BAV.float() / temperature
    return scaled_BAV.logsumexp(dim=-1) - (scaled_BAV.softmax(dim=-1) * scaled_BAV).sum(dim=-1)


def masked_mean(x_BA: Tensor, mask_BA: Tensor) -> Tensor:
    """Mean over the actions that were taken; every token weighs the same, however long its completion: []."""
    return torch.where(mask_BA, x_BA, 0.0).sum() / mask_BA.sum()


def masked_variance(x_BA: Tensor, mask_BA: Tensor) -> Tensor:
    """Biased variance (divided by n) over the actions that were taken: []."""
    return masked_mean((x_BA - masked_mean(x_BA, mask_BA)).square(), mask_BA)


def whiten(x_BA: Tensor, mask_BA: Tensor) -> Tensor:
    """Mean 0 and standard deviation 1 over the actions that were taken, 0 elsewhere: [B, A]."""
    white_BA = (x_BA - masked_mean(x_BA, mask_BA)) * (masked_variance(x_BA, mask_BA) + 1e-8).rsqrt()
    return torch.where(mask_BA, white_BA, 0.0)


def completion_kl(policy_BA: Tensor, reference_BA: Tensor, mask_BA: Tensor) -> Tensor:
    """Nats by which each completion moved away: sum_a log pi - log pi_ref, the k1 estimate of KL(pi || pi_ref): [B].

    Unbiased for samples of pi; a single completion's may be negative, the mean over many may not.
    """
    return torch.where(mask_BA, policy_BA - reference_BA, 0.0).sum(dim=-1)


def token_rewards(
    scores_B: Tensor, policy_BA: Tensor, reference_BA: Tensor, mask_BA: Tensor, *, kl_price: float
) -> Tensor:
    """r_a = -kl_price (log pi(a) - log pi_ref(a)), plus the completion's score once, at its last action: [B, A].

    Ziegler et al. 2019, equation 2, paid token by token.
    """
    rewards_BA = torch.where(mask_BA, -kl_price * (policy_BA - reference_BA), 0.0)
    return rewards_BA + torch.where(last_actions(mask_BA), scores_B.unsqueeze(-1), 0.0)


def last_actions(mask_BA: Tensor) -> Tensor:
    """True at each row's last action and nowhere else: [B, A]."""
    following_BA = torch.nn.functional.pad(mask_BA, (0, 1))[:, 1:]
    return mask_BA & ~following_BA


def generalised_advantages(
    rewards_BA: Tensor, values_BA: Tensor, mask_BA: Tensor, *, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """Advantages and the critic's targets (advantage + value, before any whitening): two of [B, A], 0 outside the mask.

        delta_a = r_a + gamma V_{a+1} - V_a        A_a = delta_a + gamma lam A_{a+1}

    (Schulman et al. 2015, equations 11 and 16.) A completion is over after its last action, whether it ended by itself
    or was cut at its length: the value that follows is 0.
    """
    values_BA = torch.where(mask_BA, values_BA, 0.0)
    advantages_BA = torch.zeros_like(values_BA)
    next_value_B = next_advantage_B = torch.zeros_like(values_BA[:, 0])
    for a in reversed(range(values_BA.shape[1])):
        delta_B = rewards_BA[:, a] + gamma * next_value_B - values_BA[:, a]
        # Outside the mask both carry 0 to the left, so that a row's last action sees the end and not the padding.
        next_advantage_B = torch.where(mask_BA[:, a], delta_B + gamma * lam * next_advantage_B, 0.0)
        next_value_B = values_BA[:, a]
        advantages_BA[:, a] = next_advantage_B
    return advantages_BA, advantages_BA + values_BA


@dataclass(frozen=True, slots=True)
class PolicyLoss:
    """`loss` carries the gradient; the others are figures of the same minibatch, detached."""

    loss: Tensor
    clip_fraction: Tensor
    approx_kl: Tensor
    mean_ratio: Tensor
    max_ratio_error: Tensor


def policy_loss(new_BA: Tensor, old_BA: Tensor, advantages_BA: Tensor, mask_BA: Tensor, *, clip: float) -> PolicyLoss:
    """-E[min(rho A, clip(rho, 1 - clip, 1 + clip) A)] with rho = pi_new / pi_old (Schulman et al. 2017, equation 7).

    `approx_kl` estimates KL(pi_old || pi_new) per token by (rho - 1) - log rho: never negative, and 0 only at rho = 1
    (Schulman, "Approximating KL divergence", 2020: k3).
    """
    log_ratio_BA = torch.where(mask_BA, new_BA - old_BA, 0.0)  # 0 before exp: padding can't overflow into a gradient
    ratio_BA = log_ratio_BA.exp()
    plain_BA = -advantages_BA * ratio_BA
    clipped_BA = -advantages_BA * ratio_BA.clamp(1.0 - clip, 1.0 + clip)
    loss = masked_mean(torch.maximum(plain_BA, clipped_BA), mask_BA)
    with torch.no_grad():
        return PolicyLoss(
            loss=loss,
            clip_fraction=masked_mean((clipped_BA > plain_BA).float(), mask_BA),
            approx_kl=masked_mean(ratio_BA - 1.0 - log_ratio_BA, mask_BA),
            mean_ratio=masked_mean(ratio_BA, mask_BA),
            max_ratio_error=(ratio_BA - 1.0).abs().max(),
        )


def value_loss(new_BA: Tensor, old_BA: Tensor, targets_BA: Tensor, mask_BA: Tensor, *, clip: float) -> Tensor:
    """1/2 E[max((V - R)^2, (clip(V, V_old +- clip) - R)^2)]: the critic may not run ahead of its rollout: [].

    Ziegler et al. 2019's code, Huang et al. 2024 detail 13 ("value function loss clipping").
    """
    clipped_BA = old_BA + (new_BA - old_BA).clamp(-clip, clip)
    worse_BA = torch.maximum((new_BA - targets_BA).square(), (clipped_BA - targets_BA).square())
    return 0.5 * masked_mean(worse_BA, mask_BA)


def explained_variance(values_BA: Tensor, targets_BA: Tensor, mask_BA: Tensor) -> float:
    """1 - Var(R - V) / Var(R): 1 for a critic that knows, 0 for one that says a constant, below 0 for one that misleads.

    0 where the targets don't vary: there is nothing to explain.
    """
    spread = masked_variance(targets_BA, mask_BA)
    if spread <= 1e-12:
        return 0.0
    return float(1.0 - masked_variance(targets_BA - values_BA, mask_BA) / spread)


def next_kl_price(price: float, *, kl: float, target: float | None, episodes: int, horizon: int) -> float:
    """The price of a nat after a rollout of `episodes` completions whose mean KL was `kl` (Ziegler et al. 2019, 2.2).

        error = clip(kl / target - 1, -0.2, 0.2)        price <- price (1 + error episodes / horizon)

    Without a target the price stays.

    >>> next_kl_price(0.1, kl=12.0, target=6.0, episodes=100, horizon=1000)
    0.10200000000000001
    """
    if target is None:
        return price
    error = min(max(kl / target - 1.0, -ERROR_BOUND), ERROR_BOUND)
    return price * (1.0 + error * episodes / horizon)


@dataclass(frozen=True, slots=True)
class Scale:
    """What makes raw scores of the reference's completions have mean 0 and standard deviation 1.

    >>> Scale(mean=3.0, std=2.0).normalise(torch.tensor([1.0, 5.0]))
    tensor([-1.,  1.])
    """

    mean: float
    std: float

    def normalise(self, scores_B: Tensor) -> Tensor:
        return (scores_B - self.mean) / self.std

    @classmethod
    def of(cls, scores_B: Tensor, *, otherwise: Scale) -> Scale:
        """The scale of these raw scores; too few to tell, or no spread beyond rounding, and it is `otherwise`.

        A constant reward must stay constant: dividing its rounding errors by their own spread would make a reward of
        them.
        """
        mean, std = scores_B.mean().item(), scores_B.std(correction=0).item()
        if scores_B.numel() < MIN_SCORES or std < 1e-4 * max(1.0, abs(mean)):
            return otherwise
        return cls(mean, std)


def foreseen_returns(along_BA: Tensor, rewards_BA: Tensor, mask_BA: Tensor, *, gamma: float) -> Tensor:
    """What the scores of unfinished completions, on the scale of the finished, say of the returns to come: [B, A].

    A critic that starts from the reward model (Huang et al. 2024, detail 4) believes that score as it stands. But nobody
    has trained it where a text is not over: one that looks for an end knows nothing before it. So it is believed as far
    as it is right in this very rollout, by least squares of the returns on

        1, z, t, z t        z: score so far, t: share of the longest completion's actions that are taken

    less what chance alone would explain: of r^2, 3 in B. (Like the mean of a group in GRPO, the four numbers know a
    completion's own return, one in B.)
    """
    nothing_BA = torch.zeros_like(rewards_BA)
    returns_BA, _ = generalised_advantages(rewards_BA, nothing_BA, mask_BA, gamma=gamma, lam=1.0)
    mean, spread = masked_mean(returns_BA, mask_BA), masked_variance(returns_BA, mask_BA)
    taken_BA = (torch.arange(mask_BA.shape[1]) / mask_BA.shape[1]).expand_as(along_BA)
    told_NF = torch.stack([along_BA, taken_BA, along_BA * taken_BA], dim=-1)[mask_BA].double()
    told_NF = told_NF - told_NF.mean(dim=0)
    wanted_N = (returns_BA[mask_BA] - mean).double()
    # A little of ridge regression: a score that never changes is nothing to divide by.
    ridge_FF = 1e-6 * len(wanted_N) * torch.eye(told_NF.shape[1], dtype=torch.double)
    slopes_F = torch.linalg.solve(told_NF.T @ told_NF + ridge_FF, told_NF.T @ wanted_N)
    found_N = told_NF @ slopes_F
    explained = 1 - (wanted_N - found_N).square().mean() / spread.clamp(min=1e-12)
    kept = ((explained - told_NF.shape[1] / len(mask_BA)) / explained.clamp(min=1e-12)).clamp(0.0, 1.0)
    foreseen_BA = torch.zeros_like(rewards_BA)
    foreseen_BA[mask_BA] = (mean + kept * found_N).float()
    return foreseen_BA


MIN_SCORES = 16  # fewer leave more than a quarter of a standard deviation of doubt about the mean


def final_scores(normalised_B: Tensor, ended_B: Tensor, *, clip: float, missing_eos_penalty: float) -> Tensor:
    """The cut score, less the penalty for a completion that was cut at its length instead of ending: [B]."""
    return normalised_B.clamp(-clip, clip) - missing_eos_penalty * (~ended_B).float()
