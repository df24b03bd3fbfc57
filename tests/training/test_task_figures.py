"""Figures of tasks held to values computed by hand: F1 of entities by seqeval's definition, SQuAD's comparison, BLEU, ROUGE."""

from __future__ import annotations

import itertools
import random

import pytest

from tests.training import labelled, tiny
from training.mechanics.measures import overlap
from training.mechanics.tasks import answers, bio, figures, words
from training.mechanics.tasks.deciding import Decision, best_read
from training.mechanics.tasks.heads import TaskRule
from training.mechanics.tasks.reading import Reader, text_offsets
from training.mechanics.tasks.rows import Row, Span
from training.mechanics.tasks.windows import NOWHERE, Frame, windows_of
from training.mechanics.trainers.judgement import binned_gap


def rows_of(labels: str) -> list[Row]:
    return [Row(str(i), f"text {i}", label=label) for i, label in enumerate(labels)]


def test_accuracy_and_f1_of_labels():
    found = figures.of_labels(rows_of("aaaabbc"), list("aaabbac"))
    assert found["accuracy"] == found["f1_micro"] == pytest.approx(5 / 7)
    # a: 3 right of 4 and 4 called; b: 1 of 2 and 2; c: 1 of 1 and 1
    assert found["f1_macro"] == pytest.approx((6 / 8 + 2 / 4 + 1) / 3)
    assert found["confusion"] == {"labels": ["a", "b", "c"], "counts": [[3, 1, 0], [1, 1, 0], [0, 0, 1]]}
    assert found["by_label"]["a"] == {"precision": 0.75, "recall": 0.75, "f1": 0.75, "n": 4}


def test_intervals_are_over_groups_and_not_over_their_rows():
    """Forty rows that are four copies of ten: the interval is that of ten."""
    lot = random.Random(0)
    right = [lot.random() < 0.7 for _ in range(10)]
    rows = [Row(f"{g}-{i}", f"text {g} {i}", label="a", group=str(g)) for g in range(10) for i in range(4)]
    said = ["a" if right[int(row.group)] else "b" for row in rows]
    found = figures.of_labels(rows, said)
    alone = figures.of_labels([Row(str(g), str(g), label="a") for g in range(10)], ["a" if r else "b" for r in right])
    assert found["accuracy_low"] == alone["accuracy_low"] and found["accuracy_high"] == alone["accuracy_high"]
    assert found["accuracy_low"] < found["accuracy"] < found["accuracy_high"]


@pytest.mark.parametrize(
    ("tags", "entities"),
    [
        ("B-A I-A O B-B", [("A", 0, 1), ("B", 3, 3)]),
        ("I-A I-A O I-B I-A", [("A", 0, 1), ("B", 3, 3), ("A", 4, 4)]),  # an I begins where no B did
        ("B-A B-A I-B", [("A", 0, 0), ("A", 1, 1), ("B", 2, 2)]),
        ("O O", []),
        ("B-PER-X I-PER-X", [("PER-X", 0, 1)]),
    ],
)
def test_tags_are_entities_as_seqeval_reads_them(tags, entities):
    assert bio.entities_of(tags.split()) == entities


def test_f1_of_entities_counts_whole_ones_with_their_labels():
    rows = [
        Row("1", "a" * 20, spans=(Span(0, 4, "P"), Span(6, 9, "Q"))),
        Row("2", "b" * 20, spans=(Span(2, 5, "P"),)),
        Row("3", "c" * 20),
    ]
    said = [
        Decision(spans=(Span(0, 4, "P"), Span(6, 8, "Q"))),  # one right, one too short
        Decision(spans=(Span(2, 5, "Q"),)),  # the place without the label
        Decision(spans=(Span(0, 1, "P"),)),
    ]
    found = figures.of_entities(rows, said)
    assert (found["precision"], found["recall"]) == (pytest.approx(1 / 4), pytest.approx(1 / 3))
    assert found["f1"] == pytest.approx(2 * 1 / (3 + 4))
    assert found["by_label"]["P"]["f1"] == pytest.approx(2 * 1 / (2 + 2)) and found["by_label"]["Q"]["f1"] == 0


def test_answers_are_compared_as_squads_script_does():
    assert answers.normalised("The  Eiffel-Tower, (an icon)!") == "eiffeltower icon"
    assert answers.exact_match("the Nile.", ["Congo", "Nile"]) == 1
    assert answers.exact_match("", []) == 1 and answers.exact_match("Nile", []) == 0
    assert answers.overlap("in the year 1066", ["1066 AD", "1066"]) == pytest.approx(2 * 1 / (3 + 1))
    assert answers.overlap("", []) == 1 and answers.overlap("x", []) == 0


