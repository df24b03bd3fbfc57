"""Soft labels: a comparison with label p teaches what two opposite ones with the weights p and 1 - p teach, and no more."""

from __future__ import annotations

import math

import pytest
import torch

from tests.training import tiny
from training import contract
from training.mechanics.people.rankings import read_rankings
from training.mechanics.preference.losses import LOSSES, SORTED, Divergence, Pairs, Terms, labelled, weighed_loss
from training.mechanics.trainers.pairs import read_pairs
from training.recipes import RECIPES

OF_PAIRS = sorted(LOSSES.keys() - set(SORTED))


def some(seed: int = 0, **more) -> Pairs:
    lot = torch.Generator().manual_seed(seed)
    chosen, rejected, ref_chosen, ref_rejected = (
        (-torch.rand(4, generator=lot, dtype=torch.float64) * 9) for _ in range(4)
    )
    lengths = torch.tensor([3, 8, 5, 2]), torch.tensor([7, 2, 4, 6])
    chosen.requires_grad_()
    rejected.requires_grad_()
    return Pairs(chosen, rejected, ref_chosen, ref_rejected, *lengths, **more)


def slopes(loss: torch.Tensor, pairs: Pairs) -> torch.Tensor:
    return torch.stack([one if one is not None else torch.zeros(4) for one in
                        torch.autograd.grad(loss, (pairs.chosen, pairs.rejected), allow_unused=True)])  # fmt: skip


@pytest.mark.parametrize("name", OF_PAIRS)
@pytest.mark.parametrize("divergence", [Divergence(), Divergence("js_divergence")])
def test_a_label_is_as_good_as_two_opposite_comparisons(name, divergence):
    pairs, terms = some(divergence=divergence), Terms(0.7, 0.1)
    labels = torch.tensor([0.5, 0.7, 0.9, 1.0], dtype=torch.float64)
    soft = labelled(name, pairs, terms, labels=labels).sum()
    two = (labels * LOSSES[name](pairs, terms)).sum() + ((1 - labels) * LOSSES[name](pairs.opposite(), terms)).sum()
    torch.testing.assert_close(slopes(soft, pairs), slopes(two, pairs))
    hard = torch.ones(4, dtype=torch.float64)
    assert torch.equal(labelled(name, pairs, terms, labels=hard), LOSSES[name](pairs, terms))


def test_of_dpo_a_label_is_the_cross_entropy_to_it():
    pairs, labels = some(), torch.tensor([0.5, 0.6, 0.8, 1.0], dtype=torch.float64)
    margins = pairs.margins(0.3)
    by_hand = -(labels * torch.sigmoid(margins).log() + (1 - labels) * torch.sigmoid(-margins).log())
    torch.testing.assert_close(labelled("sigmoid", pairs, Terms(0.3), labels=labels), by_hand)
    weights = torch.tensor([1.0, 2.0, 0.5, 0.5], dtype=torch.float64)
    torch.testing.assert_close(
        weighed_loss("sigmoid", pairs, Terms(0.3), weights=weights, labels=labels), (weights * by_hand).mean()
    )


@pytest.mark.parametrize(("name", "beta"), [("ipo", 0.5), ("sppo_hard", 0.5)])
def test_of_ipo_and_sppo_a_label_is_the_target_of_their_papers(name, beta):
    pairs, labels = some(), torch.tensor([0.5, 0.6, 0.8, 1.0], dtype=torch.float64)
    targets = (labels - 0.5) / beta
    if name == "ipo":
        apart = pairs.c / pairs.chosen_lengths - pairs.r / pairs.rejected_lengths
        theirs = ((apart - targets) ** 2).sum()
    else:
        theirs = ((pairs.c - targets) ** 2 + (pairs.r + targets) ** 2).sum()
    ours = labelled(name, pairs, Terms(beta), labels=labels).sum()
    torch.testing.assert_close(slopes(ours, pairs), slopes(theirs, pairs))


# Runs: the same curves, whichever way it is said


def labelled_rows(prompts: int, *, label) -> list[dict]:
    return [{**row, "weight": 1.0, "label": label} for row in tiny.preference_rows(prompts, texts=2)]


def opposites(rows: list[dict], label: float) -> list[dict]:
    """Each comparison twice, with the weights p and 1 - p; the second time the other way round."""
    found = []
    for row in rows:
        plain = {name: value for name, value in row.items() if name != "label"}
        found.append({**plain, "weight": label})
        turned = {"chosen": plain["rejected"], "rejected": plain["chosen"], "id": plain["id"] + "-turned"}
        found.append({**plain, **turned, "weight": 1 - label})
    return found


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny.write_model(tmp_path_factory.mktemp("model") / "model")


@pytest.fixture
def curves(tmp_path, model):
    def of(name, method, rows, **changes):
        given = {"model": model, "preferences": tiny.write_dataset(tmp_path / f"{name}-data", rows)}
        fixed = {"epochs": 2, "batch_size": 4, "max_length": 96, "sample_tokens": 0}
        fixed = {key: value for key, value in fixed.items() if key in RECIPES[method].model_fields}
        run_dir = tiny.make_run(tmp_path / name, method, RECIPES[method].presets["tiny"] | fixed | changes, given)
        assert tiny.finish(run_dir) == contract.EXIT_DONE
        return {metric: tiny.curve(run_dir, metric) for metric in ("loss", "grad_norm")}

    return of


