"""The same mistake at the page, the API and the command line: one sentence, one code, and nothing is kept of it."""

from __future__ import annotations

import html
import io
import json
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command

from accounts.models import Role, User
from annotation.models import Campaign, Prompt
from annotation.services.assign import lease_next
from annotation.services.campaigns import create_campaign
from annotation.services.judge import Submission
from annotation.services.rank import submit_ranking
from registry.models import Artifact, DatasetKind
from registry.services.datasets import freeze_dataset
from runs.models import Run
from tests.accounts.people import client_of, person
from tests.annotation.arrange import a_campaign, a_submission

pytestmark = pytest.mark.django_db


@dataclass(frozen=True, slots=True)
class Answer:
    code: str
    sentence: str


@pytest.fixture
def grace(db):
    return person(Role.ADMIN)


@pytest.fixture
def client(grace):
    return client_of(grace)


@pytest.fixture
def campaign(grace):
    return create_campaign("Everyday", k=4, overlap=1, guideline="Be kind.", user=grace)


@pytest.fixture
def corpus(grace):
    rows = [{"id": "1", "text": "We the people.", "source": "here"}]
    return freeze_dataset("addresses", kind=DatasetKind.CORPUS, splits={"train": rows}, user=grace)


def told_by_api(response) -> Answer:
    assert 400 <= response.status_code < 500, response.content
    error = response.json()["error"]
    return Answer(error["code"], error["message"])


def told_by_page(response, answer: Answer) -> bool:
    """The page says the sentence in words that a person reads, with a status that says that it was refused."""
    assert 400 <= response.status_code < 500, response.status_code
    return answer.sentence in html.unescape(response.content.decode())


def told_by_command(*arguments: str, **options: object) -> Answer:
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command(*arguments, stdout=out, stderr=err, json=True, **options)
    assert ended.value.code == 1
    error = json.loads(out.getvalue())["error"]
    assert err.getvalue().strip() == f"{error['code']}: {error['message']}"
    return Answer(error["code"], error["message"])


def test_a_recipe_out_of_bounds(client, corpus):
    body = {"method": "tokenizer", "recipe": {"vocab_size": 7}, "inputs": {"corpus": "addresses"}}
    by_api = told_by_api(client.post("/api/v1/runs/", body, content_type="application/json"))
    by_command = told_by_command("run", "tokenizer", "--input", "corpus=addresses", "--set", "vocab_size=7")
    form = {"preset": "demo", "corpus": str(corpus.artifact_id), "vocab_size": "7", "min_frequency": "2"}
    page = client.post("/runs/new/tokenizer/", form)
    assert by_api == by_command
    assert by_api.code == "bad_recipe"
    assert told_by_page(page, Answer("", "greater than or equal to 300"))
    assert not Run.objects.exists()


def test_a_file_of_prompts_with_bad_lines(client, campaign, tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "Why is the sky blue?"}\n{"prompt": ""}\nno json\n')
    by_command = told_by_command("import_file", str(path), campaign=campaign.slug)
    upload = SimpleUploadedFile("prompts.jsonl", path.read_bytes())
    address = f"/api/v1/annotation/campaigns/{campaign.slug}/imports/"
    by_api = told_by_api(client.post(address, {"file": upload, "dry_run": "false"}))
    assert by_command == by_api
    assert by_command.code == "bad_lines"
    assert "1 more line is bad" in by_command.sentence
    checked = client.post(
        f"/campaigns/{campaign.slug}/imports/", {"file": SimpleUploadedFile("p.jsonl", path.read_bytes())}
    )
    page = client.post(checked.headers["Location"])
    assert told_by_page(page, by_command)
    assert told_by_page(page, Answer("", "A message's content is a text that isn't blank."))
    assert told_by_page(page, Answer("", "This is not JSON."))
    assert not Prompt.objects.exists()


def test_rankings_that_prefer_nothing_cannot_be_frozen(client, grace):
    ada = User.objects.create(username="ada", role=Role.RATER)
    campaign = a_campaign(raters=[ada], num_prompts=2, overlap=1)
    submit_ranking(lease_next(campaign, rater=ada), rater=ada, submission=a_submission("a=b=c"))
    unclear = Submission(client_uuid=uuid.uuid4(), cannot_rank="unclear")
    submit_ranking(lease_next(campaign, rater=ada), rater=ada, submission=unclear)
    by_command = told_by_command("snapshot", campaign.slug, "ties")
    address = f"/api/v1/annotation/campaigns/{campaign.slug}/snapshots/"
    by_api = told_by_api(client.post(address, {"name": "ties"}, content_type="application/json"))
    page = client.post(f"/campaigns/{campaign.slug}/snapshots/", {"name": "ties"})
    assert by_command == by_api
    assert by_command.code == "no_comparisons"
    assert by_command.sentence == (
        "No ranking of Everyday prefers one text to another yet, so there is nothing to freeze (all texts tied: 1; cannot be "
        "ranked: 1)."
    )
    assert told_by_page(page, by_command)


@pytest.mark.parametrize("k", [1, 10])
def test_k_out_of_bounds(client, k):
    body = {"name": "Too few", "k": k, "overlap": 1, "guideline": "Be kind."}
    by_api = told_by_api(client.post("/api/v1/annotation/campaigns/", body, content_type="application/json"))
    page = client.post("/campaigns/new/", {**body, "lease_minutes": 20})
    assert by_api == Answer("bad_campaign", f"K is 2 to 9 completions a task, not {k}.")
    assert told_by_page(page, by_api)
    assert not Campaign.objects.exists()


def test_a_pickle_offered_as_a_model(client, tmp_path):
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(b"\x80\x04K\x01.")
    by_command = told_by_command("import_model", "mine", str(path))
    upload = SimpleUploadedFile(path.name, path.read_bytes())
    by_api = told_by_api(client.post("/api/v1/registry/uploads/", {"files": upload}))
    assert by_api.code == by_command.code
    assert by_api.sentence == by_command.sentence
    assert not Artifact.objects.exists()
    assert not Run.objects.exists()


def test_a_name_that_is_taken(client, corpus, tmp_path):
    path = tmp_path / "more.txt"
    path.write_text("We the people, again.\n")
    by_command = told_by_command("import_dataset", "addresses", str(path), kind="corpus")
    body = {"name": "addresses", "kind": "corpus", "file": SimpleUploadedFile("more.txt", path.read_bytes())}
    by_api = told_by_api(client.post("/api/v1/registry/datasets/import/", body))
    assert by_api == by_command
    assert by_api.code == "name_taken"
    assert Artifact.objects.count() == 1


def test_an_export_that_does_not_exist(client, corpus, tmp_path):
    page = client.get(f"/datasets/{corpus.pk}/export/hh-jsonl/")
    by_api = told_by_api(client.get(f"/api/v1/registry/datasets/{corpus.pk}/export/hh-jsonl/"))
    by_command = told_by_command("export", "addresses", fmt="hh-jsonl", out=Path(tmp_path / "out"))
    assert by_api == by_command
    assert told_by_page(page, by_api)
    assert not (tmp_path / "out").exists()
