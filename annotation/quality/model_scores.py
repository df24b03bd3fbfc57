"""What raters together say of the models that wrote the texts: a Bradley-Terry model that knows raters, places and lengths.

P(rater r puts text i over j) = sigmoid(beta_r (theta_m(i) - theta_m(j)) + gamma_p (1 where i was shown before j, -1 after)
                                        + gamma_l (log length i - log length j))
theta is the score of a model, of mean 0 over models; beta_r how sharply a rater follows the scores (Jin et al. 2020, HBTL): 1
on average, 0 guesses, below 0 reverses; a tie is half a comparison each way, and every ranking of texts counts its pairs
(Plackett-Luce by pairwise breaking, Azari Soufiani et al. 2013). The fit is the maximum of the likelihood with normal priors,
theta ~ N(0, 3^2), beta ~ N(1, 0.5^2), gamma ~ N(0, 1), found by Newton's method to the last digits, so that anybody who
maximises the same function finds the same figures. Pairs of one task go together: errors are those of the sandwich over
tasks (Huber 1967; Liang & Zeger 1986).

Letters: C comparisons, Q = M models + 2 terms, R raters, T tasks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from django.utils.translation import gettext_noop

from annotation.quality.bootstrap import ONE_TASK
from annotation.quality.intervals import Z
from annotation.quality.judgement import Measure, undefined
from annotation.quality.sentences import UNCOMPARED, UNSHOWN
from annotation.quality.table import Floats, Ints, Table, columns, votes_on_columns

SCORE_SPREAD, SHARPNESS, SHARPNESS_SPREAD, TERM_SPREAD = 3.0, 1.0, 0.5, 1.0
MOST_ROUNDS = 200
TOLERANCE = 1e-10  # of a Newton step: where it is squared by the next, nothing is left to gain
ROUNDING = 1e-12  # of the likelihood, relative: less is no fall
NOBODY_COMPARED = gettext_noop("No rater has compared texts of two models.")
COMPARED_NONE = gettext_noop("Compared no texts of two models.")
SAME_LENGTH = gettext_noop("All texts that were compared are equally long.")


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Pairs of texts by different models, as ranked: `better` and `worse` are models, `weight` halves a tie."""

    task: Ints
    rater: Ints
    better: Ints
    worse: Ints
    first: Floats  # 1 where the better one was shown before the worse, -1 after, 0 unknown
    longer: Floats  # log length of the better less that of the worse, 0 unknown
    weight: Floats
    num_models: int
    num_raters: int
    num_tasks: int


@dataclass(frozen=True, slots=True)
class ModelScores:
    """Scores of models in log odds between two of them for a rater of sharpness 1; terms; sharpness of raters.

    `position` is the log odds that being shown first adds, `length` those of a text e times as long.
    """

    scores: dict[str, Measure]
    position: Measure
    length: Measure
    sharpness: dict[str, Measure]
    num_comparisons: int
    is_settled: bool