@pytest.mark.parametrize(
    ("method", "twice", "changes"),
    [("dpo", {"batch_size": 8}, {}), ("dpo", {"batch_size": 8}, {"loss": "apo_zero", "more_losses": ("ipo:0.1",)}),
     ("reward", {}, {"use_margin": True}), ("reward", {}, {"loss": "bradley_terry", "center_rewards": 0.1})],
)  # fmt: skip
def test_a_run_with_labels_is_the_run_with_opposite_comparisons(curves, method, twice, changes):
    rows = labelled_rows(8, label=0.7)
    soft = curves("soft", method, rows, **changes)
    two = curves("two", method, opposites(rows, 0.7), **(changes | twice))
    for metric, values in soft.items():
        assert len(values) == 4 and values == pytest.approx(two[metric], rel=2e-4), metric
    assert soft["loss"] != curves("hard", method, labelled_rows(8, label=None), **changes)["loss"]


@pytest.mark.parametrize("method", ["dpo", "reward"])
def test_labels_of_one_or_none_are_no_labels_to_the_last_bit(curves, method):
    absent = [{name: value for name, value in row.items() if name != "label"} for row in labelled_rows(8, label=1)]
    found = curves("absent", method, absent)
    assert (
        found
        == curves("none", method, labelled_rows(8, label=None))
        == curves("one", method, labelled_rows(8, label=1.0))
    )


@pytest.mark.parametrize(
    ("method", "changes"), [("dpo", {"loss": "aot"}), ("dpo", {"more_losses": ("aot_unpaired:1",)}), ("kto", {})]
)
def test_methods_that_can_learn_none_refuse_them(tmp_path, model, method, changes):
    rows = labelled_rows(4, label=0.6)
    given = {"model": model, "preferences": tiny.write_dataset(tmp_path / "data", rows)}
    run_dir = tiny.make_run(tmp_path / "run", method, RECIPES[method].presets["tiny"] | changes, given)
    assert tiny.finish(run_dir) == contract.EXIT_FAILED
    assert tiny.failure(run_dir)["code"] == "soft_labels" and tiny.failure(run_dir)["advice"]


def test_held_out_comparisons_are_judged_by_who_was_chosen(tmp_path):
    rows = labelled_rows(6, label=0.8)
    given = tiny.write_dataset(tmp_path / "data", rows[:4], rows[4:])
    assert {row["label"] for row in read_pairs(given, split="train")} == {0.8}
    assert not any("label" in row for row in read_pairs(given, split="test"))


# Whole rankings beside comparisons


def test_rankings_whose_comparisons_have_labels_are_read_as_these_and_weigh_what_they_did(tmp_path):
    rankings, rows = tiny.ranked(3, raters=("ada", "ben"))
    for row in rows:  # ben is a model, and says how sure it is of each pair
        row["label"] = 0.75 if row["rater"] == "ben" else None
    plain = [{name: value for name, value in row.items() if name != "label"} for row in rows]
    before = read_rankings(tiny.write_dataset(tmp_path / "plain", plain, rankings=rankings), split="train")
    after = read_rankings(tiny.write_dataset(tmp_path / "soft", rows, rankings=rankings), split="train")
    for old, new in zip(before, after, strict=True):
        assert new.id == old.id and new.weight == pytest.approx(old.weight) == pytest.approx(1)
        by_ada, by_ben = ([order for order in new.orders if order.rater == name] for name in ("ada", "ben"))
        assert [order.tiers for order in by_ada] and {order.label for order in by_ada} == {1.0}
        assert sum(order.weight for order in by_ada) == pytest.approx(0.5)
        assert {order.label for order in by_ben} == {0.75} and {sum(map(len, o.tiers)) for o in by_ben} == {2}
        said = {
            (old.replies[a], old.replies[b]) for order in old.orders if order.rater == "ben" for a, b in order.pairs
        }
        assert {(new.replies[a], new.replies[b]) for order in by_ben for a, b in order.pairs} == said


def test_labelled_comparisons_without_a_ranking_are_not_dropped(tmp_path):
    rankings, rows = tiny.ranked(2)
    alone = [{**row, "label": 0.6} for row in tiny.preference_rows(1, first=9, texts=2)]
    groups = read_rankings(
        tiny.write_dataset(tmp_path / "data", [*({**row, "label": None} for row in rows), *alone], rankings=rankings),
        split="train",
    )
    assert [group.id for group in groups] == ["g0", "g1", "g9"]
    assert [order.label for order in groups[-1].orders] == [0.6] and groups[-1].weight == 1


def test_a_margin_that_learns_a_label_comes_to_its_log_odds():
    gap = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    step = torch.optim.LBFGS([gap], max_iter=50, line_search_fn="strong_wolfe")
    nil = torch.zeros(1, dtype=torch.float64)
    one = torch.ones(1)

    def loss():
        step.zero_grad()
        found = labelled(
            "sigmoid", Pairs(gap, nil, nil, nil, one, one), Terms(1.0), labels=torch.tensor([0.8]).double()
        ).sum()
        found.backward()
        return found

    step.step(loss)
    assert gap.item() == pytest.approx(math.log(4), abs=1e-3)
