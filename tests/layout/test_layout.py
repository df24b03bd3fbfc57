"""The house stands as it was drawn: folders, names, and who loads what."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_no_folder_shadows_the_standard_library():
    folders = [p for root in (ROOT, ROOT / "platform") for p in root.iterdir() if p.is_dir()]
    packages = {p.name for p in folders if (p / "__init__.py").exists()}
    assert packages
    assert not packages & sys.stdlib_module_names


def test_platform_is_a_source_root_and_no_package():
    assert not (ROOT / "platform" / "__init__.py").exists()
    assert not list((ROOT / "platform").glob("*.py"))


@pytest.mark.parametrize(
    "folder", sorted(p for p in (ROOT / "tests").rglob("*") if p.is_dir() and list(p.glob("*.py")))
)
def test_every_folder_of_tests_is_a_package(folder):
    assert (folder / "__init__.py").exists()


@pytest.mark.slow(seconds=7)
@pytest.mark.parametrize("entry", ["config.asgi", "config.celery", "training.recipes", "training.contract"])
def test_no_django_process_loads_torch(entry, tmp_path):
    program = (
        f"import {entry}, sys, os; os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'config.settings');"
        "import django; django.setup();"
        "from django.urls import get_resolver; get_resolver().url_patterns;"
        "print([m for m in ('torch', 'transformers', 'trl', 'peft', 'datasets') if m in sys.modules])"
    )
    environment = {
        "PATH": "/usr/bin:/bin",
        "STEADYHAND_HOME": str(tmp_path),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}",
    }
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
