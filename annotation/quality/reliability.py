"""How reliable each rater is, judged by what the others said of the same texts."""

from __future__ import annotations

import numpy as np

from annotation.quality.raters_bt import (
    SHARPNESS,
    SHARPNESS_SPREAD,
    SPREAD,
    Fit,
    Floats,
    PairVotes,
    bend,
    laplacians,
    pulls,
)

GRID = np.linspace(-4.0, 8.0, 241)  # of sharpness: to the left of it lies nobody, to the right all are as good as sure


def reliabilities(votes: PairVotes, fit: Fit) -> Floats:
    """[R, 3]: mean and 2.5 and 97.5 % points of the posterior of `share_ordered_rightly`.

    Each ranking is held against the scores as they are without it, with their uncertainty: E[sigmoid(beta gap)] is
    sigmoid(beta m / sqrt(1 + pi beta^2 v / 8)) for a gap of mean m and variance v (MacKay 1992, "The evidence framework
    applied to classification networks"). A vote weighs 3 / (K + 1), as `raters_bt.of_rankings` explains.
    """
    mean_C, spread_C = _gaps_without_own(votes, fit)
    weight_C = votes.weight * 3 / (votes.sizes[votes.task] + 1)
    log_GR = np.empty((len(GRID), votes.num_raters))
    for row, beta in enumerate(GRID):
        log_C = -np.logaddexp(0.0, -beta * mean_C / np.sqrt(1 + np.pi * beta**2 * spread_C / 8))
        log_GR[row] = np.bincount(votes.rater, weight_C * log_C, votes.num_raters)
    log_GR -= np.square(GRID - SHARPNESS)[:, None] / (2 * SHARPNESS_SPREAD**2)
    chance_GR = np.exp(log_GR - log_GR.max(axis=0))
    below_GR = np.cumsum(chance_GR / chance_GR.sum(axis=0), axis=0)
    shares = np.array([share_ordered_rightly(beta) for beta in GRID])
    mean_R = (chance_GR * shares[:, None]).sum(axis=0) / chance_GR.sum(axis=0)
    ends = [shares[np.argmax(below_GR >= point, axis=0)] for point in (0.025, 0.975)]
    return np.stack([mean_R, *ends], axis=1)


def _gaps_without_own(votes: PairVotes, fit: Fit) -> tuple[Floats, Floats]:
    """Mean and variance by vote of its gap, under the posterior of scores that leaves its rater out."""
    tasks, most = fit.scores_TK.shape
    squared_R = np.square(fit.beta_R) + np.square(fit.error_R)
    curve_C = votes.weight * bend(votes, fit.scores_TK, fit.covariance_TKK, fit.beta_R, fit.error_R)
    groups, at = np.unique(votes.task * votes.num_raters + votes.rater, return_inverse=True)
    shape = (len(groups), most)
    own_GKK = laplacians(votes, curve_C * squared_R[votes.rater], at=at, shape=shape)
    own_GK = pulls(votes, votes.weight * fit.beta_R[votes.rater] / 2, at=at, shape=shape)
    task_G = groups // votes.num_raters
    all_TKK, all_TK = np.tile(np.eye(most) / SPREAD**2, (tasks, 1, 1)), np.zeros((tasks, most))
    np.add.at(all_TKK, task_G, own_GKK)
    np.add.at(all_TK, task_G, own_GK)
    rest_GKK = np.linalg.inv(all_TKK[task_G] - own_GKK)
    rest_GK = np.einsum("gij,gj->gi", rest_GKK, all_TK[task_G] - own_GK)
    i, j = votes.better, votes.worse
    spread_C = rest_GKK[at, i, i] + rest_GKK[at, j, j] - 2 * rest_GKK[at, i, j]
    return rest_GK[at, i] - rest_GK[at, j], spread_C


def share_ordered_rightly(beta: float) -> float:
    """E[sigmoid(beta |gap|)] for a gap of two texts drawn at random: 0.5 where beta is 0, 1 where it is endless.

    |gap| is half-normal of scale SPREAD sqrt(2); the sum runs over 400 midpoints out to six of its scales.
    """
    at = (np.arange(400) + 0.5) * 6 / 400
    share = np.exp(-np.square(at) / 2)
    return float((share / (1 + np.exp(-beta * at * SPREAD * np.sqrt(2)))).sum() / share.sum())
