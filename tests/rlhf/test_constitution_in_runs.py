"""What an admin published is what a run reads: word by word, weights and few-shot examples included."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlhf.services.constitutions.documents import import_document, read_bytes
from rlhf.services.constitutions.publishing import publish
from rlhf.services.constitutions.wording import wordings_in
from runs.services.inputs import spec_inputs
from runs.services.start import start_run
from tests.runs.conftest import a_dataset, a_model
from training.mechanics.constitutional import principles

pytestmark = pytest.mark.django_db
SHIPPED = sorted((Path(__file__).parents[2] / "rlhf" / "demo" / "constitutions").glob("*.json"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_published_constitution_is_read_by_a_run_as_it_was_written(grace, path):
    draft = import_document(read_bytes(path.read_bytes()), user=grace).version
    published = publish(draft, seen=draft.edits, user=grace)
    given = {
        "model": a_model("writer", role="sft").artifact, "prompts": a_dataset("questions", kind="prompts").artifact,
        "constitution": published.dataset.artifact,
    }  # fmt: skip
    run = start_run(
        "constitutional", recipe={"critic": "rules"}, preset="tiny", inputs=given, user=grace, output_name="x"
    )
    read = principles.read(spec_inputs(run)["constitution"])
    wordings = wordings_in(published)
    assert len(read) == len(wordings)
    for one, wording in zip(read, wordings, strict=True):
        for name in ("id", "critique", "revision", "comparison", "weight", "tags"):
            assert getattr(one, name) == getattr(wording, name)
        assert [(e.prompt, e.response, e.critique, e.revision) for e in one.examples] == [
            (e.prompt, e.response, e.critique, e.revision) for e in wording.examples
        ]
