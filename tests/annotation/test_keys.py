"""The keys of the ranking page: what may be chosen, and that what was chosen is hers wherever she works."""

from __future__ import annotations

import pytest
from django.urls import reverse

from annotation.keys import ACTIONS, BadKey, choose_key, keys_of, reset_keys
from tests.accounts.people import client_of

pytestmark = pytest.mark.django_db


def key_of(user, action: str) -> str:
    user.refresh_from_db()
    return next(row.key for row in keys_of(user) if row.action.name == action)


def test_every_action_has_a_key_of_its_own_from_the_start(ada):
    rows = keys_of(ada)
    assert len({row.key for row in rows}) == len(rows) == len(ACTIONS)
    assert all(row.is_default for row in rows)


@pytest.mark.parametrize(("key", "kept"), [("k", "k"), ("K", "k"), ("ä", "ä"), ("Delete", "Delete"), ("#", "#")])
def test_an_action_gets_another_key(ada, key, kept):
    choose_key(ada, action="skip", key=key)
    assert key_of(ada, "skip") == kept


def test_a_key_that_was_given_up_is_free_for_another_action(ada):
    choose_key(ada, action="skip", key="k")
    choose_key(ada, action="all_bad", key="s")
    assert (key_of(ada, "skip"), key_of(ada, "all_bad")) == ("k", "s")
    with pytest.raises(BadKey, match="s is taken: all are bad"):
        choose_key(ada, action="skip", key="s")


def test_a_default_that_names_a_text_may_be_had_back(ada):
    choose_key(ada, action="flag", key="k")
    choose_key(ada, action="flag", key="f")
    assert key_of(ada, "flag") == "f"
    assert ada.keys == {}


@pytest.mark.parametrize(
    ("action", "key"),
    [
        ("skip", "x"), ("skip", "a"), ("skip", "I"), ("skip", "e"), ("skip", "7"), ("skip", "0"), ("skip", "²"),
        ("skip", " "), ("skip", ""), ("skip", "kk"), ("skip", "Enter"), ("skip", "Escape"), ("skip", "\x00"),
        ("skip", "\u202e"), ("nothing", "k"), ("", "k"),
    ],
)  # fmt: skip
def test_what_would_clash_or_is_no_key_is_refused(ada, action, key):
    with pytest.raises(BadKey):
        choose_key(ada, action=action, key=key)
    ada.refresh_from_db()
    assert ada.keys == {}


@pytest.mark.parametrize("kept", [["x"], "x", {"gone": "k"}, {"skip": 7}, {"skip": "x"}, {"skip": "k", "undo": "k"}])
def test_what_another_version_kept_and_does_not_fit_falls_back(ada, kept):
    ada.keys = kept
    assert all(row.is_default for row in keys_of(ada))


def test_all_are_as_they_were_after_a_reset(ada):
    choose_key(ada, action="skip", key="k")
    reset_keys(ada)
    assert key_of(ada, "skip") == "s"


def test_the_page_shows_her_keys_and_another_raters_page_does_not(campaign, ada, bea):
    browser = client_of(ada)
    told = browser.post(reverse("my_keys"), {"action": "skip", "key": "k"}).json()["keys"]
    assert told["skip"] == {"key": "k", "shown": "k"}
    page = reverse("rank", args=[campaign.slug])
    assert 'Skip <kbd data-key="skip">k</kbd>' in browser.get(page).content.decode()
    assert 'Skip <kbd data-key="skip">s</kbd>' in client_of(bea).get(page).content.decode()
    assert browser.post(reverse("my_keys"), {"reset": "yes"}).json()["keys"]["skip"]["key"] == "s"


def test_a_refused_key_is_told_in_a_sentence(ada):
    answer = client_of(ada).post(
        reverse("my_keys"), {"action": "skip", "key": "x"}, headers={"Accept": "application/json"}
    )
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "x is taken: all are bad.")
