"""The commands of runs, as they are typed: start, wait, work, sweep; and what a worker does not load."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from runs.models import Run, RunState
from tests.runs.conftest import a_tokenizer_run

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.django_db(transaction=True)


def told(*arguments: str) -> dict:
    out = StringIO()
    call_command(*arguments, "--json", stdout=out, stderr=StringIO())
    return json.loads(out.getvalue())


def test_run_here_works_the_run_to_its_end_and_tells_what_came_out(corpus, trainer):
    answer = told(
        "run", "tokenizer", "--preset", "tiny", "--set", "min_frequency=3", "--input", "corpus=addresses", "--here"
    )
    assert answer["state"] == "succeeded"
    assert answer["metrics"]["counted"] == 5
    assert Run.objects.get().recipe == {
        "vocab_size": 512,
        "min_frequency": 3,
        "chat_template": "chatml",
        "special_tokens": [],
    }


def test_run_here_works_what_the_run_waits_for_and_nothing_else(corpus, trainer):
    other = a_tokenizer_run(corpus)
    first = a_tokenizer_run(corpus)
    answer = told("run", "pretrain", "--preset", "tiny", "--input", f"tokenizer={first.pk}", "--input", "corpus=addresses",
                  "--name", "addresses-base", "--here")  # fmt: skip
    assert answer["model"] == "addresses-base"
    other.refresh_from_db()
    assert other.state == RunState.QUEUED


def test_a_failed_run_ends_the_command_with_its_code_and_sentence(corpus, trainer):
    trainer("refuse")
    errors = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("run", "tokenizer", "--input", "corpus=addresses", "--here", stdout=StringIO(), stderr=errors)
    assert ended.value.code == 1
    assert "no_rows: The dataset has no row to train on. Rank a few tasks first." in errors.getvalue()


def test_a_mistyped_field_ends_the_command_before_anything_is_queued(corpus):
    errors = StringIO()
    with pytest.raises(SystemExit):
        call_command(
            "run", "tokenizer", "--set", "vocab=3", "--input", "corpus=addresses", stdout=StringIO(), stderr=errors
        )
    assert errors.getvalue().startswith("bad_recipe: vocab:")
    assert not Run.objects.exists()


def test_work_until_idle_works_the_queue_empty(corpus, trainer):
    for _ in range(2):
        a_tokenizer_run(corpus)
    assert told("work", "--until-idle") == {"worked_on": 2}
    assert set(Run.objects.values_list("state", flat=True)) == {RunState.SUCCEEDED}


def test_sweep_tells_what_it_found(corpus):
    a_tokenizer_run(corpus)
    assert told("sweep") == {"lost": 0, "stranded": 0, "waiting": 1}


def test_neither_a_worker_nor_the_web_loads_torch(tmp_path):
    code = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}]; sys.path.append({str(ROOT / 'platform')!r})\n"
        "import django; django.setup()\n"
        "import config.asgi, config.urls, runs.tasks\n"
        "import runs.management.commands.work, runs.management.commands.run, runs.management.commands.import_model\n"
        "heavy = {'torch', 'transformers', 'trl', 'peft', 'accelerate', 'datasets'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    env = {**os.environ, "STEADYHAND_HOME": str(tmp_path), "DJANGO_SETTINGS_MODULE": "config.settings"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
