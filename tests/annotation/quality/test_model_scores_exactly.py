"""Scores of models are the maximum of the stated likelihood, with the stated errors, found anew by scipy; baselines by loops."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict

import numpy as np
import pytest
import scipy.optimize

from annotation.quality.dawid_skene import FLOOR
from annotation.quality.judgement import Judgement
from annotation.quality.model_scores import comparisons_of, model_scores
from annotation.quality.model_shares import items_of, model_shares, posteriors
from annotation.quality.table import table_of

MODELS = ("base", "dpo", "ppo", "sft")
QUALITY = {"base": -0.8, "dpo": 0.6, "ppo": 0.3, "sft": 0.0}


def a_campaign(num_tasks, *, num_raters=5, seed=0, leans=0.15):
    """Judgements, and the model and length of each text; raters of different noise, who lean to what stands first."""
    random = np.random.default_rng(seed)
    rows, model, length = [], {}, {}
    for number in range(num_tasks):
        names = [f"{number}/{name}" for name in random.permutation(list("wxyz"))]
        for name, one in zip(names, MODELS, strict=True):
            model[name], length[name] = one, int(random.integers(30, 800))
        felt = {n: QUALITY[model[n]] + random.normal(scale=0.4) + 0.2 * math.log(length[n] / 200) for n in names}
        for rater in random.choice(num_raters, size=3, replace=False):
            shown = tuple(random.permutation(names).tolist())
            noise = 0.4 + 0.5 * rater
            seen = {n: felt[n] - leans * shown.index(n) + random.gumbel(scale=noise) for n in names}
            order = sorted(seen, key=lambda n: -seen[n])
            tiers = [[order[0]]]
            for before, after in itertools.pairwise(order):
                if seen[before] - seen[after] < 0.15:
                    tiers[-1].append(after)
                else:
                    tiers.append([after])
            rows.append(Judgement(f"t{number:03}", f"r{rater}", tuple(map(tuple, tiers)), shown))
    return rows, model, length


def coded(rows, model, length):
    table = table_of(rows)
    model_TK, length_TK = np.full((len(table.tasks), 9), -1), np.zeros((len(table.tasks), 9))
    for at, columns in enumerate(table.texts):
        for name, column in columns.items():
            model_TK[at, column], length_TK[at, column] = MODELS.index(model[name]), length[name]
    return table, model_TK, length_TK


@pytest.fixture(scope="module")
def campaign():
    return a_campaign(30)


@pytest.fixture(scope="module")
def found(campaign):
    table, model_TK, length_TK = coded(*campaign)
    given = comparisons_of(table, model_TK=model_TK, length_TK=length_TK, num_models=4)
    return model_scores(given, models=MODELS, raters=table.raters)


@pytest.fixture(scope="module")
def votes(campaign):
    """(task, rater, better's model, worse's model, first, longer, weight), by reading each ranking aloud."""
    rows, model, length = campaign
    said = []
    for row in rows:
        level = {name: at for at, tier in enumerate(row.tiers) for name in tier}
        for one, other in itertools.combinations(sorted(level), 2):
            ways = [(one, other)] if level[one] < level[other] else [(other, one)]
            if level[one] == level[other]:
                ways = [(one, other), (other, one)]
            for up, down in ways:
                first = 1 if row.shown.index(up) < row.shown.index(down) else -1
                longer = math.log(length[up] / length[down])
                said.append((row.task, row.rater, model[up], model[down], first, longer, 1 / len(ways)))
    return said


def log_posterior(at, votes, raters):
    """As docs/statistics.md has it: theta ~ N(0, 3^2), gamma ~ N(0, 1), beta ~ N(1, 0.5^2)."""
    theta = dict(zip(MODELS, at[:4], strict=True))
    beta = dict(zip(raters, at[6:], strict=True))
    total = -sum(x * x for x in at[:4]) / 18 - (at[4] ** 2 + at[5] ** 2) / 2 - sum((b - 1) ** 2 for b in at[6:]) * 2
    for _, rater, up, down, first, longer, weight in votes:
        logit = beta[rater] * (theta[up] - theta[down]) + at[4] * first + at[5] * longer
        total += weight * (-math.log1p(math.exp(-logit)))
    return total


def slopes(at, votes, raters):
    """Of the likelihood of each vote, by hand: [votes, parameters]."""
    made = np.zeros((len(votes), len(at)))
    for row, (_, rater, up, down, first, longer, weight) in enumerate(votes):
        i, j, r = MODELS.index(up), MODELS.index(down), 6 + raters.index(rater)
        logit = at[r] * (at[i] - at[j]) + at[4] * first + at[5] * longer
        left = weight / (1 + math.exp(logit))
        made[row, i], made[row, j] = left * at[r], -left * at[r]
        made[row, 4], made[row, 5], made[row, r] = left * first, left * longer, left * (at[i] - at[j])
    return made


def whole_slope(at, votes, raters):
    prior = np.concatenate([at[:4] / 9, at[4:6], (at[6:] - 1) * 4])
    return slopes(at, votes, raters).sum(axis=0) - prior


@pytest.fixture(scope="module")
def best(votes):
    raters = sorted({vote[1] for vote in votes})
    start = np.concatenate([np.zeros(6), np.ones(len(raters))])
    climbed = scipy.optimize.minimize(
        lambda at: -log_posterior(at, votes, raters), start, jac=lambda at: -whole_slope(at, votes, raters), method="BFGS",
        options={"gtol": 1e-7},
    ).x  # fmt: skip
    return scipy.optimize.root(lambda at: whole_slope(at, votes, raters), climbed, tol=1e-13).x, raters


def test_scores_terms_and_sharpness_are_the_maximum_that_scipy_finds(found, best):
    at, raters = best
    ours = [found.scores[name].value for name in MODELS] + [found.position.value, found.length.value]
    assert found.is_settled
    assert ours == pytest.approx(at[:6].tolist(), abs=1e-9)
    assert [found.sharpness[rater].value for rater in raters] == pytest.approx(at[6:].tolist(), abs=1e-9)
    assert sum(at[:4]) == pytest.approx(0, abs=1e-9)


def test_errors_are_those_of_the_sandwich_over_tasks(found, best, votes):
    at, raters = best
    step = 1e-5
    curve = np.array(
        [
            (whole_slope(at + step * one, votes, raters) - whole_slope(at - step * one, votes, raters)) / (2 * step)
            for one in np.eye(len(at))
        ]
    )
    by_task = defaultdict(lambda: np.zeros(len(at)))
    for vote, slope in zip(votes, slopes(at, votes, raters), strict=True):
        by_task[vote[0]] += slope
    bread, num = np.linalg.inv(-curve), len(by_task)
    variance = bread @ sum(np.outer(one, one) for one in by_task.values()) @ bread * num / (num - 1)
    half = 1.96 * np.sqrt(np.diag(variance))
    ours = [*(found.scores[name] for name in MODELS), found.position, found.length]
    ours += [found.sharpness[rater] for rater in raters]
    assert [one.high - one.value for one in ours] == pytest.approx(half.tolist(), rel=1e-6)
    assert [one.value - one.low for one in ours] == pytest.approx(half.tolist(), rel=1e-6)


def test_what_is_true_comes_back():
    rows, model, length = a_campaign(600, num_raters=8, seed=5)
    table, model_TK, length_TK = coded(rows, model, length)
    told = model_scores(
        comparisons_of(table, model_TK=model_TK, length_TK=length_TK, num_models=4), models=MODELS, raters=table.raters
    )
    assert sorted(MODELS, key=lambda name: -told.scores[name].value) == ["dpo", "ppo", "sft", "base"]
    assert told.position.low > 0
    assert told.length.low > 0
    sharp = [told.sharpness[rater].value for rater in table.raters]
    assert np.corrcoef(sharp, 1 / (0.4 + 0.5 * np.arange(8)))[0, 1] > 0.9  # of the noise that they were drawn with


def test_majority_shares_are_a_count(campaign):
    rows, model, length = campaign
    table, model_TK, _ = coded(rows, model, length)
    told = model_shares(table, model_TK=model_TK, models=MODELS, num_resamples=50).majority
    totals = Counter()
    for row in rows:
        level = {name: at for at, tier in enumerate(row.tiers) for name in tier}
        for one, other in itertools.combinations(sorted(level), 2):
            totals[row.task, one, other] += np.sign(level[other] - level[one])
    won, num = Counter(), Counter()
    for (_, one, other), total in totals.items():
        for name, share in ((one, (np.sign(total) + 1) / 2), (other, (1 - np.sign(total)) / 2)):
            won[model[name]] += share
            num[model[name]] += 1
    for name in MODELS:
        assert told[name].value == pytest.approx(won[name] / num[name], abs=1e-9)
        assert told[name].num == num[name]
        assert told[name].low < told[name].value < told[name].high


def test_dawid_and_skenes_posteriors_are_those_of_a_plain_em(campaign):
    table, model_TK, _ = coded(*campaign)
    items = items_of(table, model_TK=model_TK)
    ours, rounds, is_settled = posteriors(items, raters=table.raters)
    assert is_settled
    said = defaultdict(list)
    for item, rater, vote in zip(items.item.tolist(), items.rater.tolist(), items.vote.tolist(), strict=True):
        if vote:
            said[item].append((rater, int(vote > 0)))
    post = {item: sum(v for _, v in all_) / len(all_) for item, all_ in said.items()}
    for _ in range(rounds):
        table_ = defaultdict(lambda: FLOOR)
        for item, all_ in said.items():
            for rater, vote in all_:
                table_[rater, 1, vote] += post[item]
                table_[rater, 0, vote] += 1 - post[item]
        share = sum(post.values()) / len(post)
        for item, all_ in said.items():
            likely = [1 - share, share]
            for truth in (0, 1):
                for rater, vote in all_:
                    likely[truth] *= table_[rater, truth, vote] / (table_[rater, truth, 0] + table_[rater, truth, 1])
            post[item] = likely[1] / sum(likely)
    for item in range(len(ours)):
        assert ours[item] == pytest.approx(post.get(item, 0.5), abs=1e-9)


def test_texts_of_one_model_or_of_none_are_not_compared():
    rows = [Judgement("t", "ada", (("a",), ("b",), ("c",)))]
    table = table_of(rows)
    model_TK = np.full((1, 9), -1)
    model_TK[0, table.texts[0]["a"]] = model_TK[0, table.texts[0]["b"]] = 0
    told = model_scores(
        comparisons_of(table, model_TK=model_TK, length_TK=np.zeros((1, 9)), num_models=1),
        models=("one",),
        raters=("ada",),
    )
    assert (told.scores["one"].value, told.scores["one"].why) == (None, "No rater has compared texts of two models.")
    assert model_shares(table, model_TK=model_TK, models=("one",)).majority["one"].value is None
