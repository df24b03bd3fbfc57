"""Texts read together come to what they come to alone: scores, log-probabilities, gradients; and cost less."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from tests.training import tiny
from training.mechanics.shared_attention import NAME, filled_row
from training.mechanics.shared_prefix import READ, Reader, Text, can_share, read_together
from training.mechanics.trainers.head import add_exact_score, add_text_log_probs

READER = Reader(pad_token_id=0, shares=True)
ALONE = dataclasses.replace(READER, shares=False)
SCORED = (*READ, "last_places")
ASKED = (*READ, "asked_ids", "asked_places", "asked_of")

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
    assert Reader.of(model, pad_token_id=0).shares
    add_exact_score(model)
    return model


@pytest.fixture(scope="module")
def speaker(folder):
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    assert Reader.of(model, pad_token_id=0).shares
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


def test_samples_are_taken_by_the_same_model_as_ever(folder, speaker):
    plain = AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = torch.tensor([[5, 6, 7], [0, 8, 9]])
    mask = torch.tensor([[1, 1, 1], [0, 1, 1]])
    said = [
        model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=8, do_sample=False).tolist()
        for model in (plain, speaker)
    ]
    assert said[0] == said[1]


def test_a_long_row_is_filled_up_by_a_text_that_nobody_asks_for():
    texts = [Text(tuple(range(2, 2 + 60 + i)), 3, f"g{i}") for i in range(5)]
    batch = read_together(texts, reader=READER)
    num = sum(len(text.ids) for text in texts)
    assert batch["input_ids"].shape == (1, filled_row(num)) and filled_row(num) % 64 == 0 < filled_row(num) - num
    assert set(batch["input_ids"][0, num:].tolist()) == {READER.pad_token_id}
    assert max(*batch["last_places"].tolist(), *batch["asked_places"].tolist()) < num


def test_groups_are_read_apart_however_alike():
    batch = read_together([Text((1, 2, 3), 2, "g"), Text((1, 2, 4), 2, "h")], reader=READER)
    assert batch["input_ids"].tolist() == [[1, 2, 3, 1, 2, 4]]


class Deaf(LlamaForCausalLM):
    """Keeps what it is told from its layers."""

    def __init__(self, config) -> None:
        super().__init__(config)
        inner = self.model.forward
        self.model.forward = lambda *args, layout=None, **kwargs: inner(*args, **kwargs)


def test_a_model_that_would_not_listen_is_found_out_and_reads_each_text_alone():
    config = LlamaConfig(
        vocab_size=32, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    deaf = Deaf(config)
    assert not Reader.of(deaf, pad_token_id=0).shares
    assert deaf.config._attn_implementation == "sdpa"
    willing = LlamaForCausalLM(config)
    assert Reader.of(willing, pad_token_id=0).shares
    assert willing.config._attn_implementation == NAME


@pytest.mark.parametrize(("window", "shares"), [(4096, False), (None, True)])
def test_a_model_with_a_window_reads_each_text_alone(window, shares):
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = MistralForCausalLM(MistralConfig(vocab_size=32, num_key_value_heads=2, sliding_window=window, **sizes))
    assert can_share(model) is shares
