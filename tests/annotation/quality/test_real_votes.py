"""Real votes of people: the platform's figures are those that were published, and those of an independent count."""

from __future__ import annotations

import csv
import gzip
import itertools
import json
from collections import Counter, defaultdict

import numpy as np
import pytest

from annotation.quality.chance import Level, cohen_kappa, fleiss_kappa, krippendorff_alpha
from annotation.quality.consensus import consensus, majority
from annotation.quality.dawid_skene import FLOOR, Label, dawid_skene, majority_labels
from annotation.quality.gold import credit
from annotation.quality.judgement import Judgement, votes


def lines_of(path):
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def pandalm(request):
    return lines_of(request.getfixturevalue("data") / "pandalm" / "testset-v1.jsonl.gz")


def crowd_labels(data, name):
    def rows(part):
        with gzip.open(data / "crowdtruth" / f"{name}_{part}.csv.gz", "rt", encoding="utf-8") as lines:
            return list(csv.DictReader(lines))

    labels = [Label(row["item"], row["worker"], row["label"]) for row in rows("label")]
    return labels, {row["item"]: row["truth"] for row in rows("truth")}


def test_kappas_of_pandalms_three_raters_are_those_published(pandalm):
    said = [{str(row["idx"]): row[f"annotator{i}"] for row in pandalm} for i in (1, 2, 3)]
    found = [cohen_kappa(said[i], said[j]).value for i, j in ((0, 1), (0, 2), (1, 2))]
    assert [round(value, 2) for value in found] == [0.85, 0.88, 0.86]
    for value, (i, j) in zip(found, ((0, 1), (0, 2), (1, 2)), strict=True):
        one, other = (np.array(list(said[r].values())) for r in (i, j))
        chance = sum((one == label).mean() * (other == label).mean() for label in (0, 1, 2))
        assert value == pytest.approx(((one == other).mean() - chance) / (1 - chance), abs=1e-9)


def test_fleiss_and_alpha_on_pandalm_are_tied_by_their_formula(pandalm):
    """With n labels in all, nominal alpha is 1 - (1 - kappa)(n - 1) / n for raters who all voted (Krippendorff 2011)."""
    items = [[row[f"annotator{i}"] for i in (1, 2, 3)] for row in pandalm]
    kappa, alpha = fleiss_kappa(items).value, krippendorff_alpha(items, level=Level.NOMINAL).value
    assert alpha == pytest.approx(1 - (1 - kappa) * (1 - 1 / (3 * len(items))), abs=1e-9)


def test_majorities_of_pandalm_are_those_published(pandalm):
    labels = [Label(str(row["idx"]), str(i), str(row[f"annotator{i}"])) for row in pandalm for i in (1, 2, 3)]
    assert Counter(majority_labels(labels).values()) == {("0",): 105, ("1",): 422, ("2",): 472}


def as_tiers(vote):
    return {0: (("1", "2"),), 1: (("1",), ("2",)), 2: (("2",), ("1",))}[vote]


def test_the_copeland_order_of_pandalms_pairs_follows_two_of_three(pandalm):
    rows = [Judgement(str(r["idx"]), str(i), as_tiers(r[f"annotator{i}"])) for r in pandalm for i in (1, 2, 3)]
    orders = majority(rows)
    for row in pandalm:
        (label, count), *_ = Counter(row[f"annotator{i}"] for i in (1, 2, 3)).most_common(1)
        if count >= 2:
            signs = [{0: 0, 1: 1, 2: -1}[row[f"annotator{i}"]] for i in (1, 2, 3)]
            assert votes(orders[str(row["idx"])])[("1", "2")] == np.sign(sum(signs))
            assert label == 0 or np.sign(sum(signs)) == {1: 1, 2: -1}[label]
    found = consensus(rows)
    assert all(rater.low > 0.9 for rater in found.raters.values())
    agreed = [credit(found.tasks[task].tiers, order).value for task, order in orders.items() if len(order) == 2]
    assert np.mean(agreed) > 0.98


