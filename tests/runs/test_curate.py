"""Curating on the platform: launched from its page, of the kind that it was given, its report beside the rows."""

from __future__ import annotations

import json
import random

import pytest
from django.core.management import call_command

from registry.models import DatasetVersion
from registry.services.datasets import freeze_dataset
from runs.services.inputs import BadInput
from runs.services.start import start_run
from tests.training.curated import sentence

pytestmark = pytest.mark.django_db


def frozen(name, kind, rows):
    return freeze_dataset(name, kind=kind, splits={"train": rows}, user=None)


def talk(name, asked, answer):
    return {"id": name, "messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]}


@pytest.mark.django_db(transaction=True)
def test_instructions_become_a_dataset_of_their_kind_with_the_report_beside_the_rows(ada, tmp_path):
    lot = random.Random(5)
    said = [(sentence(lot, 30), sentence(lot, 30)) for _ in range(8)]
    given = frozen("talks", "instructions", [talk(str(i), *pair) for i, pair in enumerate([*said, said[0]])])
    asked = frozen("questions", "prompts", [{"id": "q", "messages": [{"role": "user", "content": said[3][0]}]}])
    call_command(
        "run", "curate", "--set", "kind_of_dataset=instructions", "--input", "instructions=talks", "--input",
        "against=questions", "--name", "clean-talks", "--here",
    )  # fmt: skip
    made = DatasetVersion.objects.get(name="clean-talks")
    assert (made.kind, made.num_rows) == ("instructions", 7)
    assert set(made.parents.all()) == {given, asked}
    report = json.loads((made.artifact.folder / "curation.json").read_text())
    assert {told["name"]: told["dropped"] for told in report["steps"] if told["dropped"]} == {
        "decontamination": 1, "exact_duplicates": 1,
    }  # fmt: skip


def test_what_is_curated_must_be_of_the_kind_that_the_recipe_says(ada):
    given = frozen("words", "corpus", [{"id": "1", "text": "one", "source": ""}])
    with pytest.raises(BadInput, match="Give one dataset"):
        start_run("curate", recipe={"kind_of_dataset": "instructions"}, inputs={"corpus": given.artifact}, user=ada)


def test_the_launch_page_offers_every_dataset_to_be_decontaminated_against(client, ada):
    frozen("words", "corpus", [{"id": "1", "text": "one", "source": ""}])
    frozen("questions", "prompts", [{"id": "q", "messages": [{"role": "user", "content": "Why?"}]}])
    client.force_login(ada)
    page = client.get("/runs/new/curate/").content.decode()
    against = (
        page.split('name="input.against"')[-1] if 'name="input.against"' in page else page.split('name="against"')[-1]
    )
    assert "questions" in against and "words" in against
    assert 'name="near_duplicates.threshold"' in page
