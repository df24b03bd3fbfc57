"""The language of pages: asked for by a browser, chosen by a person, the same wherever she logs in."""

from __future__ import annotations

import pytest

from accounts.models import Role
from tests.accounts.people import person

pytestmark = pytest.mark.django_db


def test_a_page_speaks_as_the_browser_asks_and_says_so(client):
    answer = client.get("/login/", headers={"accept-language": "de-AT,de;q=0.9"})
    assert 'lang="de"' in answer.text and "Anmelden" in answer.text
    answer = client.get("/login/", headers={"accept-language": "tlh"})
    assert 'lang="en"' in answer.text and "Log in" in answer.text


def test_arabic_runs_from_right_to_left(client):
    answer = client.get("/login/", headers={"accept-language": "ar"})
    assert '<html lang="ar" dir="rtl">' in answer.text


def test_a_choice_holds_before_the_login_and_goes_back_to_the_page(client):
    answer = client.post("/language/", {"language": "de"}, headers={"referer": "http://testserver/login/?next=/runs/"})
    assert answer.headers["location"] == "http://testserver/login/?next=/runs/"
    assert "Anmelden" in client.get("/login/").text


def test_a_persons_choice_follows_her_to_another_browser(client):
    ada = person(Role.RATER)
    client.force_login(ada)
    client.post("/language/", {"language": "ar"})
    client.cookies.clear()
    client.force_login(ada)
    assert 'lang="ar"' in client.get("/", headers={"accept-language": "de"}).text


@pytest.mark.parametrize("language", ["fr", "", "../de", "DE"])
def test_a_language_that_is_not_offered_is_refused(client, language):
    answer = client.post("/language/", {"language": language}, headers={"accept": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unknown_language")


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/", "javascript:alert(1)"])
def test_a_choice_leads_nowhere_else(client, target):
    answer = client.post("/language/", {"language": "de"}, headers={"referer": target})
    assert answer.headers["location"] == "/"


def test_scripts_get_the_words_of_the_pages_language(client):
    answer = client.get("/words/de.js")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "gerade eben" in answer.text
    assert client.get("/words/fr.js").status_code == 404
