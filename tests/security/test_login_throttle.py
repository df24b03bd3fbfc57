"""Passwords can't be guessed by trying, and whoever tries locks nobody out but herself."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.test import Client

from audit.models import AuditEvent
from tests.accounts.people import PASSWORD

LIMIT = settings.AXES_FAILURE_LIMIT


def tried(password: str, *, address: str) -> int:
    return Client(REMOTE_ADDR=address).post("/login/", {"username": "ada", "password": password}).status_code


@pytest.fixture
def locked_out(ada):
    return [tried("a guess", address="192.0.2.1") for _ in range(LIMIT)]


def test_after_so_many_wrong_passwords_none_is_looked_at(locked_out):
    assert (locked_out[:-1], locked_out[-1]) == ([200] * (LIMIT - 1), 429)
    assert tried(PASSWORD, address="192.0.2.1") == 429


def test_the_page_says_for_how_long(locked_out):
    page = Client(REMOTE_ADDR="192.0.2.1").post("/login/", {"username": "ada", "password": "x"}).content.decode()
    assert "15 minutes" in page and settings.AXES_COOLOFF_TIME == 0.25


def test_she_herself_logs_in_from_elsewhere(locked_out):
    assert tried(PASSWORD, address="192.0.2.2") == 302


def test_a_lock_out_is_written_down(locked_out):
    event = AuditEvent.objects.get(action="login.locked")
    assert event.data == {"username": "ada", "ip_address": "192.0.2.1"}


def test_right_passwords_do_not_add_up_to_a_lock_out(ada):
    for _ in range(LIMIT - 1):
        tried("a guess", address="192.0.2.1")
    assert tried(PASSWORD, address="192.0.2.1") == 302
    assert tried("a guess", address="192.0.2.1") == 200


def test_a_name_that_does_not_exist_is_answered_like_one_that_does(ada):
    def page(name: str) -> str:
        answer = Client(REMOTE_ADDR="192.0.2.3").post("/login/", {"username": name, "password": "x"})
        return answer.content.decode().split("<main")[1].split("csrfmiddlewaretoken")[0]

    assert page("ada") == page("nobody")
