"""Samples follow the model's distribution, come from their own seeds, and end where the model ends; so do scores."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.training import tiny
from training.context import Stopped
from training.contract import Failure
from training.mechanics import models, scoring
from training.mechanics.generation import draws, sampling


@pytest.fixture(scope="module")
def words():
    return tiny.tokenizer()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.set_num_threads(1)
    model = models.load_causal(tiny.write_model(tmp_path_factory.mktemp("model"), seed=3), dtype=torch.float32)
    with torch.no_grad():  # a model from zero finds all tokens alike; this one has preferences
        for weight in model.parameters():
            weight.mul_(3)
    return model.eval()


PROMPTS = [[5, 6, 7], [8, 9, 10, 11, 12, 13, 14, 15, 16], [40, 41], [50, 51, 52, 53, 54]]


def draw(model, words, prompts=PROMPTS, **changes):
    count = len(prompts)
    told = {
        "seeds": list(range(count)), "temperatures": [1.0] * count, "top_p": 1.0, "max_new_tokens": 20, "batch_size": 8,
    } | changes  # fmt: skip
    return sampling.sample(model, words, prompts, **told)


def test_a_sequence_is_the_same_alone_and_in_company(model, words):
    together = draw(model, words)
    for place, prompt in enumerate(PROMPTS):
        (alone,) = draw(model, words, [prompt], seeds=[place])
        assert alone.ids == together[place].ids
        assert alone.logprob == pytest.approx(together[place].logprob, rel=1e-4)


def test_batches_change_nothing_and_answers_keep_the_order_of_prompts(model, words):
    assert [s.ids for s in draw(model, words, batch_size=1)] == [s.ids for s in draw(model, words)]


def test_another_seed_gives_another_sample(model, words):
    first, second = draw(model, words, [PROMPTS[0]] * 2, seeds=[1, 2])
    assert first.ids != second.ids


def test_the_log_probability_is_the_models_own(model, words):
    sample = draw(model, words, [PROMPTS[0]], temperatures=[0.7])[0]
    ids = torch.tensor([PROMPTS[0] + sample.ids])
    with torch.no_grad():
        logps = (model(ids).logits[0].float() / 0.7).log_softmax(-1)
    expected = sum(logps[i - 1, ids[0, i]].item() for i in range(len(PROMPTS[0]), ids.shape[1]))
    assert sample.logprob == pytest.approx(expected, rel=1e-4)


def test_lots_give_tokens_as_often_as_the_distribution_says():
    probabilities = torch.tensor([0.5, 0.3, 0.15, 0.05, 0.0])
    count = 4000
    lots = np.random.default_rng(0).random(count)
    rows = [SimpleNamespace(temperature=1.0, lots=[lot], least=0, ids=[], logprobs=[]) for lot in lots]
    tokens = torch.tensor(draws.draw(probabilities.log().expand(count, -1), rows, top_p=1.0))
    shares = torch.bincount(tokens, minlength=5) / count
    torch.testing.assert_close(shares, probabilities, atol=0.03, rtol=0)
    assert shares[4] == 0


def test_nucleus_keeps_the_fewest_tokens_that_reach_top_p():
    logits = torch.tensor([0.05, 0.5, 0.15, 0.3]).log().expand(500, -1)
    lots = np.random.default_rng(0).random(500)
    rows = [SimpleNamespace(temperature=1.0, lots=[lot], least=0, ids=[], logprobs=[]) for lot in lots]
    tokens = draws.draw(logits, rows, top_p=0.6)
    assert set(tokens) == {1, 3}
    assert rows[0].logprobs[0] == pytest.approx(np.log([0.05, 0.5, 0.15, 0.3][tokens[0]]), rel=1e-5)


def test_each_sequence_has_a_temperature_of_its_own(model, words):
    cold = draw(model, words, [PROMPTS[0]] * 4, temperatures=[0.01] * 4)
    assert len({tuple(sample.ids) for sample in cold}) == 1
    mixed = draw(model, words, [PROMPTS[0]] * 4, temperatures=[0.01, 1.5, 1.5, 0.01])
    assert mixed[0].ids == mixed[3].ids == cold[0].ids
    assert len({tuple(sample.ids) for sample in mixed}) == 3


def test_the_end_token_ends_a_sequence_and_is_no_part_of_its_text(model, words):
    end = words.eos_token_id
    with torch.no_grad():
        weight = model.get_input_embeddings().weight
        before = weight[end].clone()
        weight[end] = weight.mean(0) * 0 + weight[draw(model, words)[0].ids[4]]  # as likely as a likely token
    samples = draw(model, words, [PROMPTS[0]] * 32, max_new_tokens=60)
    with torch.no_grad():
        weight[end] = before
    ended = [sample for sample in samples if sample.ended]
    assert ended and all(sample.ids[-1] == end and end not in sample.ids[:-1] for sample in ended)
    assert all("<|im_end|>" not in sample.text for sample in samples)
    assert all(len(sample.ids) == 60 and end not in sample.ids for sample in samples if not sample.ended)


def test_an_answer_ends_with_the_context_and_a_prompt_that_fills_it_is_refused(model, words):
    (sample,) = draw(model, words, [[5] * 250], max_new_tokens=50)
    assert len(sample.ids) <= 6
    with pytest.raises(Failure) as refused:
        draw(model, words, [[5] * 256])
    assert refused.value.code == "prompt_too_long"


def test_it_tells_how_far_it_is_and_stops_on_request(model, words):
    told: list[int] = []
    draw(model, words, batch_size=3, tell=told.append)
    assert told == [3, 4]
    with pytest.raises(Stopped):
        draw(model, words, stop_requested=lambda: True)


def test_seeds_differ_by_every_part_and_are_the_same_everywhere():
    seeds = {sampling.seed_of(seed, prompt, i) for seed in (0, 1) for prompt in ("a", "b") for i in range(4)}
    assert len(seeds) == 16 and all(0 <= seed < 2**63 for seed in seeds)
    assert sampling.seed_of(0, "a", 1) == 4757247737403457943


def test_seeds_of_prompts_follow_from_what_they_say():
    sky, sea = [tiny.user("Why is the sky blue?")], [tiny.user("Why is the sea salt?")]
    one, other, twin = sampling.seeds_of([sky, sea, sky], 0, samples=2)
    assert sampling.seeds_of([sea, sky], 0, samples=2) == [other, one]
    assert len({*one, *other, *twin}) == 6
    assert sampling.seeds_of([sky], 1, samples=2) != [one]


def test_scores_of_completions_do_not_depend_on_their_batch_and_agree_with_sampling(model, words):
    samples = draw(model, words, temperatures=[0.9] * 4)
    completions = [scoring.Completion(p, s.ids) for p, s in zip(PROMPTS, samples, strict=True)]
    told = {"pad_token_id": words.pad_token_id, "temperature": 0.9}
    for size in (1, 3, 8):
        found = scoring.token_logprobs(model, completions, batch_size=size, **told)
        assert [len(logps) for logps in found] == [len(s.ids) for s in samples]
        assert [logps.sum().item() for logps in found] == pytest.approx([s.logprob for s in samples], rel=1e-4)


def test_rewards_are_normalised_and_read_at_the_last_token_whatever_the_padding(tmp_path, words):
    model = models.load_reward(tiny.write_model(tmp_path / "m"), dtype=torch.float32).eval()
    talks = [[tiny.user("Say 1"), tiny.assistant("a" * n)] for n in (1, 9, 30)]
    plain = models.RewardScale(0.0, 1.0)
    together = scoring.rewards(model, words, talks, scale=plain, batch_size=8)
    alone = scoring.rewards(model, words, talks, scale=plain, batch_size=1)
    assert together == pytest.approx(alone, abs=1e-5)
    ids = words.apply_chat_template(talks[1], return_dict=True, return_tensors="pt")
    with torch.no_grad():
        hidden = model.model(**ids).last_hidden_state[0, -1]
        assert together[1] == pytest.approx(model.score(hidden).item(), abs=1e-5)
    scaled = scoring.rewards(model, words, talks, scale=models.RewardScale(1.0, 2.0), batch_size=8)
    assert scaled == pytest.approx([(raw - 1) / 2 for raw in together], abs=1e-6)