def comparisons_of(table: Table, *, model_TK: Ints, length_TK: Floats, num_models: int) -> Comparisons:
    """`model_TK` is -1 where unknown: such texts, and two by one model, are not compared. Lengths in characters, 0 unknown."""
    votes_NC, there_NC = votes_on_columns(table.places_NK)
    one, other = columns()
    task_N1 = table.task_N[:, None]
    left, right = model_TK[task_N1, one], model_TK[task_N1, other]
    row, pair = np.nonzero(there_NC & (left != right) & (left >= 0) & (right >= 0))
    vote = votes_NC[row, pair]
    strict, tied = vote != 0, vote == 0
    rows = np.concatenate([row[strict], row[tied], row[tied]])
    up = np.concatenate([np.where(vote > 0, one[pair], other[pair])[strict], one[pair[tied]], other[pair[tied]]])
    down = np.concatenate([np.where(vote > 0, other[pair], one[pair])[strict], other[pair[tied]], one[pair[tied]]])
    task = table.task_N[rows]
    shown_up, shown_down = table.shown_NK[rows, up], table.shown_NK[rows, down]
    is_shown = (shown_up > 0) & (shown_down > 0)
    long_up, long_down = length_TK[task, up], length_TK[task, down]
    is_long = (long_up > 0) & (long_down > 0)
    return Comparisons(
        task=task, rater=table.rater_N[rows], better=model_TK[task, up], worse=model_TK[task, down],
        first=np.where(is_shown, np.sign(shown_down - shown_up), 0).astype(float),
        longer=np.where(is_long, np.log(np.maximum(long_up, 1) / np.maximum(long_down, 1)), 0.0),
        weight=np.where(np.arange(len(rows)) < strict.sum(), 1.0, 0.5),
        num_models=num_models, num_raters=len(table.raters), num_tasks=len(table.tasks),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Point:
    """Where the fit stands, with the curvature there: [[A, B], [B', diag D]] over small parameters and sharpness."""

    small_Q: Floats
    beta_R: Floats
    value: float
    slope_Q: Floats
    slope_R: Floats
    A_QQ: Floats
    B_QR: Floats
    D_R: Floats


def model_scores(given: Comparisons, *, models: tuple[str, ...], raters: tuple[str, ...]) -> ModelScores:
    """With intervals by the sandwich over tasks. Where nothing is compared, every figure says so."""
    num = float(given.weight.sum())
    if not len(given.task):
        nothing = undefined(NOBODY_COMPARED)
        return ModelScores(dict.fromkeys(models, nothing), nothing, nothing, {}, 0, is_settled=True)
    point, is_settled = _fit(given)
    errors_Q, errors_R = _errors(given, point)
    counts_M = np.bincount(given.better, given.weight, given.num_models)
    counts_M += np.bincount(given.worse, given.weight, given.num_models)
    counts_R = np.bincount(given.rater, given.weight, given.num_raters)
    scores = {
        model: _measure(point.small_Q[at], errors_Q[at], counts_M[at], UNCOMPARED) for at, model in enumerate(models)
    }
    placed, sized = float((given.weight * (given.first != 0)).sum()), float((given.weight * (given.longer != 0)).sum())
    m = given.num_models
    return ModelScores(
        scores=scores,
        position=_measure(point.small_Q[m], errors_Q[m], placed, UNSHOWN),
        length=_measure(point.small_Q[m + 1], errors_Q[m + 1], sized, SAME_LENGTH),
        sharpness={
            rater: _measure(point.beta_R[at], errors_R[at], counts_R[at], COMPARED_NONE)
            for at, rater in enumerate(raters)
        },
        num_comparisons=round(num),
        is_settled=is_settled,
    )


def _measure(value: float, error: float, num: float, why: str) -> Measure:
    if not num:
        return undefined(why)
    if not np.isfinite(error):
        return Measure(float(value), num=round(float(num)), why=ONE_TASK)
    return Measure(float(value), num=round(float(num)), low=float(value - Z * error), high=float(value + Z * error))


def _gap(given: Comparisons, small_Q: Floats) -> Floats:
    return np.asarray(small_Q[given.better] - small_Q[given.worse])


def _fit(given: Comparisons) -> tuple[_Point, bool]:
    """Newton's steps with the curvature made positive by shrinking towards the prior's, halved until the value rises."""
    small_Q, beta_R = np.zeros(given.num_models + 2), np.full(given.num_raters, SHARPNESS)
    point = _at(given, small_Q, beta_R)
    for _ in range(MOST_ROUNDS):
        step_Q, step_R = _newton(point)
        size = max(float(np.abs(step_Q).max()), float(np.abs(step_R).max()))
        share = 1.0
        while True:
            after = _at(given, point.small_Q + share * step_Q, point.beta_R + share * step_R)
            if after.value >= point.value - ROUNDING * abs(point.value) or share < 1e-6:
                break
            share /= 2
        point = after
        if size < TOLERANCE:
            return point, True
    return point, False


def _newton(point: _Point) -> tuple[Floats, Floats]:
    """The step for the curvature [[A, B], [B', D]] by its Schur complement. Off the maximum the product of scores and
    sharpness may bend upwards: then the part that joins them is left out, which always climbs."""
    solved = _solve(point, point.slope_Q, point.slope_R)
    climbs = float(solved[0] @ point.slope_Q + solved[1] @ point.slope_R)
    schur = point.A_QQ - (point.B_QR / point.D_R) @ point.B_QR.T
    if climbs > 0 and np.linalg.eigvalsh(schur)[0] > 0:
        return solved
    return np.asarray(np.linalg.solve(point.A_QQ, point.slope_Q), dtype=np.float64), point.slope_R / point.D_R


def _solve(point: _Point, right_Q: Floats, right_R: Floats) -> tuple[Floats, Floats]:
    schur = point.A_QQ - (point.B_QR / point.D_R) @ point.B_QR.T
    small = np.asarray(np.linalg.solve(schur, right_Q - point.B_QR @ (right_R / point.D_R)), dtype=np.float64)
    return small, (right_R - point.B_QR.T @ small) / point.D_R


def _at(given: Comparisons, small_Q: Floats, beta_R: Floats) -> _Point:
    """The log posterior, its slope, and its negative curvature."""
    m, q, r = given.num_models, given.num_models + 2, given.num_raters
    gap, beta = _gap(given, small_Q), beta_R[given.rater]
    logit = beta * gap + small_Q[m] * given.first + small_Q[m + 1] * given.longer
    chance = np.exp(-np.logaddexp(0.0, -logit))
    value = float(-(given.weight * np.logaddexp(0.0, -logit)).sum())
    left = given.weight * (1 - chance)  # slope by the logit
    bend = given.weight * chance * (1 - chance)
    slope_Q, slope_R = _to_small(given, left * beta, left), np.bincount(given.rater, left * gap, r)
    A_QQ = _curvature(given, bend, beta)
    B_QR = np.zeros((q, r))
    joined = bend * beta * gap - left  # minus the mixed second derivative, through beta (theta_i - theta_j)
    through = np.bincount(given.better * r + given.rater, joined, m * r)
    B_QR[:m] = (through - np.bincount(given.worse * r + given.rater, joined, m * r)).reshape(m, r)
    B_QR[m] = np.bincount(given.rater, bend * gap * given.first, r)
    B_QR[m + 1] = np.bincount(given.rater, bend * gap * given.longer, r)
    D_R = np.bincount(given.rater, bend * np.square(gap), r) + 1 / SHARPNESS_SPREAD**2
    prior_Q = np.array([1 / SCORE_SPREAD**2] * m + [1 / TERM_SPREAD**2] * 2)
    value -= (
        float((prior_Q * np.square(small_Q)).sum() + (np.square(beta_R - SHARPNESS)).sum() / SHARPNESS_SPREAD**2) / 2
    )
    return _Point(
        small_Q, beta_R, value, slope_Q - prior_Q * small_Q, slope_R - (beta_R - SHARPNESS) / SHARPNESS_SPREAD**2,
        np.asarray(A_QQ + np.diag(prior_Q)), B_QR, np.asarray(D_R, dtype=np.float64),
    )  # fmt: skip


def _to_small(given: Comparisons, by_score: Floats, by_term: Floats) -> Floats:
    m = given.num_models
    scores = np.bincount(given.better, by_score, m) - np.bincount(given.worse, by_score, m)
    return np.concatenate([scores, [by_term @ given.first, by_term @ given.longer]])


def _curvature(given: Comparisons, bend: Floats, beta: Floats) -> Floats:
    m = given.num_models
    found = np.zeros((m + 2, m + 2))
    square = bend * np.square(beta)
    joint = np.bincount(given.better * m + given.worse, square, m * m).reshape(m, m)
    links = joint + joint.T
    found[:m, :m] = np.diag(links.sum(axis=1)) - links
    for at, term in ((m, given.first), (m + 1, given.longer)):
        weight = bend * beta * term
        found[at, :m] = np.bincount(given.better, weight, m) - np.bincount(given.worse, weight, m)
        found[:m, at] = found[at, :m]
    found[m, m], found[m + 1, m + 1] = bend @ np.square(given.first), bend @ np.square(given.longer)
    found[m, m + 1] = found[m + 1, m] = bend @ (given.first * given.longer)
    return found


def _errors(given: Comparisons, point: _Point) -> tuple[Floats, Floats]:
    """Standard errors H^-1 (sum over tasks of g g') H^-1, with g the slope of a task's likelihood, times T / (T - 1).

    The slopes by sharpness are there for a task's own raters alone, so that nothing of size T x R is made.
    """
    m, q, r = given.num_models, given.num_models + 2, given.num_raters
    tasks, task = np.unique(given.task, return_inverse=True)
    gap, beta = _gap(given, point.small_Q), point.beta_R[given.rater]
    logit = beta * gap + point.small_Q[m] * given.first + point.small_Q[m + 1] * given.longer
    left = given.weight * np.exp(-np.logaddexp(0.0, logit))
    slopes_TQ = np.zeros((len(tasks), q))
    np.add.at(slopes_TQ, (task, given.better), left * beta)
    np.add.at(slopes_TQ, (task, given.worse), -left * beta)
    slopes_TQ[:, m] = np.bincount(task, left * given.first, len(tasks))
    slopes_TQ[:, m + 1] = np.bincount(task, left * given.longer, len(tasks))
    keys, at = np.unique(task * r + given.rater, return_inverse=True)
    own_G = np.bincount(at, left * gap, len(keys))  # of one rater in one task
    task_G, rater_G = keys // r, keys % r
    through_GQ = (point.B_QR / point.D_R).T[rater_G] * own_G[:, None]
    for column in range(q):
        slopes_TQ[:, column] -= np.bincount(task_G, through_GQ[:, column], len(tasks))
    schur = point.A_QQ - (point.B_QR / point.D_R) @ point.B_QR.T
    moved_TQ = np.linalg.solve(schur, slopes_TQ.T).T  # what each task moves of the small parameters
    if len(tasks) < 2:
        return np.full(q, np.inf), np.full(r, np.inf)
    scale = len(tasks) / (len(tasks) - 1)
    variance_QQ = moved_TQ.T @ moved_TQ
    crossed_RQ = np.stack([np.bincount(rater_G, own_G * moved_TQ[task_G, c], r) for c in range(q)], axis=1)
    own_R = np.bincount(rater_G, np.square(own_G), r)
    through_R = np.einsum("qr,qp,pr->r", point.B_QR, variance_QQ, point.B_QR)
    variance_R = (own_R - 2 * np.einsum("rq,qr->r", crossed_RQ, point.B_QR) + through_R) / np.square(point.D_R)
    return np.sqrt(scale * np.diag(variance_QQ)), np.sqrt(scale * np.maximum(variance_R, 0.0))
