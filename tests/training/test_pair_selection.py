"""Which comparisons of a ranking are learned, and that a prompt weighs once whichever they are."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from tests.training import tiny
from training import contract
from training.mechanics.people.pairs import Pair, chosen_rows, extremes, shares
from training.mechanics.people.rankings import read_rankings
from training.recipes.dpo import DpoRecipe

# a > b = c > d, its strengths 1 and 3
ORDER = [Pair("a", "b", 1), Pair("a", "c", 1), Pair("a", "d", 4), Pair("b", "d", 3), Pair("c", "d", 3)]
WHICH = ("adjacent", "best_worst", "weighted")


def told(which: str, pairs: list[Pair] = ORDER) -> dict[str, float]:
    return {f"{p.better}{p.worse}": share for p, share in zip(pairs, shares(pairs, which), strict=True) if share}


def test_all_count_alike():
    assert told("all") == pytest.approx(dict.fromkeys(("ab", "ac", "ad", "bd", "cd"), 0.2))


def test_neighbours_are_those_with_no_text_between_them():
    assert told("adjacent") == pytest.approx(dict.fromkeys(("ab", "ac", "bd", "cd"), 0.25))


def test_the_best_stand_against_the_worst():
    assert told("best_worst") == {"ad": 1.0}
    assert extremes(ORDER) == ({"a"}, {"d"})


def test_weighted_they_count_by_the_strengths_between_them():
    assert told("weighted") == pytest.approx({"ab": 1 / 12, "ac": 1 / 12, "ad": 4 / 12, "bd": 3 / 12, "cd": 3 / 12})
    assert told("weighted", [Pair("a", "b", 0), Pair("a", "c", 0)]) == {"ab": 0.5, "ac": 0.5}


@pytest.mark.parametrize("which", WHICH)
def test_judgements_that_go_in_a_circle_all_stand(which):
    circle = [Pair("a", "b", 1), Pair("b", "c", 1), Pair("c", "a", 1)]
    assert told(which, circle) == pytest.approx({"ab": 1 / 3, "bc": 1 / 3, "ca": 1 / 3})


@pytest.mark.parametrize("which", WHICH)
def test_whole_rankings_and_their_comparisons_alone_come_to_the_same(tmp_path, which):
    rankings, rows = tiny.ranked(6, raters=("ada", "ben"))
    given = tiny.write_dataset(tmp_path / "data", rows, rankings=rankings)

    def weights(found):
        summed = defaultdict(float)
        for row in found:
            summed[row["group_id"], row["rater"], row["chosen"][0]["content"], row["rejected"][0]["content"]] += row[
                "weight"
            ]
        return summed

    from_rankings = weights(chosen_rows(rows, which=which, groups=read_rankings(given, split="train")))
    alone = weights(chosen_rows(rows, which=which))
    assert from_rankings.keys() == alone.keys()
    assert from_rankings == pytest.approx(alone)
    assert len(alone) < len(rows) or which == "weighted"
    prompts = Counter()
    for (group, *_), weight in from_rankings.items():
        prompts[group] += weight
    assert list(prompts.values()) == pytest.approx([1.0] * 6)


def test_all_leaves_the_rows_as_they_are():
    _, rows = tiny.ranked(3)
    assert chosen_rows(rows, which="all") is rows


def test_a_run_learns_from_the_pairs_it_was_told_and_is_judged_by_all(tmp_path):
    rankings, rows = tiny.ranked(8)
    _, held_out = tiny.ranked(4, first=8)
    inputs = {
        "model": tiny.write_model(tmp_path / "model"),
        "preferences": tiny.write_dataset(tmp_path / "data", rows, held_out, rankings=rankings),
    }
    recipe = DpoRecipe.presets["tiny"] | {"pairs": "best_worst", "epochs": 1, "max_length": 96, "sample_tokens": 0}
    run_dir = tiny.make_run(tmp_path / "run", "dpo", recipe, inputs)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    metrics = contract.read_manifest(run_dir)["metrics"]
    expected = sum(len(one["tiers"][0]) * len(one["tiers"][-1]) for one in rankings if len(one["tiers"]) > 1)
    assert metrics["train_pairs"] == expected < len(rows)
    assert metrics["held_out_pairs"] == len(held_out)
