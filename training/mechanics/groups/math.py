"""The mathematics of learning from groups of completions: pure functions on tensors, each with its equation and its paper.

Shapes: P prompts of K completions each, B = P K completions, a prompt's standing together; A actions. `mask_BA` is true
on the actions that were taken. A score that is not a number (NaN) is a completion that nobody scored: it is no part of
any baseline, its advantage is 0, and no loss counts it.

Papers: Ahmadian et al. 2024 (RLOO, arXiv:2402.14740); Shao et al. 2024 (GRPO, arXiv:2402.03300); Liu et al. 2025
(Dr. GRPO, arXiv:2503.20783); Yu et al. 2025 (DAPO, arXiv:2503.14476); Zheng et al. 2025 (GSPO, arXiv:2507.18071);
Guo et al. 2024 (online DPO, arXiv:2402.04792); Rafailov et al. 2023 (DPO, arXiv:2305.18290); Azar et al. 2023 (IPO,
arXiv:2310.12036).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

EPS = 1e-4  # beside a deviation that divides, as in TRL

Scale = Literal["group", "batch", "none"]
Weighing = Literal["grpo", "dapo", "dr_grpo", "bnpo"]


# Advantages


def leave_one_out_advantages(scores_B: Tensor, *, k: int, normalise: bool = False) -> Tensor:
    """A_i = R_i - 1/(n - 1) sum_{j != i} R_j over the n scored completions of a prompt (Ahmadian et al. 2024, eq. 8): [B].

    A completion that is scored alone has nothing to be compared with: 0. `normalise` gives those that count mean 0 and
    deviation 1 over the rollout.

    >>> leave_one_out_advantages(torch.tensor([1.0, 2.0, 6.0]), k=3)
    tensor([-3.0000, -1.5000,  4.5000])
    """
    scores_PK = scores_B.view(-1, k)
    num_P1 = (~scores_PK.isnan()).sum(dim=1, keepdim=True)
    others_PK = (scores_PK.nansum(dim=1, keepdim=True) - scores_PK) / (num_P1 - 1)
    advantages_B = torch.where(num_P1 > 1, scores_PK - others_PK, torch.nan).flatten()
    if normalise:
        advantages_B = (advantages_B - advantages_B.nanmean()) / (deviation(advantages_B) + EPS)
    return advantages_B.nan_to_num(nan=0.0)


def group_advantages(scores_B: Tensor, *, k: int, scale: Scale) -> Tensor:
    """A_i = (R_i - mean R) / std R over the scored completions of a prompt (Shao et al. 2024, section 4.1.2): [B].

    The deviation that divides is the prompt's ("group"), that of the whole rollout ("batch"), or none: dividing by the
    prompt's own weighs prompts more whose answers are nearly alike (Liu et al. 2025).
    """
    scores_PK = scores_B.view(-1, k)
    advantages_PK = scores_PK - scores_PK.nanmean(dim=1, keepdim=True)
    if scale == "group":
        advantages_PK = advantages_PK / (deviation(scores_PK, dim=1) + EPS)
    elif scale == "batch":
        advantages_PK = advantages_PK / (deviation(scores_B) + EPS)
    return advantages_PK.flatten().nan_to_num(nan=0.0)


def deviation(scores: Tensor, *, dim: int | None = None) -> Tensor:
    """Of what was scored, divided by n - 1, kept broadcastable; NaN for fewer than two."""
    mean = scores.nanmean() if dim is None else scores.nanmean(dim=dim, keepdim=True)
    squares = (scores - mean).square()
    num = (~scores.isnan()).sum() if dim is None else (~scores.isnan()).sum(dim=dim, keepdim=True)
    total = squares.nansum() if dim is None else squares.nansum(dim=dim, keepdim=True)
    return torch.where(num > 1, total / (num - 1), torch.nan).sqrt()


def indifferent_groups(scores_B: Tensor, *, k: int) -> Tensor:
    """Prompts whose scored completions all got one score, or of which fewer than two were scored: nothing to learn: [P]."""
    scores_PK = scores_B.view(-1, k)
    low_P = scores_PK.nan_to_num(nan=torch.inf).amin(dim=1)
    high_P = scores_PK.nan_to_num(nan=-torch.inf).amax(dim=1)
    return high_P <= low_P


def best_and_worst(scores_B: Tensor, *, k: int) -> list[tuple[int, int]]:
    """Places (chosen, rejected) of each prompt's best and worst completion, the first of equals; none where all are equal.

    Guo et al. 2024 compare two completions; of more, the pair that the scores tell apart most surely.
    """
    pairs = []
    for p, is_indifferent in enumerate(indifferent_groups(scores_B, k=k).tolist()):
        if not is_indifferent:
            group_K = scores_B[p * k : (p + 1) * k]
            best = group_K.nan_to_num(nan=-torch.inf).argmax().item()
            worst = group_K.nan_to_num(nan=torch.inf).argmin().item()
            pairs.append((p * k + int(best), p * k + int(worst)))
    return pairs


# Losses


@dataclass(frozen=True, slots=True)
class Part:
    """A minibatch: what the policy says now, what it said when it sampled, and the reference; B completions, A actions.

    `signals_B` is what a method made of the scores: advantages, or 1 for a chosen and -1 for a rejected completion.
    `counts_B` is false for completions that nobody scored; `tokens` is what a minibatch of this rollout counts on average.
    """

    new_BA: Tensor
    old_BA: Tensor
    reference_BA: Tensor
    mask_BA: Tensor
    signals_B: Tensor
    counts_B: Tensor
    tokens: float


@dataclass(frozen=True, slots=True)
class GroupLoss:
    """`loss` carries the gradient; `ratios` (of tokens or of completions, flat) and `clip_fraction` are figures, detached."""

    loss: Tensor
    ratios: Tensor
    clip_fraction: Tensor


def leave_one_out_loss(part: Part, *, clip: float) -> GroupLoss:
    """-mean_i min(rho_i A_i, clip(rho_i, 1 - clip, 1 + clip) A_i) with rho_i = pi(y_i) / pi_old(y_i), the whole completion's.

    Ahmadian et al. 2024 take a completion as one action; the clip is PPO's, for passes after the first.
    """
    ratio_B = masked_sum(part.new_BA - part.old_BA, part.mask_BA).exp()
    loss_B, is_clipped_B = clipped(ratio_B, part.signals_B, low=clip, high=clip)
    counts = part.counts_B
    return GroupLoss(mean_where(loss_B, counts), ratio_B[counts].detach(), mean_where(is_clipped_B.float(), counts))


def group_loss(
    part: Part,
    *,
    ratio: Literal["token", "sequence"],
    clip_low: float,
    clip_high: float,
    kl_price: float,
    weighing: Weighing,
    max_tokens: int,
) -> GroupLoss:
    """-min(rho A, clip(rho, 1 - clip_low, 1 + clip_high) A) + kl_price rho k3, summed over tokens as `weighing` says.

    rho is pi(a) / pi_old(a) of each token (Shao et al. 2024, eq. 3), or for "sequence" the geometric mean over a
    completion's tokens (Zheng et al. 2025, eq. 7). k3 = pi_ref/pi - log(pi_ref/pi) - 1 (Shao et al. 2024, eq. 4), times rho
    since the tokens were sampled by pi_old (DeepSeek-V3.2, arXiv:2512.02556, section 3.1).

        grpo     mean over completions of the mean over their tokens
        dapo     sum over tokens / tokens of a minibatch on average over the rollout (Yu et al. 2025, eq. 8)
        dr_grpo  sum over tokens / (completions x max_tokens) (Liu et al. 2025)
        bnpo     sum over tokens / tokens of this minibatch
    """
    mask_BA = part.mask_BA & part.counts_B.unsqueeze(1)
    log_ratio_BA = torch.where(part.mask_BA, part.new_BA - part.old_BA, 0.0)  # 0 before exp: padding can't overflow
    if ratio == "sequence":
        log_ratio_BA = (log_ratio_BA.sum(dim=1) / part.mask_BA.sum(dim=1)).unsqueeze(1)
    ratio_BA = log_ratio_BA.exp()
    loss_BA, is_clipped_BA = clipped(ratio_BA, part.signals_B.unsqueeze(1), low=clip_low, high=clip_high)
    if kl_price:
        away_BA = torch.where(part.mask_BA, part.reference_BA - part.new_BA, 0.0)
        loss_BA = loss_BA + kl_price * ratio_BA * (away_BA.exp() - away_BA - 1.0)
    total_B = torch.where(mask_BA, loss_BA, 0.0).sum(dim=1)
    num_counted = part.counts_B.sum()
    if weighing == "grpo":
        loss = (total_B / part.mask_BA.sum(dim=1)).sum() / num_counted
    elif weighing == "dapo":
        loss = total_B.sum() / part.tokens
    elif weighing == "dr_grpo":
        loss = total_B.sum() / (num_counted * max_tokens)
    else:
        loss = total_B.sum() / mask_BA.sum()
    counts = mask_BA if ratio == "token" else part.counts_B.unsqueeze(1)
    return GroupLoss(loss, ratio_BA[counts].detach(), mean_where(is_clipped_BA.float(), counts))


def pair_loss(part: Part, *, beta: float, kind: Literal["sigmoid", "ipo"]) -> GroupLoss:
    """DPO on pairs: rows 0, 2, 4 ... chosen, each followed by its rejected one.

    h = log pi(chosen)/pi_ref(chosen) - log pi(rejected)/pi_ref(rejected)
    sigmoid: -log sigmoid(beta h) (Rafailov et al. 2023, eq. 7)      ipo: (h - 1/(2 beta))^2 (Azar et al. 2023, eq. 17)
    """
    away_B = masked_sum(part.new_BA - part.reference_BA, part.mask_BA)
    margin_N = away_B[0::2] - away_B[1::2]
    if kind == "sigmoid":
        loss = -torch.nn.functional.logsigmoid(beta * margin_N).mean()
    else:
        loss = (margin_N - 1.0 / (2.0 * beta)).square().mean()
    ratio_BA = torch.where(part.mask_BA, part.new_BA - part.old_BA, 0.0).exp()
    return GroupLoss(loss, ratio_BA[part.mask_BA].detach(), torch.zeros(()))


def clipped(ratio: Tensor, advantages: Tensor, *, low: float, high: float) -> tuple[Tensor, Tensor]:
    """-min(rho A, clip(rho) A), and where the clip has taken the gradient away."""
    plain, cut = -advantages * ratio, -advantages * ratio.clamp(1.0 - low, 1.0 + high)
    return torch.maximum(plain, cut), (cut > plain).detach()


def masked_sum(x_BA: Tensor, mask_BA: Tensor) -> Tensor:
    return torch.where(mask_BA, x_BA, 0.0).sum(dim=1)


def mean_where(x: Tensor, counts: Tensor) -> Tensor:
    return torch.where(counts, x, 0.0).sum() / counts.expand_as(x).sum()
