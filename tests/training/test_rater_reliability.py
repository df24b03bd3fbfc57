"""Raters who answer by lot, or by length alone, are found among the rankings themselves, and cost a model next to nothing.

The scorer is a linear one over made-up features, so that five models of each kind are trained in seconds: what is put to the
test are the estimates and the loss, which know of no model.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks import simulated_rankings
from tests.training import tiny
from training import contract
from training.mechanics.people.batches import places_of
from training.mechanics.people.likelihood import losses_by_lot, num_choices, plackett_luce_losses
from training.mechanics.people.rankings import Group, Order
from training.mechanics.people.reliability import reliabilities, weighed_by_rater
from training.recipes.reward import RewardRecipe

K, RATERS, OVERLAP, SEEDS = 4, 10, 3, 6


def simulated(seed: int, *, spammers: int, how: str = "by lot", width: int = 40, prompts: int = 60):
    """True weights, groups, features. A text is worth 2 w.x plus the rater's own Gumbel noise; "x" raters spam."""
    draw = np.random.default_rng(seed)
    truth = draw.normal(size=width)
    truth /= np.linalg.norm(truth)
    names = [("x" if i < spammers else "h") + str(i) for i in range(RATERS)]
    features, groups = [], []
    for p in range(prompts):
        texts = draw.normal(size=(K, width)) * 1.5
        features.append(texts)
        orders = []
        for i in draw.choice(RATERS, OVERLAP, replace=False):
            worth = 2 * texts @ truth + draw.gumbel(size=K)
            if names[i].startswith("x"):
                worth = draw.normal(size=K) if how == "by lot" else texts[:, 0]  # the first feature is the length
            tiers = tuple((int(text),) for text in np.argsort(-worth))
            orders.append(Order(tiers, tuple(map(float, range(K))), 1 / OVERLAP, names[i]))
        groups.append(Group(f"g{p}", (), tuple((("assistant", str(i)),) for i in range(K)), tuple(orders)))
    return truth, groups, np.array(features)


def accuracy_of(truth, groups, features) -> float:
    """On fresh pairs, of a linear scorer trained to the end."""
    orders = [(order, [n * K + i for i in range(K)]) for n, group in enumerate(groups) for order in group.orders]
    batch = places_of(orders)
    lots, weights = (torch.tensor([getattr(order, name) for order, _ in orders]) for name in ("lot", "weight"))
    flat = torch.tensor(features.reshape(-1, len(truth)), dtype=torch.float32)
    found = torch.zeros(len(truth), requires_grad=True)
    optimizer = torch.optim.LBFGS([found], max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        losses = plackett_luce_losses((flat @ found)[batch["places"]], batch["tiers"])
        losses = losses_by_lot(losses, batch["tiers"], lots_O=lots) / num_choices(batch["tiers"])
        loss = (weights * losses).sum() / len(groups) + 1e-3 * found.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    one, other = np.random.default_rng(99).normal(size=(2, 4000, len(truth)))
    return float((((one - other) @ found.detach().numpy() > 0) == ((one - other) @ truth > 0)).mean())


class Quiet:
    def warn(self, *told):
        pass

    log = warn


@pytest.mark.parametrize(("how", "width"), [("by lot", 40), ("by length", 12)])
def test_three_spammers_in_ten_cost_at_most_two_points_and_six_if_all_count_alike(how, width):
    torch.set_num_threads(1)
    found = []
    for seed in range(SEEDS):
        without = accuracy_of(*simulated(seed, spammers=0, width=width))
        truth, groups, features = simulated(seed, spammers=3, how=how, width=width)
        alike = accuracy_of(truth, groups, features)
        weighed = accuracy_of(truth, weighed_by_rater(groups, context=Quiet()), features)
        found.append((without - alike, without - weighed))
    cost_alike, cost_weighed = np.mean(found, axis=0)
    assert cost_alike >= 0.06
    assert cost_weighed <= 0.02


@pytest.mark.slow
def test_a_language_model_is_spared_those_who_rank_by_length_too(tmp_path):
    """Words whose letters' worths have to be learned, each ranked by three of ten. `make bench-reward_simulated` has those who
    answer by lot and by the opposite, over seeds."""
    train, test = (
        simulated_rankings.words(n, texts=k, seed=0, first=first) for n, k, first in ((120, 4, 0), (300, 3, 120))
    )
    worth = simulated_rankings.worth_of_words(0)
    held_out = simulated_rankings.flipped(test, rate=0, seed=0, worth=worth)
    found = {}
    for kind, weights in (("r", "none"), ("l", "none"), ("l", "estimated")):
        raters = [(kind if i < 3 else "r") + str(i) for i in range(10)]
        ranked, rows = simulated_rankings.ranked(train, raters=raters, seed=0, a_task=3, sharpness=1.5, worth=worth)
        folder = tmp_path / f"{kind}-{weights}"
        inputs = {
            "model": tiny.write_model(folder / "model"),
            "preferences": tiny.write_dataset(folder / "data", rows, held_out, rankings=ranked),
        }
        recipe = RewardRecipe.presets["tiny"] | {"rater_weights": weights, "epochs": 6, "eval_every": 10_000}
        run_dir = tiny.make_run(folder / "run", "reward", recipe, inputs)
        assert tiny.finish(run_dir) == contract.EXIT_DONE
        found[kind, weights] = contract.read_manifest(run_dir)["metrics"]["eval_accuracy"]
    assert found["r", "none"] - found["l", "none"] >= 0.06
    assert found["r", "none"] - found["l", "estimated"] <= 0.02


def test_spammers_are_told_from_attentive_raters():
    _, groups, _ = simulated(1, spammers=3)
    found = reliabilities(groups)
    assert all(rater.lot > 0.6 for rater in found.values() if rater.name.startswith("x"))
    assert all(rater.lot < 0.4 for rater in found.values() if rater.name.startswith("h"))


def test_attentive_raters_are_not_blamed_for_close_calls():
    _, groups, _ = simulated(2, spammers=0, prompts=500)
    lots = [rater.lot for rater in reliabilities(groups).values()]
    assert np.mean(lots) < 0.1


def test_without_two_raters_on_one_pair_nothing_is_known_and_that_is_said(tmp_path):
    _, groups, _ = simulated(1, spammers=3, prompts=4)
    alone = [replace(group, orders=group.orders[:1]) for group in groups]
    assert reliabilities(alone) == {}
    context = tiny.open_run(tiny.make_run(tmp_path / "run", "reward", {}, {}))
    assert weighed_by_rater(alone, context=context) == alone
    assert [warning["code"] for warning in tiny.events(tmp_path / "run", "warning")] == ["no_overlap"]


def test_a_run_names_the_raters_it_counts_for_little(tmp_path):
    ranked, rows = tiny.ranked(30, raters=("ada", "ben", "cy", "xeno"))
    recipe = RewardRecipe.presets["tiny"] | {"rater_weights": "estimated", "epochs": 4, "max_length": 96}
    inputs = {
        "model": tiny.write_model(tmp_path / "model"),
        "preferences": tiny.write_dataset(tmp_path / "data", rows, tiny.ranked(10, first=30)[1], rankings=ranked),
    }
    run_dir = tiny.make_run(tmp_path / "run", "reward", recipe, inputs)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    (warning,) = [w for w in tiny.events(run_dir, "warning") if w["code"] == "unreliable_raters"]
    assert warning["sentence"].startswith("1 of 4 raters") and "xeno" in warning["sentence"]
    assert contract.read_manifest(run_dir)["metrics"]["eval_accuracy"] > 0.9
