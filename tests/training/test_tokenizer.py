"""A tokenizer from zero gives back any text as it was, the same for the same corpus, and renders talks from their beginning."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from tests.training import tiny
from training import contract
from training.context import Stopped
from training.methods import tokenizer as method
from training.recipes.tokenizer import TokenizerRecipe

WORDS = [
    "the",
    "of",
    "peace",
    "and",
    "war",
    "our",
    "people",
    "have",
    "that",
    "nation",
    "congress",
    "treasury",
    "commerce",
]


def corpus_rows(count: int, *, first: int = 0) -> list[dict[str, str]]:
    """Sentences that repeat, so that there is something to merge."""
    return [
        {"id": str(i), "source": "test", "text": " ".join(WORDS[(i * k) % len(WORDS)] for k in range(1, 30)) + f". {i}"}
        for i in range(first, first + count)
    ]


def trained_on(folder, *, vocab_size: int = 320, test: int = 5, beside=None, **more):
    corpus = tiny.write_dataset(folder / "corpus", corpus_rows(60), corpus_rows(test, first=60))
    recipe = {"vocab_size": vocab_size, "min_frequency": 2, **more}
    run_dir = tiny.make_run(folder / "run", "tokenizer", recipe, {"corpus": corpus, **(beside or {})})
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    return run_dir


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return trained_on(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def words(run_dir):
    return AutoTokenizer.from_pretrained(run_dir / "output")


@settings(deadline=None, max_examples=300)
@given(text=st.text())
def test_any_text_comes_back_as_it_was(words, text):
    ids = words(text, add_special_tokens=False)["input_ids"]
    assert words.decode(ids, skip_special_tokens=False) == text


@pytest.mark.parametrize(
    "text", ["", " ", "  two  spaces , and a comma .", "\r\n\t", "Straße 😀 日本", "\x00\x7f", "e\u0301"]
)
def test_hard_texts_come_back_as_they_were(words, text):
    assert words.decode(words(text, add_special_tokens=False)["input_ids"]) == text


def test_every_byte_is_a_token(words):
    assert len(words) == 320
    vocabulary = words.get_vocab()
    assert sum(len(token) == 1 for token in vocabulary) >= 256
    assert words.unk_token is None


def test_pad_begin_and_end_are_three_tokens(words):
    assert len({words.pad_token_id, words.bos_token_id, words.eos_token_id}) == 3
    assert words.decode([words.eos_token_id]) == "<|im_end|>"


def test_the_same_corpus_gives_the_same_files(run_dir, tmp_path):
    again = trained_on(tmp_path)
    assert contract.folder_files(again / "output") == contract.folder_files(run_dir / "output")


def test_frequent_words_are_one_token_and_the_run_says_how_well_it_packs(run_dir, words):
    assert len(words(" congress", add_special_tokens=False)["input_ids"]) == 1
    held_out = [row["text"] for row in corpus_rows(5, first=60)]
    tokens = sum(len(words(text, add_special_tokens=False)["input_ids"]) for text in held_out)
    metrics = contract.read_manifest(run_dir)["metrics"]
    assert metrics["eval_bytes_per_token"] == pytest.approx(sum(map(len, held_out)) / tokens)
    assert metrics["vocab_size"] == 320


def test_the_beginning_of_a_conversation_renders_as_the_beginning_of_the_conversation(words):
    talk = [
        {"role": "system", "content": "Be brief."},
        tiny.user("Peace?"),
        tiny.assistant("War."),
        tiny.user("Peace!"),
        tiny.assistant("Commerce."),
    ]
    whole = words.apply_chat_template(talk, tokenize=False)
    for turns in range(1, len(talk)):
        part = words.apply_chat_template(talk[:turns], tokenize=False)
        assert whole.startswith(part)
        if talk[turns]["role"] == "assistant":
            asked = words.apply_chat_template(talk[:turns], tokenize=False, add_generation_prompt=True)
            assert whole.startswith(asked)
            assert whole[len(asked) :].startswith(talk[turns]["content"] + "<|im_end|>")
    ids = words.apply_chat_template(talk, tokenize=True, return_dict=True)["input_ids"]
    assert ids.count(words.eos_token_id) == len(talk)


def test_a_small_corpus_says_that_it_gave_fewer_tokens(tmp_path):
    run_dir = trained_on(tmp_path, vocab_size=4096)
    (warning,) = tiny.events(run_dir, "warning")
    assert warning["code"] == "few_merges"
    assert contract.read_manifest(run_dir)["metrics"]["vocab_size"] < 4096


def test_an_empty_corpus_is_refused_with_a_sentence(tmp_path):
    corpus = tiny.write_dataset(tmp_path / "corpus", [{"id": "0", "text": "", "source": "test"}])
    run_dir = tiny.make_run(tmp_path / "run", "tokenizer", {"vocab_size": 300}, {"corpus": corpus})
    assert tiny.finish(run_dir) == contract.EXIT_FAILED
    assert tiny.failure(run_dir)["code"] == "no_rows"


def test_asked_to_stop_it_stops_and_leaves_no_output(tmp_path):
    corpus = tiny.write_dataset(tmp_path / "corpus", corpus_rows(60))
    context = tiny.open_run(tiny.make_run(tmp_path / "run", "tokenizer", {"vocab_size": 300}, {"corpus": corpus}))
    context.stop_requested = True
    with pytest.raises(Stopped):
        method.run(context)
    assert not list(context.output.iterdir())


@pytest.mark.parametrize(
    ("form", "end", "asked"),
    [
        ("llama3", "<|eot_id|>", "<|start_header_id|>assistant<|end_header_id|>\n\n"),
        ("zephyr", "</s>", "<|assistant|>\n"),
    ],
)
def test_a_chosen_form_of_conversations_keeps_beginnings_and_its_marks_are_single_tokens(tmp_path, form, end, asked):
    run_dir = trained_on(tmp_path, chat_template=form, special_tokens=["<|tool|>", "<|pad|>"])
    words = AutoTokenizer.from_pretrained(run_dir / "output")
    talk = [
        {"role": "system", "content": "Be brief."},
        tiny.user("Peace?"),
        tiny.assistant("War."),
        tiny.user("<|tool|>"),
    ]
    whole = words.apply_chat_template(talk, tokenize=False)
    before = words.apply_chat_template(talk[:2], tokenize=False, add_generation_prompt=True)
    assert before.endswith(asked) and whole.startswith(before + "War." + end)
    assert words.eos_token == end and len(words) == 320
    ids = words.apply_chat_template(talk, return_dict=True)["input_ids"]
    assert ids.count(words.eos_token_id) == len(talk) and words.convert_tokens_to_ids("<|tool|>") in ids
    assert words.decode(words("naïve 😀", add_special_tokens=False)["input_ids"]) == "naïve 😀"


def test_packing_is_told_beside_a_reference(tmp_path):
    """A model whose every byte is a token: ours holds as many bytes as it has tokens fewer."""
    tiny.write_model(tmp_path / "model")
    run_dir = trained_on(tmp_path, beside={"reference_model": tiny.given(tmp_path / "model", "model")})
    metrics = contract.read_manifest(run_dir)["metrics"]
    assert metrics["reference_model_bytes_per_token"] == 1
    assert metrics["reference_model_ratio"] == metrics["eval_bytes_per_token"] > 1.5
    (tmp_path / "none").mkdir()
    with pytest.raises(AssertionError):
        trained_on(tmp_path / "again", beside={"reference": tiny.given(tmp_path / "none", "tokenizer")})
    assert tiny.failure(tmp_path / "again/run")["code"] == "no_tokenizer"


@pytest.mark.parametrize("tokens", [["<|a|>", "<|a|>"], [" "], [f"<|{i}|>" for i in range(100)]])
def test_special_tokens_that_cannot_be_are_refused(tokens):
    with pytest.raises(ValueError, match=r"special tokens"):
        TokenizerRecipe(vocab_size=300, special_tokens=tuple(tokens))
