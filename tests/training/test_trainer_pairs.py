"""Comparisons on their way into a trainer: whole prompts together, every text once, prompts alike, honest intervals."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from transformers import AutoModelForCausalLM
from trl.trainer.utils import add_fused_lm_head

from tests.training import tiny
from training.contract import Failure
from training.mechanics.shared_prefix import Reader
from training.mechanics.trainers.head import PIECE, add_compact_head, label_scores
from training.mechanics.trainers.judgement import accuracy, calibration_error, ceiling, interval, length_accuracy
from training.mechanics.trainers.pairs import GroupBatches, PairCollator, scale_weights


def test_every_comparison_is_seen_once_an_epoch_and_whole_prompts_stand_together():
    groups = [f"g{i // 3}" for i in range(60)]
    batches = GroupBatches(groups, [10 + i % 7 for i in range(60)], batch_size=6, seed=1)

    for epoch in range(3):
        batches.set_epoch(epoch)
        order = list(batches)
        assert sorted(order) == list(range(60))
        for start in range(0, 60, 6):
            assert set(Counter(groups[i] for i in order[start : start + 6]).values()) == {3}


def test_batches_keep_their_company_and_change_their_order():
    batches = GroupBatches([f"g{i}" for i in range(40)], [5] * 40, batch_size=4, seed=0)
    orders = []
    for epoch in range(2):
        batches.set_epoch(epoch)
        order = list(batches)
        orders.append([tuple(order[i : i + 4]) for i in range(0, 40, 4)])

    assert orders[0] != orders[1]
    assert set(orders[0]) == set(orders[1])


def test_a_short_last_batch_comes_last_so_that_no_batch_is_cut_in_two():
    batches = GroupBatches([f"g{i}" for i in range(10)], [5] * 10, batch_size=4, seed=0)
    short = next(batch for batch in batches.batches if len(batch) == 2)

    for epoch in range(4):
        batches.set_epoch(epoch)
        assert list(batches)[-2:] == short


def test_a_text_that_stands_in_three_comparisons_is_read_once():
    rows = [
        {"prompt_ids": [1, 2], "chosen_ids": a, "rejected_ids": b, "weight": 1.0, "group_id": "g"}
        for a, b in [([3], [4]), ([3], [5, 6]), ([4], [5, 6])]
    ]
    batch = PairCollator(Reader(pad_token_id=0, shares=False))(rows)

    assert batch["input_ids"].tolist() == [[1, 2, 3, 0], [1, 2, 4, 0], [1, 2, 5, 6]]
    assert batch["asked_ids"].tolist() == [3, 4, 5, 6]
    assert batch["asked_of"].tolist() == [0, 1, 2, 2]
    assert batch["chosen"].tolist() == [0, 0, 1]
    assert batch["rejected"].tolist() == [1, 2, 2]


def test_prompts_count_alike_however_many_comparisons_they_gave():
    rows = [{"group_id": "many", "weight": 1 / 6}] * 6 + [{"group_id": "one", "weight": 1.0}]
    scaled = scale_weights(rows)

    of = Counter[str]()
    for row in scaled:
        of[row["group_id"]] += row["weight"]
    assert of["many"] == pytest.approx(of["one"])
    assert sum(row["weight"] for row in scaled) == pytest.approx(len(scaled))


def test_comparisons_without_weight_are_refused():
    with pytest.raises(Failure) as refused:
        scale_weights([{"weight": 0.0}])
    assert refused.value.code == "no_weight"


# Judgement


def test_equal_scores_count_half():
    assert accuracy([1.0, -1.0, 0.0, 2.0]) == pytest.approx(2.5 / 4)


def test_repeating_a_prompts_comparisons_does_not_narrow_the_interval():
    margins, groups = [1.0, -1.0] * 20, [f"g{i}" for i in range(40)]
    single = interval(margins, groups)
    repeated = interval([m for m in margins for _ in range(10)], [g for g in groups for _ in range(10)])
    independent = interval([m for m in margins for _ in range(10)], [f"g{i}" for i in range(400)])

    assert repeated == pytest.approx(single, abs=0.02)
    assert independent[1] - independent[0] < 0.5 * (repeated[1] - repeated[0])


def test_calibration_of_a_confident_and_wrong_judge_is_bad_and_of_an_honest_one_good():
    honest = [math.log(3)] * 75 + [-math.log(3)] * 25  # says 75 % and is right in 75 %
    assert calibration_error(honest) == pytest.approx(0, abs=1e-9)
    assert calibration_error([10.0] * 50 + [-10.0] * 50) == pytest.approx(0.5, abs=1e-3)


def test_the_length_baseline_takes_its_direction_from_the_training_pairs():
    shorter_wins = [(3, 9), (4, 8), (9, 3)]
    assert length_accuracy(shorter_wins, [(1, 2), (5, 9), (9, 5), (1, 3)]) == pytest.approx(0.75)


def test_the_ceiling_comes_from_raters_who_ranked_the_same_pair():
    def row(rater: str, chosen: str, rejected: str, group: str) -> dict[str, object]:
        texts = {"chosen": [tiny.assistant(chosen)], "rejected": [tiny.assistant(rejected)]}
        return {"group_id": group, "rater": rater, **texts}

    agree = [row(rater, "x", "y", f"g{i}") for i in range(3) for rater in ("ada", "ben")]
    differ = [row("ada", "x", "y", "g9"), row("ben", "y", "x", "g9")]

    found = ceiling(agree + differ)
    assert found["agreement"] == pytest.approx(0.75)
    assert found["agreement_n"] == 4
    assert found["accuracy_ceiling"] == pytest.approx((1 + math.sqrt(0.5)) / 2)
    assert ceiling(agree[:1]) == {}


# The head


@pytest.fixture
def language_model(tmp_path) -> nn.Module:
    torch.set_num_threads(1)
    return AutoModelForCausalLM.from_pretrained(tiny.write_model(tmp_path / "model").path)


def test_the_compact_head_gives_the_log_probabilities_of_the_whole_one(language_model):
    labels = torch.tensor([[-100, -100, 7, 9, 5], [-100, 6, -100, -100, -100]])
    ids = torch.tensor([[3, 4, 7, 9, 5], [3, 6, 8, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    logits = language_model(input_ids=ids, attention_mask=mask).logits[:, :-1].float().log_softmax(-1)
    expected = logits.gather(-1, labels[:, 1:].clamp(min=0).unsqueeze(-1)).squeeze(-1) * (labels[:, 1:] != -100)

    add_fused_lm_head(language_model, outputs=("log_probs", "entropy", "is_top1"))
    add_compact_head(language_model, statistics=True)
    found = language_model(input_ids=ids, attention_mask=mask, labels=labels, fused_lm_head=True)

    torch.testing.assert_close(found.log_probs, expected)
    assert found.loss.item() == pytest.approx(-expected.sum().item() / 4, rel=1e-5)
    assert found.entropy[0, 1].item() == pytest.approx(-(logits[0, 1].exp() * logits[0, 1]).sum().item(), rel=1e-4)


@pytest.mark.parametrize("has_bias", [True, False])
def test_the_heads_own_way_back_is_that_of_the_plain_formula_whatever_each_token_counts(has_bias):
    torch.manual_seed(0)
    head = nn.Linear(8, 30, bias=has_bias).double()
    hidden, labels = torch.randn(PIECE + 3, 8).double().requires_grad_(), torch.randint(30, (PIECE + 3,))
    weights = [hidden, *head.parameters()]
    counts = torch.randn(PIECE + 3).double()
    expected = torch.autograd.grad(-(F.cross_entropy(head(hidden), labels, reduction="none") * counts).sum(), weights)
    log_probs, entropies, is_top1 = label_scores(head, hidden, labels)
    torch.testing.assert_close(torch.autograd.grad((log_probs * counts).sum(), weights), expected)
    assert not entropies.requires_grad
    with torch.no_grad():
        log_probs_NV = head(hidden).log_softmax(-1)
        torch.testing.assert_close(entropies, -(log_probs_NV.exp() * log_probs_NV).sum(-1))
        assert (is_top1 == (log_probs_NV.argmax(-1) == labels)).all()
        none = label_scores(head, hidden[:0], labels[:0])
    assert [len(values) for values in none] == [0, 0, 0]
