"""What a person sees of a dataset before she trains on it, from the button to the page: by real runs of a real child."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Role
from registry.models import DatasetProfile, DatasetVersion
from registry.services.artifacts import store_folder
from registry.services.datasets import freeze_dataset
from registry.services.export import export_dataset
from registry.services.models import register_model
from registry.services.profiles import keep_profile
from runs.models import Run, RunState
from tests.accounts.people import client_of, person
from tests.runs.conftest import work_once

pytestmark = pytest.mark.django_db(transaction=True)

CURATION = {
    "steps": [
        {"name": "near_duplicates", "kept": 8, "dropped": 2, "reasons": {"same_text": 2}, "examples": ["<b>twice</b>"]},
        {"name": "new step"},
    ]
}


def talks(count: int, *, first: int = 0) -> list[dict[str, object]]:
    return [
        {
            "id": str(number),
            "messages": [
                {"role": "user", "content": f"What is her number {number}?"},
                {"role": "assistant", "content": f"She says that it is {number}, the idiot."},
            ],
        }
        for number in range(first, first + count)
    ]


@pytest.fixture
def admin(ada) -> Client:
    return client_of(ada)


@pytest.fixture
def rows(ada) -> DatasetVersion:
    def curated(folder: Path) -> None:
        (folder / "curation.json").write_text(json.dumps(CURATION))

    splits = {"train": talks(9), "test": talks(3, first=20)}
    return freeze_dataset("numbers", kind="instructions", splits=splits, user=ada, extra_files=curated)


def page(client: Client, name: str, *args: object, query: str = "") -> str:
    answer = client.get(reverse(name, args=args) + query)
    assert answer.status_code == 200, answer.content[:2000]
    return answer.content.decode()


def test_a_dataset_is_profiled_by_a_button_and_its_page_and_card_say_what_is_in_it(admin, rows, ada, tmp_path):
    before = page(admin, "dataset", rows.pk)
    assert "Profile it" in before and "near duplicates" in before and "&lt;b&gt;twice" in before
    researcher = client_of(person(Role.RESEARCHER))
    assert "Profile it" not in page(researcher, "dataset", rows.pk)
    assert (
        "## Profile" not in (export_dataset(rows, fmt="trl-jsonl", out=tmp_path / "before") / "README.md").read_text()
    )

    posted = {"dataset": str(rows.artifact_id), "title": "Profile of numbers"}
    assert admin.post(reverse("launch", args=["profile"]), posted).status_code == 302
    run = work_once()
    assert run.state == RunState.SUCCEEDED, run.failure
    assert f"{reverse('dataset', args=[rows.pk])}#profile" in page(researcher, "run", run.pk)

    shown = page(researcher, "dataset", rows.pk)
    assert "Whom it names" in shown and "needs five rows" not in shown and "harsher than the rest" not in shown
    assert "She says that it is 3" in shown and '<script type="application/json">' in shown and "idiot 12" in shown
    card = (export_dataset(rows, fmt="trl-jsonl", out=tmp_path / "after") / "README.md").read_text()
    assert "- train: 9 rows, " in card and "| women | 24 | 12 | " in card

    # The same rows under another name have the same profile; a newer one takes its place.
    again = freeze_dataset(
        "numbers-again", kind="instructions", splits={"train": talks(9), "test": talks(3, first=20)}, user=ada
    )
    assert "Whom it names" in page(researcher, "dataset", again.pk)
    kept = DatasetProfile.objects.get()
    newer = store_folder(kept.artifact.folder, kind="report")
    keep_profile(again, artifact=newer, run=run.pk)
    assert DatasetProfile.objects.get().artifact == newer


@pytest.mark.slow
def test_a_check_before_fine_tuning_starts_where_it_starts_and_is_shown_there(admin, rows, settings, tmp_path):
    from tests.training.tiny import write_model  # torch takes seconds that the rest of this file need not wait

    write_model(tmp_path / "model")
    model = register_model("tiny", role="base", artifact=store_folder(tmp_path / "model", kind="model"), user=None)
    given = {"model": str(model.artifact_id), "instructions": str(rows.artifact_id)}
    query = "?" + "&".join(f"{name}={value}" for name, value in given.items())
    assert "Nobody has checked this model" in page(admin, "launch", "sft", query=query)
    posted = {**given, "preset": "tiny", "max_length": "96", "output_name": "tuned", "learning_rate": "0.1"}
    answer = admin.post(reverse("preflight"), posted)
    run = Run.objects.get()
    assert answer.status_code == 302 and (run.recipe["max_length"], run.output_name) == (96, "")
    assert "Queued" in page(admin, "preflight", query=query)

    settings.RUN_TIMES["stall_s"] = 300.0  # torch is loaded first
    done = work_once()
    assert done.state == RunState.SUCCEEDED, done.failure
    shown = page(admin, "run", run.pk)
    assert "There are 9 examples to learn from: too few" in shown and "Would a few examples in the prompt do?" in shown
    for name, args in (("preflight", ()), ("launch", ("sft",))):
        assert "There are 9 examples to learn from" in page(admin, name, *args, query=query)

    # A newer check that is queued, or fails, hides nothing of what was found.
    assert admin.post(reverse("preflight"), posted).status_code == 302
    for state, label in ((RunState.QUEUED, "Queued"), (RunState.FAILED, "Failed")):
        Run.objects.exclude(pk=run.pk).update(state=state, failure_code="lost")
        shown = page(admin, "preflight", query=query)
        assert label in shown and "There are 9 examples to learn from" in shown
        assert re.search(rf'What <a href="{reverse("run", args=[run.pk])}">an earlier one</a> found:', shown)
    assert "Nobody has checked" in page(admin, "preflight", query="?model=junk&instructions=")
    assert "Check before training" not in page(admin, "launch", "dpo")


def test_a_check_without_inputs_starts_nothing(admin, rows):
    answer = admin.post(reverse("preflight"), {"instructions": str(rows.artifact_id)})
    assert answer.status_code == 400 and "Input model is missing" in answer.content.decode()
    assert not Run.objects.exists()
    assert client_of(person(Role.RESEARCHER)).post(reverse("preflight")).status_code == 403
