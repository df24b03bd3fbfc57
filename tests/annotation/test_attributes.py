"""Scales that texts are rated on: how a campaign writes them down, and what fits them."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

from annotation.attributes import (
    Attribute,
    BadAttributes,
    BadRatings,
    as_json,
    attributes_of,
    checked_ratings,
    parse_attributes,
)

HELPFUL = Attribute("helpful", 5, "useless", "just what was asked", is_required=True)
HONEST = Attribute("honest", 2, "no", "yes")
labels = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=60)


@pytest.fixture(scope="module", autouse=True)
def characters():
    """What hypothesis counts once a machine, where it would take the first text for a slow one."""
    find(labels, lambda text: True, settings=settings(database=None, suppress_health_check=list(HealthCheck)))


@st.composite
def scales(draw: st.DrawFn) -> Attribute:
    name = draw(st.from_regex(r"[a-z][a-z0-9_-]{0,29}", fullmatch=True))
    return Attribute(name, draw(st.integers(2, 7)), draw(labels), draw(labels), draw(st.booleans()))


@given(st.lists(scales(), max_size=6, unique_by=lambda scale: scale.name))
def test_attributes_survive_being_written_as_lines_and_as_json(found):
    assert parse_attributes("\n".join(attribute.line for attribute in found)) == tuple(found)
    assert attributes_of(as_json(found)) == tuple(found)


def test_a_line_is_read():
    assert parse_attributes("helpful 1-5: useless .. just what was asked (required)\n\nhonest 1–2: no … yes") == (
        HELPFUL,
        HONEST,
    )


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ("helpful", "is not like: helpful 1-5"),
        ("helpful 1-8: low .. high", "helpful has 2 to 7 levels, not 8"),
        ("helpful 1-1: low .. high", "2 to 7 levels"),
        ("Helpful 1-5: low .. high", "small letters"),
        (f"helpful 1-5: low .. {'h' * 61}", "a label of 1 to 60"),
        ("helpful 1-5: a .. b\nhelpful 1-3: a .. b", "Two attributes are called helpful"),
        ("\n".join(f"scale{n} 1-5: a .. b" for n in range(7)), "at most 6 attributes, not 7"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_sentence(lines, complaint):
    with pytest.raises(BadAttributes, match=complaint):
        parse_attributes(lines)


@pytest.mark.parametrize("given", ["helpful", [1], [{"name": "helpful"}], [{**as_json([HELPFUL])[0], "more": 1}]])
def test_json_of_another_shape_is_refused(given):
    with pytest.raises(BadAttributes):
        attributes_of(given)


@pytest.mark.parametrize(
    ("ratings", "complaint"),
    [
        ({"x": {"helpful": 6}, "y": {"helpful": 1}}, "helpful is 1 to 5, not 6"),
        ({"x": {"helpful": True}}, "not True"),
        ({"x": {"kind": 1}}, "no attribute kind; there are helpful, honest"),
        ({"z": {"helpful": 1}}, "no text z to rate"),
        ({"x": {"helpful": 1}}, "Rate text B on helpful"),
    ],
)
def test_ratings_that_do_not_fit_are_refused(ratings, complaint):
    with pytest.raises(BadRatings, match=complaint):
        checked_ratings(ratings, attributes=[HELPFUL, HONEST], names={"x": "a", "y": "b"}, needed="xy")


def test_only_what_a_campaign_requires_is_required():
    rated = checked_ratings({"x": {"honest": 2}, "y": {}}, attributes=[HONEST], names={"x": "a", "y": "b"}, needed="xy")
    assert rated == {"x": {"honest": 2}}