def test_the_best_window_answers_and_none_is_an_answer():
    text = "Anna went to Rome"
    said = [
        {"start": 0, "end": 4, "score": 5.0, "none": 1.0},
        {"start": 13, "end": 17, "score": 7.0, "none": 8.0},
        {"start": -1, "end": -1, "score": -1e9, "none": 9.0},
    ]
    assert answers.choose(text, said, has_none=True) == "Rome"  # the least sure of none decides
    assert answers.choose(text, [one | {"none": 7.5} for one in said], has_none=True) == ""
    assert answers.choose(text, [one | {"none": 7.5} for one in said], has_none=False) == "Rome"


def test_calibration_error_of_confidences():
    assert binned_gap([0.95, 0.95, 0.55, 0.55], [1, 1, 1, 0]) == pytest.approx((0.1 + 0.1) / 4)


def test_rouge_by_hand():
    said, right = "the cat sat on the mat", "The cat lay on a mat."
    assert overlap.rouge_n(said, right, n=1) == pytest.approx(2 * 4 / 12)
    assert overlap.rouge_n(said, right, n=2) == pytest.approx(2 * 1 / 10)
    assert overlap.rouge_l(said, right) == pytest.approx(2 * 4 / 12)
    assert overlap.rouge_l("", right) == 0
    assert overlap.rouge_n("Straße über", "straße unter", n=1) == pytest.approx(
        1 / 2
    )  # letters beyond a to z are letters


def test_bleu_is_that_of_the_paper_with_its_signature():
    scores, signature = overlap.bleu(["the cat sat on the mat"] * 3, ["the cat sat on the mat"] * 3)
    assert scores["bleu"] == pytest.approx(100) and "tok:13a" in signature
    # precisions 5/6, 3/5, 2/4, 1/3 of a text as long as its reference
    scores, _ = overlap.bleu(["a b c d x f"], ["a b c d e f"])
    assert scores["bleu"] == pytest.approx(100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25)


def test_words_alone_tell_a_colour_and_not_an_order():
    def labelled_rows(raw) -> list[Row]:
        return [Row(row["id"], row["text"], label=row["label"]) for row in raw]

    for make, low, high in ((labelled.of_one_colour, 1.0, 1.0), (labelled.coloured, 0.3, 0.7)):
        train, test = labelled_rows(make(150)), labelled_rows(make(60, seed=1))
        right = [a == row.label for a, row in zip(words.by_words(train, test), test, strict=True)]
        assert low <= sum(right) / len(right) <= high
    assert words.majority(rows_of("abb")) == "b"


# Offsets

ODD = [
    "Zoë naïve",
    "👩\u200d👩\u200d👧 in São Paulo",
    "日本語 と Rome",
    "a\u0301 b\u200bc Oslo",
    "  Rome  \n\tLima ",
    "ﬁ ﬀ İstanbul",
    "🏳️\u200d🌈Rome🏳️\u200d🌈",
]


@pytest.mark.parametrize("text", ODD)
@pytest.mark.parametrize("make", [tiny.tokenizer, labelled.bert_tokenizer])
def test_entities_survive_tags_and_windows_in_any_script(text, make):
    """Every word as an entity of its own: to tags of tokens and back they are the same characters."""
    tokenizer = make()
    spans, at = [], 0
    for i, word in enumerate(text.split()):
        at = text.index(word, at)
        spans.append(Span(at, at + len(word), "ab"[i % 2]))
        at += len(word)
    rule = TaskRule("entities", tuple(bio.tag_names("ab")), max_length=24, stride=8)
    windows = windows_of(
        0, text, tokenizer=tokenizer, frame=Frame.of(tokenizer), max_length=rule.max_length, stride=rule.stride
    )
    offsets = text_offsets(windows)
    assert list(bio.spans_of(bio.tags_of(spans, offsets), offsets)) == spans

    examples = Reader.of(tokenizer, rule).lay([Row("0", text, spans=tuple(spans))]).examples
    said = [
        {"tags": [max(label, 0) for label in e.labels[e.window.lead : e.window.lead + len(e.window.offsets)]]}
        for e in examples
    ]
    tags = [rule.names[tag] for tag in best_read(list(zip(examples, said, strict=True)))]
    assert list(bio.spans_of(tags, offsets)) == spans


def test_windows_cover_a_text_and_share_their_stride():
    tokenizer = tiny.tokenizer()
    frame = Frame.of(tokenizer)
    text = "abcdefghij" * 5
    windows = windows_of(0, text, question="Q?", tokenizer=tokenizer, frame=frame, max_length=24, stride=6)
    assert text_offsets(windows) == [(i, i + 1) for i in range(50)]
    assert all(len(window.input_ids) <= 24 for window in windows)
    for one, other in itertools.pairwise(windows):
        assert one.first + len(one.offsets) - other.first == 6
    assert windows[0].input_ids[-1] == tokenizer.eos_token_id  # where a causal model says that there is no answer
    blank = windows_of(0, "a  b", tokenizer=tokenizer, frame=frame, max_length=24, stride=6)
    assert blank[0].offsets == ((0, 1), NOWHERE, NOWHERE, (3, 4))
