"""What a ranking says of a text by itself: desirable, undesirable, or nothing; and that a prompt weighs once."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from tests.training import tiny
from training.contract import Failure
from training.mechanics.people.desirability import balanced, of_ranking, read_verdicts


def ranking(tiers: list[list[str]], *, texts: str = "abcd", **more: Any) -> dict[str, Any]:
    """Its texts are called by what they say; `flags` and `own` name the flagged ones and the rater's own version."""
    flags, own = more.pop("flags", ""), more.pop("own", "")
    notes = [
        {"id": name, "left_out": False, "flags": "unsafe" if name in flags else "", "ratings": "{}",
         "better_than": "a" if name in own else ""}
        for name in texts
    ]  # fmt: skip
    row = {
        "group_id": "g", "ranking_id": "r", "rater": "ada", "prompt": [tiny.user("Say")], "tiers": tiers,
        "completions": [{"id": name, "text": name} for name in texts], "strengths": [1] * max(len(tiers) - 1, 0),
        "seconds": 1.0, "simulated": True, "all_bad": False, "cannot_rank": "", "texts": notes,
    }  # fmt: skip
    return row | more


def said(row: dict[str, Any]) -> dict[str, bool]:
    return {reply[0][1]: good for reply, good in of_ranking(row)[2].items()}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (ranking([["a"], ["b"], ["c", "d"]]), {"a": True, "c": False, "d": False}),
        (ranking([["a", "b", "c", "d"]]), {}),
        (ranking([["a"], ["b"], ["c"]]), {"a": True, "c": False}),  # d is left out
        (ranking([["a"], ["b"], ["c"]], flags="ad"), {"a": False, "c": False, "d": False}),
        (ranking([["a"], ["b", "c", "d"]], all_bad=True), dict.fromkeys("abcd", False)),
        (ranking([["a", "b", "c", "d"]], all_bad=True), dict.fromkeys("abcd", False)),
        (ranking([["e"], ["a", "b"]], texts="abe", own="e", all_bad=True), {"e": True, "a": False, "b": False}),
        (ranking([], cannot_rank="unclear"), {}),
        (ranking([], cannot_rank="unclear", flags="b"), {"b": False}),
        ({k: v for k, v in ranking([["a"], ["b"]]).items() if k not in ("texts", "all_bad")}, {"a": True, "b": False}),
    ],
    ids=["tiers", "all tied", "left out", "flagged", "all bad", "all bad and tied", "own version", "cannot", "flag alone",
         "of an older file"],
)  # fmt: skip
def test_what_a_ranking_says_of_each_text(row, expected):
    assert said(row) == expected


def test_a_text_that_stands_at_both_ends_counts_at_neither():
    row = ranking([["a"], ["b"], ["c"]])
    row["completions"][2]["text"] = "a "
    assert said(row) == {}
    row["tiers"] = [["a"], ["b"], ["c"], ["d"]]
    assert said(row) == {"a": True, "d": False}


def summed(verdicts, key) -> dict[Any, float]:
    found: dict[Any, float] = defaultdict(float)
    for one in verdicts:
        found[key(one)] += one.weight
    return dict(found)


def test_every_prompt_weighs_once_however_many_ranked_it(tmp_path):
    rankings = [*tiny.ranked(3, raters=("ada", "ben"))[0], *tiny.ranked(2, first=3)[0]]
    verdicts = read_verdicts(
        tiny.write_dataset(tmp_path / "data", [], tiny.ranked(1)[1], rankings=rankings), split="train"
    )
    assert summed(verdicts, lambda one: one.group) == pytest.approx({f"g{i}": 1.0 for i in range(5)})


def test_raters_who_differ_both_count_for_their_share(tmp_path):
    rows = [ranking([["a"], ["b"]], texts="ab"), ranking([["b"], ["a"]], texts="ab", rater="ben", ranking_id="r2")]
    data = tiny.write_dataset(tmp_path / "data", [], tiny.ranked(1)[1], rankings=rows)
    told = summed(read_verdicts(data, split="train"), lambda one: (one.reply[0][1], one.is_desirable))
    assert told == pytest.approx({("a", True): 0.25, ("a", False): 0.25, ("b", True): 0.25, ("b", False): 0.25})


def test_comparisons_alone_and_whole_rankings_call_the_same_texts_desirable(tmp_path):
    rankings, rows = tiny.ranked(6, raters=("ada", "ben"))
    whole = read_verdicts(tiny.write_dataset(tmp_path / "whole", rows, rankings=rankings), split="train")
    alone = read_verdicts(tiny.write_dataset(tmp_path / "alone", rows), split="train")
    found, expected = (summed(some, lambda one: (one.group, one.reply, one.is_desirable)) for some in (whole, alone))
    assert found == pytest.approx(expected)


def test_texts_stand_in_the_order_of_the_comparisons_in_whatever_process_they_are_read(tmp_path):
    texts = ([f"good {i}" for i in range(6)], [f"bad {i}" for i in range(6)])
    (row, *_), same = tiny.preference_rows(1), {"rater": "ada", "group_id": "g"}
    rows = [
        row | same | {"chosen": [tiny.assistant(one)], "rejected": [tiny.assistant(other)]}
        for one in texts[0] for other in texts[1]
    ]  # fmt: skip
    verdicts = read_verdicts(tiny.write_dataset(tmp_path / "data", rows), split="train")
    assert [one.reply[0][1] for one in verdicts] == [*texts[0], *texts[1]]


def test_rows_of_trls_unpaired_format_say_it_themselves(tmp_path):
    rows = [
        {"prompt": [tiny.user(f"Say {i // 2}")], "completion": [tiny.assistant(f"text {i}")], "label": i % 2 == 0}
        for i in range(4)
    ]
    verdicts = read_verdicts(tiny.write_dataset(tmp_path / "data", rows), split="train")
    assert [(one.reply[0][1], one.is_desirable, one.weight) for one in verdicts] == [
        ("text 0", True, 0.5), ("text 1", False, 0.5), ("text 2", True, 0.5), ("text 3", False, 0.5),
    ]  # fmt: skip


def test_both_kinds_weigh_alike_and_the_mean_is_1(tmp_path):
    rows = [ranking([["a"], ["b", "c", "d"]], group_id="g1"), ranking([["a"]], all_bad=True, group_id="g2")]
    data = tiny.write_dataset(tmp_path / "data", [], tiny.ranked(1)[1], rankings=rows)
    verdicts = read_verdicts(data, split="train")
    assert [one.is_desirable for one in verdicts] == [True] + [False] * 7
    alike = balanced(verdicts, desirable=1.0, undesirable=1.0)
    assert summed(alike, lambda one: one.is_desirable) == pytest.approx({True: 4.0, False: 4.0})
    thrice = balanced(verdicts, desirable=3.0, undesirable=1.0)
    assert summed(thrice, lambda one: one.is_desirable) == pytest.approx({True: 6.0, False: 2.0})


def test_rankings_that_call_everything_bad_are_refused_in_one_sentence(tmp_path):
    rows = [ranking([["a", "b"]], all_bad=True)]
    data = tiny.write_dataset(tmp_path / "data", [], tiny.ranked(1)[1], rankings=rows)
    with pytest.raises(Failure) as refused:
        balanced(read_verdicts(data, split="train"), desirable=1.0, undesirable=1.0)
    assert refused.value.code == "one_sided"
    assert refused.value.sentence == (
        "The rankings call no text desirable: KTO learns from desirable and from undesirable ones."
    )
