"""Means, differences and intervals over prompts: answers to one prompt resemble each other, so prompts are resampled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
RESAMPLES = 4000
CHUNK = 200  # resamples at once: bounds the memory at CHUNK x prompts
LEVELS = (2.5, 97.5)


@dataclass(frozen=True, slots=True)
class Sides:
    """One measure of the answers of policy and reference: P prompts, S answers a prompt, both (P, S)."""

    policy: Array
    reference: Array


def interval(num_prompts: int, statistic: Callable[[Array], Array], *, seed: int) -> tuple[float, float]:
    """The 95 % percentile interval of `statistic`, which takes the weights (R, P) of R resamples and gives (R,).

    A resample's weights are how often it drew each prompt, over their number. One prompt gives no interval: (nan, nan).
    """
    if num_prompts < 2:
        return float("nan"), float("nan")
    lot = np.random.default_rng(seed)
    found = [
        statistic(lot.multinomial(num_prompts, np.full(num_prompts, 1 / num_prompts), size=CHUNK) / num_prompts)
        for _ in range(RESAMPLES // CHUNK)
    ]
    low, high = np.percentile(np.concatenate(found), LEVELS)
    return float(low), float(high)


def mean_of(values_P: Array) -> Callable[[Array], Array]:
    return lambda weights_RP: weights_RP @ values_P


def compare(name: str, sides: Sides, *, seed: int) -> dict[str, float]:
    """Means of both sides and of the paired difference by prompt, with its interval."""
    policy_P, reference_P = sides.policy.mean(axis=1), sides.reference.mean(axis=1)
    difference_P = policy_P - reference_P
    low, high = interval(len(difference_P), mean_of(difference_P), seed=seed)
    return {
        f"{name}_policy": float(policy_P.mean()),
        f"{name}_reference": float(reference_P.mean()),
        f"{name}_difference": float(difference_P.mean()),
        f"{name}_difference_low": low,
        f"{name}_difference_high": high,
    }


def gain_in_sd(name: str, sides: Sides, *, seed: int) -> dict[str, float]:
    """The difference in standard deviations of the reference's answers (all prompts together), with its interval.

    Both are taken anew in each resample, so the interval knows that the deviation is an estimate, too.
    """
    difference_P = sides.policy.mean(axis=1) - sides.reference.mean(axis=1)
    first_P, second_P = sides.reference.mean(axis=1), (sides.reference**2).mean(axis=1)

    def gain(weights_RP: Array) -> Array:
        variance_R = weights_RP @ second_P - (weights_RP @ first_P) ** 2
        found: Array = (weights_RP @ difference_P) / np.sqrt(np.maximum(variance_R, 1e-12))
        return found

    num_prompts = len(difference_P)
    low, high = interval(num_prompts, gain, seed=seed)
    whole = gain(np.full((1, num_prompts), 1 / num_prompts))[0]
    return {f"{name}_gain_sd": float(whole), f"{name}_gain_sd_low": low, f"{name}_gain_sd_high": high}


def win_rate(sides: Sides, *, seed: int) -> dict[str, float]:
    """How often an answer of the policy beats one of the reference to the same prompt; ties count half."""
    margins_PSS = sides.policy[:, :, None] - sides.reference[:, None, :]
    won_P = ((margins_PSS > 0) + 0.5 * (margins_PSS == 0)).mean(axis=(1, 2))
    low, high = interval(len(won_P), mean_of(won_P), seed=seed)
    return {"win_rate": float(won_P.mean()), "win_rate_low": low, "win_rate_high": high}


def mean_with_error(name: str, values_PS: Array, *, seed: int) -> dict[str, float]:
    """Mean, its standard error over prompts, and its interval."""
    values_P = values_PS.mean(axis=1)
    low, high = interval(len(values_P), mean_of(values_P), seed=seed)
    error = float(values_P.std(ddof=1) / np.sqrt(len(values_P))) if len(values_P) > 1 else float("nan")
    return {name: float(values_P.mean()), f"{name}_se": error, f"{name}_low": low, f"{name}_high": high}


def finite(metrics: dict[str, Any]) -> dict[str, Any]:
    """Without what one prompt can't tell: JSON knows no NaN."""
    return {name: value for name, value in metrics.items() if not isinstance(value, float) or np.isfinite(value)}
