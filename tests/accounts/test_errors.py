"""Errors in the shape of whoever asked: a page, a part of a page, or JSON; and never a traceback."""

from __future__ import annotations

import pytest
from django.db import OperationalError
from django.test import Client

from tests.accounts.people import client_of


def test_an_address_that_does_not_exist_is_a_page_with_a_way_on(ada):
    answer = client_of(ada).get("/nothing-here/")
    assert answer.status_code == 404
    assert "There is nothing at this address" in answer.content.decode()
    assert 'href="/"' in answer.content.decode()


def test_an_api_address_that_does_not_exist_is_json(ada):
    answer = client_of(ada).get("/api/v1/nothing-here/")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_an_error_within_a_page_is_a_part_of_a_page(ada):
    answer = client_of(ada).get("/people/", headers={"HX-Request": "true"})
    assert answer.status_code == 403
    assert answer.content.decode().startswith('<div class="notice"')


def test_a_session_that_ended_asks_for_a_login_within_the_page_and_puts_no_form_there(db):
    answer = Client().get("/people/", headers={"HX-Request": "true"})
    assert answer.status_code == 401
    assert "Log in again" in answer.content.decode() and "<form" not in answer.content.decode()


def test_what_breaks_shows_no_traceback(ada, monkeypatch):
    monkeypatch.setattr("accounts.views.panels_for", lambda user: 1 / 0)
    client = client_of(ada, raise_request_exception=False)
    answer = client.get("/")
    assert answer.status_code == 500
    assert "Something broke on our side" in answer.content.decode()
    assert "ZeroDivisionError" not in answer.content.decode()


@pytest.mark.parametrize(("path", "headers", "said"), [
    ("/", {}, "<h1>The database does not answer just now</h1>"),
    ("/", {"HX-Request": "true"}, 'data-code="database_away"'),
    ("/api/v1/me/", {}, '"code": "database_away"'),
])  # fmt: skip
def test_a_database_that_is_away_is_worth_trying_again(ada, monkeypatch, path, headers, said):
    def lost(*_: object) -> None:
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr("accounts.views.panels_for", lost)
    monkeypatch.setattr("accounts.permissions.HasCapability.has_permission", lost)
    answer = client_of(ada, raise_request_exception=False).get(path, headers=headers)
    assert (answer.status_code, answer["Retry-After"]) == (503, "1")
    assert said in answer.content.decode()
