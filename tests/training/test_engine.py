"""Sequences come and go: each is what it would be alone, a prompt is read once, and nothing is read for what is done."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
import torch
from scipy import stats
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from tests.training import tiny
from training.context import Stopped
from training.contract import Failure
from training.mechanics.generation import draws, sampling
from training.mechanics.generation.stops import Cut, Stops

WORDS = tiny.tokenizer()
SIZES = {
    "vocab_size": len(WORDS), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
WINDOW = {"sliding_window": 8, "head_dim": 8}
KINDS = {
    "llama": {},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128},
    "mistral": WINDOW,  # every layer sees a window
    "gemma2": WINDOW | {"query_pre_attn_scalar": 8},  # every other layer does, and attention is plain
    "gemma3_text": WINDOW | {"query_pre_attn_scalar": 8, "sliding_window_pattern": 2},
}
PROMPTS = [[5, 6, 7], [8], [5, 6, 7], list(range(20, 45)), [40, 41], list(range(50, 59)), [5, 6, 7], [8]]


def model_of(kind: str):
    torch.set_num_threads(1)
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **(SIZES | KINDS[kind]))).eval()
    with torch.no_grad():  # a model from zero finds all tokens alike; this one has preferences
        for weight in model.parameters():
            weight.mul_(4 if weight.dim() > 1 else 1)
    return model


@pytest.fixture(scope="module")
def llama():
    return model_of("llama")


def sample(model, prompts=PROMPTS, **changes):
    count = len(prompts)
    told = {
        "seeds": list(range(count)), "temperatures": [0.9] * count, "top_p": 1.0, "max_new_tokens": 24, "batch_size": 3,
    } | changes  # fmt: skip
    return sampling.sample(model, WORDS, prompts, **told)


def plain_logprobs(model, prompt, ids, *, temperature):
    """By one pass over the whole text, without any cache."""
    with torch.no_grad():
        logps = (model(input_ids=torch.tensor([prompt + ids])).logits[0].float() / temperature).log_softmax(-1)
    return [logps[len(prompt) - 1 + i, token].item() for i, token in enumerate(ids)]


@pytest.fixture
def passes(llama):
    """The shape of what each pass of the model reads."""
    found: list[tuple[int, int]] = []
    hook = llama.register_forward_pre_hook(
        lambda _, args, kwargs: found.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    yield found
    hook.remove()


@pytest.mark.parametrize("kind", KINDS)
def test_log_probabilities_in_a_mixed_batch_are_those_of_a_plain_pass(kind):
    model = model_of(kind)
    for prompt, found in zip(PROMPTS, sample(model), strict=True):
        assert found.logprobs == pytest.approx(plain_logprobs(model, prompt, found.ids, temperature=0.9), abs=1e-4)
        assert found.logprob == sum(found.logprobs)


@pytest.mark.slow(seconds=3)
def test_a_seed_gives_the_same_text_whatever_the_company_the_batch_and_the_order(llama):
    # To rounding: a lot within 1e-7 of a border between two tokens may fall on either side. None of these does.
    luck = random.Random(1)
    prompts = [PROMPTS[i % len(PROMPTS)] for i in range(24)]
    expected = [found.ids for found in sample(llama, prompts, batch_size=24, seeds=range(100, 124))]
    for batch_size in (1, 2, 5, 64):
        order = luck.sample(range(24), 7 if batch_size == 2 else 24)
        found = sample(llama, [prompts[i] for i in order], seeds=[100 + i for i in order], batch_size=batch_size)
        assert [one.ids for one in found] == [expected[i] for i in order]


def test_first_and_second_tokens_come_as_often_as_the_model_says(llama):
    prompt, count = [5, 6, 7], 4000
    found = sample(llama, [prompt] * count, seeds=list(range(count)), temperatures=[0.2] * count, max_new_tokens=2,
                   batch_size=256)  # fmt: skip
    firsts = Counter(one.ids[0] for one in found)
    likely = firsts.most_common(1)[0][0]
    seconds = Counter(one.ids[1] for one in found if one.ids[0] == likely)
    for counted, before in ((firsts, prompt), (seconds, [*prompt, likely])):
        assert sum(counted.values()) > 300
        assert chance_of(counted, llama, before, temperature=0.2) > 0.01
        assert chance_of(counted, llama, before, temperature=0.25) < 1e-6


def chance_of(counted, model, before, *, temperature):
    """Of so unlikely a count, by chi-square; tokens that would come less than five times are counted as one."""
    with torch.no_grad():
        shares = (model(input_ids=torch.tensor([before])).logits[0, -1].double() / temperature).softmax(-1).numpy()
    expected = shares * sum(counted.values())
    observed = np.array([counted[token] for token in range(len(shares))])
    rare = expected < 5
    if rare.any():
        observed, expected = ([*values[~rare], values[rare].sum()] for values in (observed, expected))
    return stats.chisquare(observed, expected).pvalue


def test_the_samples_of_a_prompt_read_it_once_and_no_row_is_read_for_what_is_done(llama, passes):
    found = sample(llama, [[5, 6, 7, 8, 9]] * 8, max_new_tokens=30, batch_size=8)
    assert passes[0] == (1, 5) and all(width == 1 for _, width in passes[1:])
    # A sequence's first token comes from the prompt's pass, and its last is never read.
    assert sum(rows for rows, _ in passes[1:]) == sum(len(one.ids) - 1 for one in found)


def test_the_next_sequence_takes_the_place_of_one_that_is_done(llama, passes):
    end = likely_end(llama)
    passes.clear()
    found = sampling.sample(
        llama, end, [[5, 6, 7]] * 30, seeds=list(range(30)), temperatures=[1.0] * 30, top_p=1.0, max_new_tokens=40,
        batch_size=4,
    )  # fmt: skip
    assert len({len(one.ids) for one in found}) > 5
    live = [rows for rows, width in passes if width == 1]
    assert sum(live) == sum(len(one.ids) - 1 for one in found)
    assert live == sorted(live, reverse=True) and live[0] == 4  # full as long as anything waits


def likely_end(model):
    """The tokenizer, with a token for its end that comes now and then."""
    found = sample(model, [[5, 6, 7]] * 30, max_new_tokens=20)
    words = tiny.tokenizer()
    (common,) = Counter(token for one in found for token in one.ids).most_common(1)
    words.eos_token = words.convert_ids_to_tokens(common[0])
    return words


def test_prompts_of_all_lengths_are_read_in_few_passes_with_little_padding(llama, passes):
    prompts = [[5] * (1 + n % 12) for n in range(36)]
    sample(llama, prompts, max_new_tokens=1)
    assert len(passes) == 1 and passes[0] == (12, 12)


def test_a_request_to_stop_is_heeded_within_a_token(llama, passes):
    with pytest.raises(Stopped):
        sample(llama, stop_requested=lambda: len(passes) >= 6)
    assert len(passes) == 6


def test_under_autocast_it_samples_by_the_probabilities_that_the_model_has_there(llama):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for prompt, answer in zip(PROMPTS, sample(llama), strict=True):
            logits = llama(input_ids=torch.tensor([prompt + answer.ids])).logits[0, len(prompt) - 1 : -1].float()
            own = (logits / 0.9).log_softmax(-1).gather(1, torch.tensor(answer.ids).unsqueeze(1)).squeeze(1)
            torch.testing.assert_close(torch.tensor(answer.logprobs), own, atol=0.15, rtol=0.05)


def test_a_model_is_left_as_it_was_found(llama):
    llama.train()
    sample(llama, max_new_tokens=2)
    assert llama.training
    llama.eval()


@pytest.mark.parametrize("kind", ["mamba", "gpt_neo"])
def test_a_model_that_remembers_otherwise_is_one_clear_failure(kind):
    sizes = {
        "mamba": {"hidden_size": 32, "num_hidden_layers": 2},
        "gpt_neo": {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]]},
    }[kind]
    config = AutoConfig.for_model(kind, vocab_size=len(WORDS), pad_token_id=0, bos_token_id=1, eos_token_id=2, **sizes)
    with pytest.raises(Failure) as refused:
        sample(AutoModelForCausalLM.from_config(config))
    assert refused.value.code == "no_slots" and kind in refused.value.sentence


# How an answer ends


def test_no_answer_ends_before_its_least_length_and_the_log_probability_is_still_the_models_own(llama):
    words = likely_end(llama)
    told = {"temperatures": [1.0] * 20, "top_p": 1.0, "max_new_tokens": 30, "batch_size": 5, "seeds": list(range(20))}
    free = sampling.sample(llama, words, [[5, 6, 7]] * 20, **told)
    assert min(len(one.ids) for one in free) < 6
    held = sampling.sample(llama, words, [[5, 6, 7]] * 20, min_new_tokens=6, **told)
    assert min(len(one.ids) for one in held) > 6
    for one in held:
        assert words.eos_token_id not in one.ids[:6]
        assert one.logprobs == pytest.approx(plain_logprobs(llama, [5, 6, 7], one.ids, temperature=1.0), abs=1e-4)


def test_a_certain_end_token_is_not_drawn_early_all_the_same():
    logits = torch.tensor([[0.0, 1.0, 200.0]]).expand(200, -1)
    rows = [draws.Row([], [lot], 1.0, 1, least=1) for lot in np.random.default_rng(0).random(200)]
    tokens = Counter(draws.draw(logits, rows, top_p=1.0, ends=frozenset({2})))
    assert set(tokens) == {0, 1} and 0.6 < tokens[1] / 200 < 0.85


def test_a_stop_string_over_several_tokens_ends_the_answer_and_is_cut_off():
    speller = model_of("llama")
    speller.lm_head = torch.nn.Linear(32, len(WORDS))  # a letter a token
    letters = WORDS.convert_tokens_to_ids(list("abcdefghijklmnopqrstuvwxyz"))
    with torch.no_grad():
        speller.lm_head.bias.index_fill_(0, torch.tensor(letters), 50.0)
    free = sample(speller)
    for i in range(len(PROMPTS)):
        stop = free[i].text[7:10]
        at = free[i].text.index(stop)
        (found,) = sample(speller, [PROMPTS[i]], seeds=[i], temperatures=[0.9], stop_strings=("never so", stop))
        assert found.text == free[i].text[:at] and found.ended
        assert found.ids == free[i].ids[: len(found.ids)] and WORDS.decode(found.ids) == found.text
        assert found.logprobs == pytest.approx(free[i].logprobs[: len(found.ids)], abs=1e-5)


@pytest.fixture(scope="module")
def pairs():
    """Tokens of one letter or two: "abc" is "ab" and "c", so that a border may lie within a stop string or a token."""
    vocab = {token: i for i, token in enumerate([*"abcdx", "ab", "cd"])}
    bpe = Tokenizer(models.BPE(vocab=vocab, merges=[("a", "b"), ("c", "d")]))
    bpe.pre_tokenizer, bpe.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=bpe)


@pytest.mark.parametrize(
    ("text", "stop", "least", "cut"),
    [
        ("xabc", "bc", 0, Cut("xa", 1)),  # "ab" reaches into the stop string: its "a" is text, its tokens are not
        ("xxabcd", "abcd", 0, Cut("xx", 2)),
        ("cdx", "d", 0, Cut("c", 0)),
        ("abab", "cd", 0, None),
        ("xcdxxcd", "cd", 0, Cut("x", 1)),
        ("xcdxxcd", "cd", 2, Cut("xcdxx", 4)),  # the first one lies within the least length
        ("xxcdx", "cd", 2, None),  # told a token too late: it would have been cut when it came
    ],
)
def test_text_is_cut_before_the_stop_string_and_only_tokens_before_it_are_kept(pairs, text, stop, least, cut):
    ids = pairs(text)["input_ids"]
    assert pairs.decode(ids) == text
    found = None
    for length in range(1, len(ids) + 1):
        found = found or Stops((stop,), pairs).cut(ids[:length], least=least)
    assert found == (cut if text != "xxcdx" else Cut("xx", 2))


def test_a_nucleus_wider_than_its_head_is_sorted_whole():
    torch.manual_seed(0)
    for flatness in (0.01, 3.0):
        weights = (torch.randn(4, 5 * draws.HEAD) * flatness).exp()
        order = weights.sort(dim=-1, descending=True)
        before = order.values.cumsum(-1) - order.values
        least = order.values.masked_fill(before >= 0.8 * weights.sum(-1, keepdim=True), float("inf")).amin(-1)
        found = draws.nucleus(weights, top_p=0.8)
        assert torch.equal(found, weights.masked_fill(weights < least[:, None], 0.0))
        assert (found > 0).sum(-1).max() > draws.HEAD if flatness < 1 else (found > 0).sum(-1).max() < draws.HEAD
