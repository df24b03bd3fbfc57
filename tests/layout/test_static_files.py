"""Static files as they are served: a script names those that it imports by the hash of what they say."""

from __future__ import annotations

import re

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import override_settings

import config.settings
from tests.web_server import ROOT

IMPORT = re.compile(r"""^(?:import|export)\b[^;]*?from\s*["'](\.[^"']+)["']|^import\s*["'](\.[^"']+)["']""", re.M)
HASHED = re.compile(r"\.[0-9a-f]{12}\.js$")


@pytest.fixture
def collected(tmp_path):
    as_served = {**settings.STORAGES, "staticfiles": {"BACKEND": "config.static_files.HashedFiles"}}
    with override_settings(STATIC_ROOT=tmp_path, STORAGES=as_served):
        call_command("collectstatic", interactive=False, verbosity=0)
    return tmp_path


def test_that_is_how_they_are_served():
    assert config.settings.STORAGES["staticfiles"]["BACKEND"] == "config.static_files.HashedFiles"


def test_a_script_imports_by_hash_whatever_it_imports(collected):
    ours = [file.relative_to(ROOT / "static") for file in (ROOT / "static").rglob("*.js") if "vendor" not in file.parts]
    names = [name for file in ours for name in imports_of(collected / hashed(collected, file))]
    assert len(names) > 10
    assert [name for name in names if not HASHED.search(name)] == []


def test_what_a_script_imports_is_there(collected):
    for script in collected.rglob("*.js"):
        if HASHED.search(script.name) and "vendor" not in script.parts:
            missing = [name for name in imports_of(script) if not (script.parent / name).resolve().is_file()]
            assert missing == [], script


def hashed(collected, file):
    found = [one for one in (collected / file.parent).glob(f"{file.stem}.*.js") if HASHED.search(one.name)]
    assert len(found) == 1, (file, found)
    return found[0].relative_to(collected)


def imports_of(script) -> list[str]:
    return ["".join(match.groups(default="")) for match in IMPORT.finditer(script.read_text())]
