"""Rankings on their way into a reward model: whole orders, each text once, each prompt once, nothing taken in that isn't told."""

from __future__ import annotations

import math

import pytest
import torch

from tests.training import tiny
from training import contract
from training.contract import Failure
from training.mechanics.people import rankings
from training.mechanics.people.batches import RankingCollator
from training.mechanics.people.likelihood import NOWHERE
from training.mechanics.people.rankings import Group, Order
from training.mechanics.shared_prefix import Reader
from training.methods import reward
from training.recipes.reward import RewardRecipe

RECIPE = RewardRecipe.presets["tiny"] | {"epochs": 8, "eval_every": 20, "max_length": 96, "batch_size": 4}


def ranking(tiers, *, group="g", texts=None, strengths=None, rater="ada"):
    names = [name for tier in tiers for name in tier]
    texts = texts or {name: f"text {name}" for name in [*names, "left out"]}
    completions = [{"id": name, "text": text} for name, text in texts.items()]
    return {
        "group_id": group, "prompt": [tiny.user(f"Ask {group}")], "completions": completions, "tiers": tiers,
        "strengths": strengths if strengths is not None else [1] * (len(tiers) - 1), "rater": rater,
    }  # fmt: skip


def read(*rows) -> list[Group]:
    return rankings.gathered(judged for row in rows if (judged := rankings.of_ranking(row)).tiers)


def said(group: Group) -> list[str]:
    return [reply[-1][1] for reply in group.replies]


def test_all_rankings_of_a_prompt_are_one_element_in_which_each_text_stands_once():
    (group,) = read(ranking([["b"], ["a", "c"]]), ranking([["c"], ["b"]], rater="ben"))
    assert said(group) == ["text b", "text a", "text c"]
    assert [order.tiers for order in group.orders] == [((0,), (1, 2)), ((2,), (0,))]
    assert [order.rater for order in group.orders] == ["ada", "ben"]


def test_a_prompt_weighs_once_however_many_ranked_it():
    groups = read(*[ranking([["a"], ["b"]], rater=f"r{i}") for i in range(5)], ranking([["a"], ["b"]], group="h"))
    assert [group.weight for group in rankings.scaled(groups)] == pytest.approx([1, 1])


def test_strengths_add_up_along_the_order():
    (group,) = read(ranking([["a"], ["b"], ["c", "d"]], strengths=[1, 3]))
    assert group.orders[0].below == (0.0, 1.0, 4.0)


def test_rankings_that_say_nothing_are_no_element():
    assert read(ranking([]), ranking([["a"]])) == []


def test_a_text_that_contradicts_itself_takes_no_part_and_one_that_is_tied_with_itself_stands_once():
    texts = {"a": "same", "b": "same ", "c": "other", "d": "third"}
    (torn,) = read(ranking([["a"], ["c"], ["b", "d"]], texts=texts))
    assert said(torn) == ["other", "third"]
    (tied,) = read(ranking([["a", "b"], ["c"]], texts=texts))
    assert len(tied.replies) == 2 and tied.orders[0].tiers == ((0,), (1,))


def test_a_prompt_with_hundreds_of_comparisons_is_several_elements_that_weigh_one():
    rows = [ranking([[f"a{i}"], [f"b{i}"]]) for i in range(20)]
    groups = read(*rows)
    assert max(len(group.replies) for group in groups) == rankings.MOST_TEXTS
    assert sum(group.weight for group in groups) == pytest.approx(1)
    assert sum(len(group.orders) for group in groups) == 20


def test_comparisons_alone_are_orders_of_two_with_the_weights_of_their_rows():
    rows = tiny.preference_rows(1)
    (group,) = rankings.of_comparisons(rows)
    assert len(group.replies) == 3
    assert [order.weight for order in group.orders] == [row["weight"] for row in rows]
    assert all(len(order.tiers) == 2 and order.below == (0.0, 1.0) for order in group.orders)


def test_texts_that_are_too_long_are_counted_and_the_rest_of_their_order_stays(tmp_path):
    context = tiny.open_run(tiny.make_run(tmp_path / "run", "reward", {}, {}))
    texts = {"a": "short", "b": "long " * 40, "c": "brief", "d": "x"}
    torn = ranking([["a"], ["b"]], texts=texts, rater="ben")  # of which nothing is left
    groups = read(
        ranking([["a"], ["b"], ["c", "d"]], texts=texts), torn, ranking([["a"], ["b"]], texts=texts, group="h")
    )
    kept = rankings.tokenised(groups, tokenizer=tiny.tokenizer(), max_length=96, context=context, split="train")
    assert [said(group) for group in kept] == [["short", "brief", "x"]]
    assert kept[0].weight == 1 and len(kept[0].orders) == 1
    assert kept[0].orders[0].tiers == ((0,), (1, 2)) and kept[0].orders[0].below == (0.0, 2.0)
    (warning,) = tiny.events(tmp_path / "run", "warning")
    assert warning["sentence"].startswith("2 of 6 texts (train) are longer than 96 tokens")


