"""Texts read together come to what they come to alone: scores, log-probabilities, gradients; and cost less."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, MistralConfig, Qwen2Config

from tests.training import tiny
from training.mechanics.shared_prefix import PADDING, Reader, Text, can_share, may_look, plan, read_together
from training.mechanics.trainer_head import add_exact_score, add_text_log_probs

READER = Reader(pad_token_id=0, width=64, shares=True)
ALONE = dataclasses.replace(READER, shares=False)
SCORED = ("input_ids", "position_ids", "attention_mask", "last_places")
ASKED = ("input_ids", "position_ids", "attention_mask", "asked_ids", "asked_places", "asked_of")

tokens = st.lists(st.integers(1, 60), min_size=1, max_size=12).map(tuple)
groups = st.lists(st.tuples(tokens, st.lists(tokens, min_size=1, max_size=5, unique=True)), min_size=1, max_size=3)


def texts_of(drawn) -> list[Text]:
    return [
        Text(prompt + rest, len(prompt), f"g{number}") for number, (prompt, rests) in enumerate(drawn) for rest in rests
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.set_num_threads(1)
    return tiny.write_model(tmp_path_factory.mktemp("model") / "model").path


@pytest.fixture(scope="module")
def scorer(folder):
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1).eval()
    add_exact_score(model)
    return model


@pytest.fixture(scope="module")
def speaker(folder):
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    add_text_log_probs(model)
    return model


def scores_and_gradient(model, texts, *, reader):
    model.zero_grad()
    batch = read_together(texts, reader=reader)
    scores = model(**{name: batch[name] for name in SCORED}).logits.squeeze(-1)
    (scores * torch.linspace(-1, 2, len(scores))).sum().backward()
    return scores.detach(), [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]


@settings(max_examples=25, deadline=None)
@given(groups)
def test_scores_and_gradients_are_those_of_texts_read_alone(scorer, drawn):
    texts = texts_of(drawn)
    together, gradient = scores_and_gradient(scorer, texts, reader=READER)
    alone, expected = scores_and_gradient(scorer, texts, reader=ALONE)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    for one, other in zip(gradient, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


@settings(max_examples=25, deadline=None)
@given(groups)
def test_log_probabilities_are_those_that_the_models_own_logits_give(speaker, drawn):
    texts = texts_of(drawn)
    batch = read_together(texts, reader=READER)
    with torch.no_grad():
        found = speaker(**{name: batch[name] for name in ASKED}, num_texts=len(texts)).log_probs
        for text, log_prob in zip(texts, found.tolist(), strict=True):
            logps_TV = speaker(input_ids=torch.tensor([text.ids])).logits[0, :-1].float().log_softmax(-1)
            own = [logps_TV[i - 1, text.ids[i]].item() for i in range(text.num_prompt, len(text.ids))]
            assert log_prob == pytest.approx(sum(own), abs=1e-3)


def test_a_prompt_is_read_once_for_its_completions():
    prompt = tuple(range(1, 41))
    texts = [Text((*prompt, 50 + i, 5), len(prompt), "g") for i in range(4)]
    batch = read_together(texts, reader=READER)
    assert batch["input_ids"].shape == (1, 40 + 4 * 2)
    assert batch["position_ids"][0, 40:].tolist() == [40, 41] * 4
    assert batch["last_places"].tolist() == [41, 43, 45, 47]
    assert batch["text_lengths"].tolist() == [42] * 4


def test_a_text_that_is_the_beginning_of_another_has_a_last_place_of_its_own():
    batch = read_together([Text((1, 2), 1, "g"), Text((1, 2, 3), 1, "g")], reader=READER)
    assert len(set(batch["last_places"].tolist())) == 2


def test_nobody_sees_another_text_nor_what_comes_after():
    owners = torch.tensor([[-1, -1, 0, 0, 1, PADDING]])
    seen = {(i, j) for i, j in may_look(owners)[0, 0].nonzero().tolist()}
    own = {(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (3, 0), (3, 1), (3, 2), (3, 3), (4, 0), (4, 1), (4, 4)}
    assert seen == own | {(5, 5)}


def test_long_completions_of_a_short_prompt_stay_apart_since_attention_would_cost_more():
    def group(prompt: int, rest: int) -> list[Text]:
        return [Text((*[1] * prompt, 2 + i, *[3] * (rest - 1)), prompt, "g") for i in range(9)]

    assert len(plan(group(128, 128), width=576)) == 1
    assert len(plan(group(4, 2000), width=576)) == 9
    assert 1 < len(plan(group(200, 500), width=576)) < 9


def test_groups_never_share_a_row_however_alike():
    texts = [Text((1, 2, 3), 2, "g"), Text((1, 2, 4), 2, "h")]
    assert [row.texts for row in plan(texts, width=64)] == [[0], [1]]


@pytest.mark.parametrize(
    ("config", "shares"),
    [
        (MistralConfig(sliding_window=4096), False),
        (MistralConfig(sliding_window=None), True),
        (Qwen2Config(use_sliding_window=False), True),
    ],
)
def test_a_model_with_a_window_reads_each_text_alone(config, shares):
    config._attn_implementation = "sdpa"
    assert can_share(config) is shares


def test_a_model_without_sdpa_reads_each_text_alone():
    config = MistralConfig(sliding_window=None)
    config._attn_implementation = "eager"
    assert not can_share(config)
