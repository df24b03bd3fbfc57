"""What differs between two versions of a constitution."""

from __future__ import annotations

from rlhf.services.constitutions.comparing import compare
from tests.rlhf.principles import EXAMPLE, wording


def kinds(before, after):
    found = compare(before, after)
    return {change.id: change.kind for change in found.principles}, found.num_same


def test_equal_versions_do_not_differ():
    both = [wording("calm"), wording("kind")]
    assert kinds(both, both) == ({}, 2)


def test_principles_are_added_and_removed_by_their_ids():
    assert kinds([wording("calm"), wording("kind")], [wording("kind"), wording("brief")]) == (
        {"brief": "added", "calm": "removed"},
        1,
    )


def test_the_words_that_changed_are_marked_and_the_others_are_not():
    before = wording(critique="Where does it shout at people?", weight=1.0)
    after = wording(critique="Where does it swear at people?", weight=0.5)
    [change] = compare([before], [after]).principles
    assert change.kind == "changed" and [str(field.label) for field in change.fields] == ["Critique request", "Weight"]
    critique, weight = change.fields
    assert [(one.kind, one.text.strip()) for one in critique.changes] == [
        ("same", "Where does it"), ("gone", "shout"), ("new", "swear"), ("same", "at people?"),
    ]  # fmt: skip
    assert [(one.kind, one.text) for one in weight.changes] == [("gone", "1"), ("new", "0.5")]


def test_a_changed_example_and_a_changed_tag_are_told():
    [change] = compare([wording()], [wording(tags=("tone",), examples=(EXAMPLE,))]).principles
    assert [str(field.label) for field in change.fields] == ["Tags", "Examples"]


def test_only_what_must_have_moved_has_moved():
    before = [wording(name) for name in ("a1", "b1", "c1", "d1")]
    after = [wording(name) for name in ("b1", "c1", "d1", "a1")]
    assert kinds(before, after) == ({"a1": "moved"}, 3)