@pytest.mark.parametrize(
    ("name", "by_majority", "by_model"),
    [("bluebird", 0.759, 0.898), ("dog", 0.822, 0.843), pytest.param("web", 0.731, 0.819, marks=pytest.mark.slow)],
)
def test_accuracies_on_crowds_with_a_known_truth_are_those_published(data, name, by_majority, by_model):
    labels, truth = crowd_labels(data, name)
    most = majority_labels(labels)
    share = np.mean([(truth[item] in most[item]) / len(most[item]) for item in truth])  # a tie is drawn by lot
    assert round(share, 3) == by_majority
    found = dawid_skene(labels)
    assert found.is_settled
    assert round(np.mean([found.labels[item] == truth[item] for item in truth]), 3) == by_model


def test_posteriors_are_those_of_a_plain_em_with_loops(data):
    labels, _ = crowd_labels(data, "bluebird")
    found = dawid_skene(labels, most_rounds=5)
    classes, by_item = found.classes, defaultdict(list)
    for label in labels:
        by_item[label.item].append((label.rater, label.label))
    post = {i: {c: sum(v == c for _, v in said) / len(said) for c in classes} for i, said in by_item.items()}
    for _ in range(5):
        table = defaultdict(lambda: FLOOR)
        for (item, said), truth in itertools.product(by_item.items(), classes):
            for rater, label in said:
                table[rater, truth, label] += post[item][truth]
        shares = {c: sum(p[c] for p in post.values()) / len(post) for c in classes}
        sums = {key[:2]: sum(table[(*key[:2], c)] for c in classes) for key in list(table)}
        for item, said in by_item.items():
            likely = {c: shares[c] * np.prod([table[r, c, v] / sums[r, c] for r, v in said]) for c in classes}
            post[item] = {c: likely[c] / sum(likely.values()) for c in classes}
    for item, chances in found.posteriors.items():
        assert chances == pytest.approx([post[item][c] for c in classes], abs=1e-9)


PAIRS = list(itertools.combinations("1234", 2))


def order_of(preference):
    """Tiers of four texts by pair votes (0 tie, 1 first, 2 second); None where the votes are not those of a weak order."""
    wins = Counter(dict.fromkeys("1234", 0))
    for (one, other), vote in zip(PAIRS, preference, strict=True):
        wins[one] += {0: 0, 1: 1, 2: -1}[vote]
        wins[other] -= {0: 0, 1: 1, 2: -1}[vote]
    tiers = tuple(tuple(n for n in "1234" if wins[n] == level) for level in sorted(set(wins.values()), reverse=True))
    said = {pair: {0: 0, 1: 1, 2: -1}[vote] for pair, vote in zip(PAIRS, preference, strict=True)}
    return tiers if votes(tiers) == said else None


def test_real_pair_votes_of_four_texts_are_weak_orders_and_come_back_from_the_majority(data):
    rows = lines_of(data / "finegrained_qa" / "dev_feedback.jsonl.gz")
    preferences = [
        row["feedback"]["preference"] if "preference" in row["feedback"] else row["preference"] for row in rows
    ]
    orders = {str(i): order_of(preference) for i, preference in enumerate(preferences)}
    assert all(orders[str(i)] for i, preference in enumerate(preferences) if 0 not in preference)
    rankings = {task: order for task, order in orders.items() if order}
    assert majority(Judgement(task, "r", order) for task, order in rankings.items()) == rankings
    found = consensus(Judgement(task, f"r{i}", order) for task, order in rankings.items() for i in range(3))
    strict = {task: order for task, order in rankings.items() if len(order) == 4}
    assert np.mean([credit(found.tasks[task].tiers, order).value for task, order in strict.items()]) > 0.999


def test_pair_votes_of_finegrained_qa_cost_what_a_naive_count_says(data):
    rows = lines_of(data / "finegrained_qa" / "dev_feedback.jsonl.gz")
    preferences = [
        row["feedback"]["preference"] if "preference" in row["feedback"] else row["preference"] for row in rows
    ]
    orders = [order for preference in preferences if (order := order_of(preference))]
    kept = [preference for preference in preferences if order_of(preference)]
    gold = (("1",), ("2",), ("3",), ("4",))
    found = [credit(order, gold).value for order in orders]
    naive = [sum({1: 1.0, 0: 0.5, 2: 0.0}[vote] for vote in preference) / 6 for preference in kept]
    assert found == pytest.approx(naive, abs=1e-9)
