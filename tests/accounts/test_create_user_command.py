"""The command that makes the first admin."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import call_command

from accounts.models import Role, User


def create(*arguments: str) -> str:
    out = io.StringIO()
    call_command("create_user", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_it_makes_a_password_and_prints_it_once(db, monkeypatch):
    monkeypatch.delenv("STEADYHAND_PASSWORD", raising=False)
    told = json.loads(create("grace", "--role", "admin", "--json"))
    assert User.objects.get(username="grace", role=Role.ADMIN).check_password(told["password"])


def test_it_takes_a_password_from_the_environment_and_prints_none(db, monkeypatch):
    monkeypatch.setenv("STEADYHAND_PASSWORD", "a long enough pass phrase")
    assert "pass" not in create("grace", "--role", "admin")
    assert User.objects.get().check_password("a long enough pass phrase")


@pytest.mark.parametrize("weak", ["short", "password1234", "gracegracegrace"])
def test_it_refuses_a_weak_password(db, monkeypatch, weak):
    monkeypatch.setenv("STEADYHAND_PASSWORD", weak)
    with pytest.raises(SystemExit):
        create("gracegrace", "--role", "admin")
    assert not User.objects.exists()


def test_it_refuses_a_name_twice(db, monkeypatch, capsys):
    monkeypatch.setenv("STEADYHAND_PASSWORD", "a long enough pass phrase")
    create("ada")
    with pytest.raises(SystemExit):
        create("ada")
    assert User.objects.count() == 1
