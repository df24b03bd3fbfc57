"""Other sites can't act as somebody who is logged in here: CSRF, cookies, and the door of the websocket."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.test import Client

from tests.accounts.people import PASSWORD, client_of
from tests.security.walk import addresses

WRITABLE_PAGES = [address for address in addresses() if not address.is_api]


@pytest.mark.parametrize("address", WRITABLE_PAGES, ids=lambda address: address.route)
def test_no_form_is_taken_without_its_token(grace, address):
    answer = client_of(grace, enforce_csrf_checks=True).post(address.path)
    assert answer.status_code == 403
    assert "opened too long ago or elsewhere" in answer.content.decode()


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-www-form-urlencoded"])
def test_the_api_takes_no_session_without_the_token(grace, kind):
    answer = client_of(grace, enforce_csrf_checks=True).post("/api/v1/tokens/", b'{"name": "x"}', content_type=kind)
    assert answer.status_code == 403
    assert "CSRF" in answer.json()["error"]["message"]


def test_the_login_form_itself_needs_its_token(ada):
    answer = Client(enforce_csrf_checks=True).post("/login/", {"username": "ada", "password": PASSWORD})
    assert answer.status_code == 403


def test_cookies_are_kept_from_scripts_and_other_sites(ada):
    client = Client()
    client.get("/login/")
    client.post("/login/", {"username": "ada", "password": PASSWORD})
    session, csrf = client.cookies[settings.SESSION_COOKIE_NAME], client.cookies[settings.CSRF_COOKIE_NAME]
    assert session["httponly"] and session["samesite"] == "Lax" and csrf["samesite"] == "Lax"


def test_a_login_changes_the_session_so_that_none_can_be_planted(ada):
    client = Client()
    client.get("/login/")
    before = client.session.session_key
    client.post("/login/", {"username": "ada", "password": PASSWORD})
    assert client.session.session_key != before


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "/\\evil.example"]
)
def test_a_login_leads_to_no_other_site(ada, target):
    answer = Client().post("/login/", {"username": "ada", "password": PASSWORD, "next": target})
    assert answer["Location"] == "/"


def test_a_host_that_is_not_ours_is_refused(db):
    assert Client().get("/login/", headers={"Host": "evil.example"}).status_code == 400


def test_a_get_does_not_log_out(ada):
    client = client_of(ada)
    assert client.get("/logout/").status_code == 405
    assert client.get("/").status_code == 200
