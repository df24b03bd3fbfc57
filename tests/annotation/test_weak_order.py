"""Weak orders: what a line means, what pairs follow, and that nothing is lost on the way."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.weak_order import (
    BadOrder,
    WeakOrder,
    canonical,
    check_complete,
    comparisons,
    format_order,
    parse_order,
    renamed,
)


@st.composite
def orders(draw: st.DrawFn) -> WeakOrder:
    """Any weak order of 1 to 9 letters, some of which may be left out."""
    names = draw(st.permutations(string.ascii_lowercase[: draw(st.integers(1, 9))]))
    num_ranked = draw(st.integers(1, len(names)))
    tiers: list[list[str]] = [[names[0]]]
    for name in names[1:num_ranked]:
        if draw(st.booleans()):
            tiers[-1].append(name)
        else:
            tiers.append([name])
    gaps = len(tiers) - 1
    strengths = draw(st.lists(st.integers(1, 4), min_size=gaps, max_size=gaps))
    return canonical(tiers, strengths, names[num_ranked:])


def test_a_line_is_read_as_tiers_and_strengths():
    assert parse_order("b > a=d >> c") == WeakOrder((("b",), ("a", "d"), ("c",)), (1, 2))


def test_a_line_may_do_without_blanks_and_in_capitals():
    assert parse_order("B>A=D>>C") == parse_order("b > d = a >> c")


@pytest.mark.parametrize("line", ["b > a=d, not c e", "B>A=D not C, E", "b > a = d; not e c"])
def test_what_follows_not_is_left_out_on_purpose(line):
    assert parse_order(line) == WeakOrder((("b",), ("a", "d")), (1,), ("c", "e"))


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("", "at least one tier"),
        ("> a", "Start with a letter"),
        ("a b", "Put > or = before B"),
        ("a > = b", "Put a letter between"),
        ("a >", "Put a letter after >"),
        ("a == b", "One = ties"),
        ("a >>>>> b", "4 > are the most"),
        ("a > b > a", "A stands twice"),
        ("a > 1", "means nothing here"),
        ("a > é", "means nothing here"),
        ("a > b, not", "Put a letter after “not”"),
        ("a > b, not b", "B stands twice"),
        ("a > b, not c not d", "once, at the end"),
        ("a > b, not c > d", "“>” means nothing after “not”"),
        ("not a b", "at least one tier"),
        ("a > not b", "Put a letter after >"),
    ],
)
def test_a_line_that_cannot_be_read_says_what_to_mend(line, complaint):
    with pytest.raises(BadOrder, match=complaint):
        parse_order(line)


@given(orders())
def test_any_order_survives_being_written_and_read(order):
    assert parse_order(format_order(order)) == order


@given(orders())
def test_the_weights_of_a_ranking_sum_to_one_unless_all_are_tied(order):
    pairs = comparisons(order.tiers, order.strengths)
    assert (abs(sum(pair.weight for pair in pairs) - 1) < 1e-9) if len(order.tiers) > 1 else pairs == []


@given(orders())
def test_pairs_are_those_of_different_tiers_and_ties_give_none(order):
    tier = {name: i for i, names in enumerate(order.tiers) for name in names}
    told = {(pair.better, pair.worse) for pair in comparisons(order.tiers, order.strengths)}
    assert told == {(x, y) for x in tier for y in tier if tier[x] < tier[y]}


@given(orders())
def test_the_order_follows_from_its_pairs(order):
    """Tiers are the names with as many names above them."""
    names = sorted(name for tier in order.tiers for name in tier)
    above = dict.fromkeys(names, 0)
    for pair in comparisons(order.tiers, order.strengths):
        above[pair.worse] += 1
    rebuilt = [[name for name in names if above[name] == count] for count in sorted(set(above.values()))]
    assert canonical(rebuilt, order.strengths, order.unranked) == order


@given(orders())
def test_what_is_left_out_stands_in_no_pair(order):
    named = {name for pair in comparisons(order.tiers, order.strengths) for name in (pair.better, pair.worse)}
    assert not named & set(order.unranked)
    assert len(order.tiers) == 1 or named == {name for tier in order.tiers for name in tier}


@given(orders())
def test_an_order_under_other_names_is_the_same_order(order):
    there = {name: name.upper() for name in string.ascii_lowercase}
    back = {other: name for name, other in there.items()}
    assert renamed(renamed(order, there), back) == order


def test_no_order_gives_no_pair():
    assert comparisons([]) == []


def test_a_margin_adds_up_the_strengths_between():
    margins = {(pair.better, pair.worse): pair.margin for pair in comparisons([["a"], ["b"], ["c"]], [1, 3])}
    assert margins == {("a", "b"): 1, ("b", "c"): 3, ("a", "c"): 4}


def test_an_order_must_say_something_of_all_and_of_nothing_else():
    with pytest.raises(BadOrder, match="Not ranked yet: C"):
        check_complete(parse_order("a > b"), names="abc")
    with pytest.raises(BadOrder, match="There is no text D"):
        check_complete(parse_order("a > b > d"), names="ab")
    with pytest.raises(BadOrder, match="There is no text D"):
        check_complete(parse_order("a > b, not d"), names="ab")
    with pytest.raises(BadOrder, match="Rank two texts at least"):
        check_complete(parse_order("a, not b c"), names="abc")
    check_complete(parse_order("a = b, not c"), names="abc")