def test_no_weight_is_refused():
    with pytest.raises(Failure) as refused:
        rankings.scaled([Group("g", (), (), (Order(((0,), (1,)), (0.0, 1.0), 0.0),))])
    assert refused.value.code == "no_weight"


def test_a_batch_has_each_text_once_and_orders_as_places_among_them():
    groups = [
        Group("g", (), ((), (), ()), (Order(((2,), (0, 1)), (0.0, 2.0), 1.0),), ((1, 2, 3), (1, 2, 4), (1, 2, 5))),
        Group("h", (), ((), ()), (Order(((1,), (0,)), (0.0, 1.0), 0.5, lot=0.3),), ((7, 8), (7, 9))),
    ]
    batch = RankingCollator(Reader(pad_token_id=0, shares=True))(groups)
    assert batch["input_ids"].tolist() == [[1, 2, 3, 4, 5, 7, 8, 9]]
    assert batch["places"].tolist() == [[2, 0, 1], [4, 3, 0]]
    assert batch["tiers"].tolist() == [[0, 1, 1], [0, 1, NOWHERE]]
    assert batch["below"].tolist() == [[0, 2, 2], [0, 1, 0]]
    assert batch["weights"].tolist() == [1.0, 0.5] and batch["lots"].tolist() == pytest.approx([0.0, 0.3])
    assert (batch["chosen"].tolist(), batch["rejected"].tolist()) == ([2, 2, 4], [0, 1, 3])


# Runs


def inputs(folder, **more):
    ranked, rows = tiny.ranked(40, **more)
    test = tiny.ranked(16, first=40)[1]
    dataset = tiny.write_dataset(folder / "data", rows, test, rankings=ranked)
    return {"model": tiny.write_model(folder / "model"), "preferences": dataset}


@pytest.mark.slow(seconds=4)
@pytest.mark.parametrize("loss", ["plackett_luce", "bradley_terry"])
def test_rankings_with_ties_are_learned_whole_or_by_their_comparisons(tmp_path, loss):
    run_dir = tiny.make_run(tmp_path / "run", "reward", RECIPE | {"loss": loss}, inputs(tmp_path))
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    metrics = contract.read_manifest(run_dir)["metrics"]
    assert metrics["eval_accuracy"] > 0.9
    assert metrics["train_prompts"] == 40
    assert metrics["train_rankings"] == 40 if loss == "plackett_luce" else metrics["train_pairs"]


def test_an_untrained_head_finds_every_order_as_likely_as_any_other(tmp_path):
    strict = [ranking([["a"], ["b"], ["c"], ["d"]], group=f"g{i}") for i in range(3)]
    trainer = built(tmp_path, read(*strict))
    batch = trainer.data_collator(trainer.train_dataset)
    losses = trainer.order_losses(torch.zeros(12), batch)
    assert losses.tolist() == pytest.approx([math.log(24) / 3] * 3, rel=1e-5)


def test_votes_on_one_pair_are_a_soft_label(tmp_path):
    votes = [ranking([["a"], ["b"]]), ranking([["a"], ["b"]], rater="ben"), ranking([["b"], ["a"]], rater="cy")]
    trainer = built(tmp_path, read(*votes), center_rewards=0)
    batch = trainer.data_collator(trainer.train_dataset)
    scores = torch.tensor([0.7, -0.4])
    found = (batch["weights"] * trainer.order_losses(scores, batch)).sum()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(torch.tensor(1.1), torch.tensor(2 / 3))
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_margin_by_strength_asks_for_more_distance(tmp_path):
    orders = read(ranking([["a"], ["b"]]), ranking([["a"], ["b"]], group="h", strengths=[3]))
    trainer = built(tmp_path, orders, use_margin=True, center_rewards=0)
    losses = trainer.order_losses(torch.tensor([1.0, 0.0] * 2), trainer.data_collator(trainer.train_dataset))
    assert losses.tolist() == pytest.approx([math.log(1 + math.exp(0)), math.log(1 + math.exp(2))])


def built(folder, groups, **changes):
    given = {"model": tiny.write_model(folder / "model")}
    context = tiny.open_run(tiny.make_run(folder / "run", "reward", RECIPE | changes, given))
    return reward.build(context, context.recipe, groups=groups, held_out=[], tokenizer=tiny.tokenizer())
