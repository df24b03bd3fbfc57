"""Real judgements of three makes train alike: rankings of four with ties, votes of three raters, and plain comparisons."""

from __future__ import annotations

import gzip
import json
import math
import random
from itertools import combinations

import pytest

from tests.training import tiny
from training import contract
from training.recipes.reward import RewardRecipe

RECIPE = RewardRecipe.presets["tiny"] | {"epochs": 1, "batch_size": 4, "max_length": 400, "rater_weights": "estimated"}
TRAIN, TEST = 40, 16


def lines_of(path):
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def ranking(group, prompt, texts, tiers, *, rater="r"):
    return {
        "group_id": f"g{group}", "ranking_id": f"{group}-{rater}", "prompt": [tiny.user(prompt)], "rater": rater,
        "completions": [{"id": name, "text": text} for name, text in texts.items()], "tiers": tiers,
        "strengths": [1] * (len(tiers) - 1), "seconds": 1.0, "simulated": False,
    }  # fmt: skip


def fine_grained(data):
    """Six comparisons of four texts (1 first, 2 second, 0 a tie), where they are those of a weak order."""
    for number, row in enumerate(lines_of(data / "finegrained_qa/dev_feedback.jsonl.gz")):
        texts = {str(i): row[f"prediction {i}"] for i in range(1, 5)}
        told = dict(zip(combinations(texts, 2), row["preference"], strict=True))
        wins = dict.fromkeys(texts, 0.0)
        for (one, other), vote in told.items():
            wins[one] += {0: 0.5, 1: 1, 2: 0}[vote]
            wins[other] += {0: 0.5, 1: 0, 2: 1}[vote]
        if all((wins[a] > wins[b]) - (wins[a] < wins[b]) == {0: 0, 1: 1, 2: -1}[v] for (a, b), v in told.items()):
            tiers = [
                [name for name in texts if wins[name] == level] for level in sorted(set(wins.values()), reverse=True)
            ]
            yield [ranking(number, row["question"], texts, tiers)]


def panda(data):
    for number, row in enumerate(lines_of(data / "pandalm/testset-v1.jsonl.gz")):
        texts = {"1": str(row["response1"]), "2": str(row["response2"])}
        prompt = f"{row['instruction']}\n{row['input']}"
        orders = {0: [["1", "2"]], 1: [["1"], ["2"]], 2: [["2"], ["1"]]}
        yield [ranking(number, prompt, texts, orders[row[f"annotator{i}"]], rater=f"r{i}") for i in (1, 2, 3)]


def harmless(data):
    for number, row in enumerate(lines_of(data / "hh_harmless/pairs.jsonl.gz")):
        (asked, better), (_, worse) = (row[side].rsplit("\n\nAssistant:", 1) for side in ("chosen", "rejected"))
        yield [ranking(number, asked, {"1": better, "2": worse}, [["1"], ["2"]])]


@pytest.mark.parametrize(
    ("of", "has_ties", "has_raters", "whole"),
    [(fine_grained, True, False, True), (panda, True, True, True), (harmless, False, False, False)],
)
def test_real_judgements_train_from_chance(tmp_path, data, of, has_ties, has_raters, whole):
    prompts = [some for some in of(data) if sum(len(one["text"]) for one in some[0]["completions"]) < 1200]
    random.Random(0).shuffle(prompts)
    rows = [
        [row for one in some for ranking in one for row in tiny.comparisons_of(ranking, share=1 / len(one))]
        for some in (prompts[:TRAIN], prompts[TRAIN : TRAIN + TEST])
    ]
    rankings = [one for some in prompts[:TRAIN] for one in some] if whole else None
    model = tiny.given(data / "stories260k", "model")
    inputs = {"model": model, "preferences": tiny.write_dataset(tmp_path / "data", *rows, rankings=rankings)}
    run_dir = tiny.make_run(tmp_path / "run", "reward", RECIPE, inputs)

    assert tiny.finish(run_dir) == contract.EXIT_DONE
    metrics = contract.read_manifest(run_dir)["metrics"]
    assert ("tie_weight" in metrics) == has_ties
    assert ("ceiling_fraction" in metrics) == has_raters
    assert metrics["eval_accuracy_low"] <= metrics["eval_accuracy"] <= metrics["eval_accuracy_high"]
    assert tiny.curve(run_dir, "eval_loss")[0] == pytest.approx(math.log(2), abs=0.3)
    warned = {warning["code"] for warning in tiny.events(run_dir, "warning")}
    assert ("no_overlap" in warned) == (not has_raters)
