"""A set-up that is open to the world is refused or warned of before it answers anybody."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.conf import settings

from accounts.models import User

KEY = "T3stK3y-" + "abcdefghijklmnopqrstuvwxyz0123456789-ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def manage(*arguments: str, home: object, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {name: value for name, value in os.environ.items() if not name.startswith(("STEADYHAND_", "DJANGO_"))}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=settings.BASE_DIR, capture_output=True, text=True, timeout=120,
        env={**given, "STEADYHAND_HOME": str(home), **environment},
    )  # fmt: skip


def test_djangos_own_checks_find_nothing_behind_https(tmp_path):
    done = manage("check", "--deploy", "--fail-level", "WARNING", home=tmp_path, STEADYHAND_HTTPS="1")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("key", ["short", "a" * 80, "changeme" * 3])
def test_it_does_not_start_with_a_weak_key(tmp_path, key):
    done = manage("check", home=tmp_path, STEADYHAND_SECRET_KEY=key)
    assert done.returncode != 0
    assert "STEADYHAND_SECRET_KEY must have at least 40 characters" in done.stderr


def test_it_makes_a_key_of_its_own_that_only_its_owner_reads(tmp_path):
    assert manage("check", home=tmp_path).returncode == 0
    key = tmp_path / "secret.key"
    assert len(key.read_text()) > 40 and key.stat().st_mode & 0o077 == 0


def test_cookies_and_redirects_are_for_https_once_it_is_said(tmp_path):
    names = ["SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_SSL_REDIRECT", "SESSION_COOKIE_HTTPONLY", "DEBUG"]
    code = f"from django.conf import settings; print([getattr(settings, name) for name in {names}])"
    done = manage(
        "shell", "--verbosity", "0", "-c", code, home=tmp_path, STEADYHAND_HTTPS="1", STEADYHAND_SECRET_KEY=KEY
    )
    assert done.stdout.strip() == "[True, True, True, True, False]"


def test_nobody_has_an_account_before_somebody_makes_one(db):
    assert not User.objects.exists()


def test_hosts_are_named_and_never_any():
    assert "*" not in settings.ALLOWED_HOSTS


def test_workers_take_json_and_nothing_that_runs():
    assert settings.CELERY_ACCEPT_CONTENT == ["json"]
    assert settings.CELERY_TASK_SERIALIZER == "json"
