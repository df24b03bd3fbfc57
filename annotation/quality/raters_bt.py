"""Bradley-Terry with a sharpness per rater, in arrays: scores of texts and raters' sharpness, with their uncertainty.

Jin, Xu, Gu & Farnoud 2020, "Rank aggregation via heterogeneous Thurstone preference models", the logistic case (HBTL):
rater r puts text i before j with chance sigmoid(beta_r (s_i - s_j)). Where we depart: normal priors on both, and in place of
their alternating gradients a variational EM with the bound of Jaakkola & Jordan 2000, "Bayesian parameter estimation via
variational methods". Every step has a closed form and raises the bound, so that it always converges; the prior fixes
scale and sign. Scores are averaged over, not plugged in: with two or three raters a task, a plugged-in score would follow
each rater's own votes, and flatter her.

Letters: T tasks, K places for texts, R raters, C votes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

SPREAD = 1.5  # standard deviation of scores: it only sets their unit
SHARPNESS, SHARPNESS_SPREAD = 1.5, 1.0  # of raters before anything is seen; 0 guesses, below 0 reverses
MOST_ROUNDS = 1000
TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True)
class PairVotes:
    """Votes c that text `better[c]` beats `worse[c]`, both in 0..K-1 of their `task[c]`, said by `rater[c]`."""

    task: Ints
    better: Ints
    worse: Ints
    rater: Ints
    weight: Floats
    sizes: Ints  # texts of each task, at most K
    num_raters: int


@dataclass(frozen=True, slots=True)
class Fit:
    """The approximate posterior: scores of each task, and sharpness of raters with standard deviations `error_R`."""

    scores_TK: Floats
    covariance_TKK: Floats
    beta_R: Floats
    error_R: Floats
    num_rounds: int
    is_settled: bool


def fit(votes: PairVotes) -> Fit:
    """Raises the bound until no score and no sharpness moves by more than `TOLERANCE`."""
    most = int(votes.sizes.max())
    scores_TK, covariance_TKK = np.zeros((len(votes.sizes), most)), np.tile(np.eye(most), (len(votes.sizes), 1, 1))
    beta_R, error_R = np.full(votes.num_raters, SHARPNESS), np.full(votes.num_raters, SHARPNESS_SPREAD)
    is_settled, rounds = False, 0
    while not is_settled and rounds < MOST_ROUNDS:
        rounds += 1
        bend_C = votes.weight * bend(votes, scores_TK, covariance_TKK, beta_R, error_R)
        new_TK, covariance_TKK = _scores(votes, bend_C, beta_R, error_R, most=most)
        bend_C = votes.weight * bend(votes, new_TK, covariance_TKK, beta_R, error_R)
        new_R, error_R = _sharpness(votes, bend_C, new_TK, covariance_TKK)
        is_settled = max(float(np.abs(new_TK - scores_TK).max()), float(np.abs(new_R - beta_R).max())) < TOLERANCE
        scores_TK, beta_R = new_TK, new_R
    return Fit(scores_TK, covariance_TKK, beta_R, error_R, rounds, is_settled)


def bend(votes: PairVotes, scores_TK: Floats, covariance_TKK: Floats, beta_R: Floats, error_R: Floats) -> Floats:
    """2 lambda(xi) by vote: the curvature of the bound that touches log sigmoid at xi^2 = E[(beta gap)^2]."""
    _, squared_C = gaps(votes, scores_TK, covariance_TKK)
    xi = np.sqrt(squared_C * (np.square(beta_R) + np.square(error_R))[votes.rater])
    return np.asarray(np.tanh(xi / 2) / (2 * np.maximum(xi, 1e-9)))


def gaps(votes: PairVotes, scores_TK: Floats, covariance_TKK: Floats) -> tuple[Floats, Floats]:
    """Mean and mean square of s_better - s_worse by vote."""
    t, i, j = votes.task, votes.better, votes.worse
    mean_C = scores_TK[t, i] - scores_TK[t, j]
    spread_C = covariance_TKK[t, i, i] + covariance_TKK[t, j, j] - 2 * covariance_TKK[t, i, j]
    return mean_C, np.square(mean_C) + spread_C


def _scores(votes: PairVotes, bend_C: Floats, beta_R: Floats, error_R: Floats, *, most: int) -> tuple[Floats, Floats]:
    """The normal posterior of each task's scores, given the raters."""
    curve_C = bend_C * (np.square(beta_R) + np.square(error_R))[votes.rater]
    laplacian_TKK = laplacians(votes, curve_C, at=votes.task, shape=(len(votes.sizes), most))
    covariance_TKK = np.asarray(np.linalg.inv(laplacian_TKK + np.eye(most) / SPREAD**2), dtype=np.float64)
    pull_TK = pulls(votes, votes.weight * beta_R[votes.rater] / 2, at=votes.task, shape=(len(votes.sizes), most))
    return np.einsum("tij,tj->ti", covariance_TKK, pull_TK), covariance_TKK


def laplacians(votes: PairVotes, curve_C: Floats, *, at: Ints, shape: tuple[int, int]) -> Floats:
    """Sum of curve (e_better - e_worse)(e_better - e_worse)^T over the votes of each group that `at` names."""
    num, most = shape
    flat = at * most * most + votes.better * most + votes.worse
    off = np.bincount(flat, curve_C, num * most * most).reshape(num, most, most)
    links = off + off.transpose(0, 2, 1)
    return np.asarray(np.eye(most) * links.sum(axis=2)[:, :, None] - links)


def pulls(votes: PairVotes, pull_C: Floats, *, at: Ints, shape: tuple[int, int]) -> Floats:
    """Sum of pull (e_better - e_worse) over the votes of each group that `at` names."""
    num, most = shape
    up = np.bincount(at * most + votes.better, pull_C, num * most)
    return np.asarray((up - np.bincount(at * most + votes.worse, pull_C, num * most)).reshape(num, most))


def _sharpness(
    votes: PairVotes, bend_C: Floats, scores_TK: Floats, covariance_TKK: Floats
) -> tuple[Floats, Floats]:  # fmt: skip
    """The normal posterior of each rater's sharpness, given the scores: mean and standard deviation."""
    mean_C, squared_C = gaps(votes, scores_TK, covariance_TKK)
    precision_R = 1 / SHARPNESS_SPREAD**2 + np.bincount(votes.rater, bend_C * squared_C, votes.num_raters)
    pull_R = SHARPNESS / SHARPNESS_SPREAD**2 + np.bincount(votes.rater, votes.weight * mean_C / 2, votes.num_raters)
    return pull_R / precision_R, np.asarray(1 / np.sqrt(precision_R))


def of_rankings(covariance_TKK: Floats, sizes: Ints) -> Floats:
    """Seen from each task's mean, since scores have no other zero, and times (K + 1) / 3, at least 1.

    The pairs of a ranking are not independent: at equal scores, the wins of a random ranking of K vary (K + 1) / 3 times as
    much as those of as many separate votes. Without that factor, errors would be too small (the magnitude adjustment of a
    composite likelihood: Pauli, Racugno & Ventura 2011).
    """
    most = covariance_TKK.shape[1]
    is_text = (np.arange(most) < sizes[:, None]).astype(float)
    centre = np.eye(most) * is_text[:, None, :] - is_text[:, :, None] * is_text[:, None, :] / sizes[:, None, None]
    return np.asarray(centre @ covariance_TKK @ centre * ((sizes + 1) / 3)[:, None, None])
