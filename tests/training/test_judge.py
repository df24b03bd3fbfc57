"""What a reward model thinks along the way is its score of what had been said so far, whoever's tokens were counted."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tests.training import tiny
from tests.training.tiny_reward import write_reward_model
from training.context import Stopped
from training.mechanics import datasets, scoring
from training.mechanics.models import RewardScale
from training.mechanics.online.judge import Judge, Said, reaches_of, read_answer
from training.mechanics.reward.score_rule import ScoreRule

MESSAGES = [tiny.user("Shout, please.")]
RAW = RewardScale(0.0, 1.0)
WORDS = tiny.tokenizer()


def in_pairs() -> PreTrainedTokenizerFast:
    """A policy's vocabulary in which "AB" and " a" are a token each: not those of the reward model."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: i for i, token in enumerate(["<|im_end|>", *alphabet, "AB", "\u0120a"])}
    bpe = Tokenizer(models.BPE(vocab=vocab, merges=[("A", "B"), ("\u0120", "a")]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|im_end|>")


@pytest.fixture(scope="module")
def judge(tmp_path_factory) -> Judge:
    torch.set_num_threads(1)
    return Judge.load(write_reward_model(tmp_path_factory.mktemp("reward")), bf16=False)


@pytest.fixture
def context(tmp_path):
    return tiny.open_run(tiny.make_run(tmp_path / "run", "ppo", {}, {}))


def said(text: str, *, words=WORDS, end: bool = True) -> Said:
    ids = words(text, add_special_tokens=False)["input_ids"] + [words.eos_token_id] * end
    return Said(MESSAGES, text, reaches_of(words, ids))


def opinion(judge: Judge, so_far: str) -> float:
    """The head's output at the last token of the prompt and of what had been said, read alone."""
    start = datasets.render_prompt(judge.tokenizer, MESSAGES)
    ids = start + judge.tokenizer(so_far, add_special_tokens=False)["input_ids"]
    hidden = judge.model.base_model(input_ids=torch.tensor([ids])).last_hidden_state[0, -1:]
    return scoring.head_scores(judge.model, hidden).item()


@pytest.mark.parametrize("words", [WORDS, in_pairs()], ids=["its own tokens", "tokens of another vocabulary"])
def test_along_the_way_it_thinks_what_it_would_of_the_beginning_alone(judge, context, words):
    text = "ABba aAB"
    answer = said(text, words=words)
    found = judge.score(context, [answer, said("x" * 20)], batch_size=2)
    for a, reach in enumerate(answer.reaches[:-1]):
        assert found.along_BA[0, a].item() == pytest.approx(opinion(judge, text[:reach]), abs=1e-6)


def test_in_the_end_it_says_what_it_says_to_everyone(judge, context):
    texts = ["ABc", "", "aaaaaAAAAA", "ABc"]
    found = judge.score(context, [said(text) for text in texts], batch_size=3)
    talks = [[*MESSAGES, {"role": "assistant", "content": text}] for text in texts]
    alone = scoring.rewards(judge.model, judge.tokenizer, talks, scale=RAW, batch_size=1)
    assert found.final_B.tolist() == pytest.approx(alone, abs=1e-6)


def test_its_own_rule_holds_to_the_end_and_along_the_way(judge, context, monkeypatch):
    rule = ScoreRule(length_slope=0.01)
    answer = said("ABc")
    plain = judge.score(context, [answer], batch_size=1)
    monkeypatch.setattr(judge.model, "score_rule", rule)
    found = judge.score(context, [answer], batch_size=1)
    talk = [*MESSAGES, {"role": "assistant", "content": "ABc"}]
    alone = scoring.rewards(judge.model, judge.tokenizer, [talk], scale=RAW, batch_size=1)
    assert found.final_B.tolist() == pytest.approx(alone, abs=1e-6)
    taken = (plain.along_BA - found.along_BA)[0]
    assert taken.diff().tolist() == pytest.approx([0.01] * 3, abs=1e-6)  # a token each of three letters
    assert taken[0].item() == pytest.approx(0.01 * len("#assistant\n"))  # before them, the assistant's own header


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=12))
@example("a<|pad|>b")  # who writes out a special token has written no character of the answer
def test_characters_are_counted_as_they_are_written(text):
    ids = WORDS(text, add_special_tokens=False)["input_ids"]
    reaches = reaches_of(WORDS, ids)
    assert len(reaches) == len(ids) + 1
    assert reaches[-1] == len(WORDS.decode(ids, skip_special_tokens=True))


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=12), st.integers(0, 12))
@example("a<|im_end|>b", 5)  # cut in two, a special token is letters
def test_no_action_is_judged_by_what_came_after_it(text, cut):
    """Of two answers that begin alike, the actions of the common beginning stand at the same tokens."""
    whole, other = said(text), said(text[:cut] + "Z")
    read, changed = read_answer(WORDS, whole), read_answer(WORDS, other)
    ids = [WORDS(words, add_special_tokens=False)["input_ids"] for words in (text, text[:cut] + "Z")]
    common = next((a for a, (one, another) in enumerate(zip(*ids, strict=False)) if one != another), min(map(len, ids)))
    for a in range(min(common, len(read.places))):
        place = read.places[a]
        assert place == changed.places[a]
        assert read.ids[: place + 1] == changed.ids[: place + 1]


def test_a_template_that_rewrites_the_answer_tells_nothing_along_the_way(judge):
    words = tiny.tokenizer()
    words.chat_template = tiny.CHATML.replace("message['content']", "message['content'] | upper")
    assert set(read_answer(words, said("abc")).places) == {0}


def test_a_request_to_stop_is_heard_between_two_batches(judge, context):
    context.stop_requested = True
    with pytest.raises(Stopped):
        judge.score(context, [said("A")], batch_size=1)
