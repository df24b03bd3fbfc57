"""Importing and exporting from the command line: lines for people, one object with --json, errors as code: sentence."""

from __future__ import annotations

import json

import pytest
from django.core.management import call_command

from audit.models import AuditEvent
from registry.models import DatasetVersion


def test_a_file_goes_in_and_comes_out_as_a_folder(grace, tmp_path, capsys):
    (tmp_path / "p.txt").write_text("Why?\nHow?\n")
    call_command("import_dataset", "asked", str(tmp_path / "p.txt"), "--kind", "prompts", "--licence", "mit", "--json")
    told = json.loads(capsys.readouterr().out)
    dataset = DatasetVersion.objects.get(name="asked")
    assert (told["rows"], told["rows_sha256"], dataset.created_by) == (2, dataset.rows_sha256, grace)
    call_command("export", "asked", "--format", "trl-jsonl", "--out", str(tmp_path / "out"))
    assert f"out: {tmp_path / 'out'}" in capsys.readouterr().out
    assert (tmp_path / "out" / "README.md").exists()
    assert AuditEvent.objects.get(action="dataset.exported").actor == grace


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (
            ["import_dataset", "asked", "{}/p.jsonl", "--kind", "prompts"],
            "bad_rows: p.jsonl, line 1 is no JSON. Nothing",
        ),
        (["import_dataset", "a b", "{}/p.jsonl", "--kind", "prompts"], "bad_name: "),
        (["import_dataset", "asked", "{}/none.jsonl", "--kind", "prompts"], "no_file: There is no file at"),
        (
            ["export", "nothing", "--format", "trl-jsonl", "--out", "{}/out"],
            "no_dataset: There is no dataset called nothing",
        ),
    ],
)
def test_what_cannot_be_done_is_told_with_its_code_and_exit_status_1(db, tmp_path, capsys, argv, told):
    (tmp_path / "p.jsonl").write_text("no\n")
    with pytest.raises(SystemExit) as ended:
        call_command(*(part.format(tmp_path) for part in argv))
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith(told)
