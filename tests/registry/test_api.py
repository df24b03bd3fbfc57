"""The API of models and datasets: who may, what is told, and in how many queries."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

from accounts.models import Role, User
from registry.models import Alias, Artifact, DatasetVersion
from registry.services.datasets import freeze_dataset
from tests.registry.factories import a_model, model_folder, prompt

API = "/api/v1/registry"


@pytest.fixture
def researcher(client, rex) -> Client:
    client.force_login(rex)
    return client


@pytest.fixture
def admin(grace) -> Client:
    client = Client()
    client.force_login(grace)
    return client


def test_models_are_listed_in_a_fixed_number_of_queries(researcher, tmp_path, django_assert_num_queries):
    base = a_model(tmp_path, "base", role="base")
    for i in range(3):
        a_model(tmp_path, f"adapter-{i}", base=base)
    with django_assert_num_queries(3):  # session, user, models with their bases
        told = researcher.get(f"{API}/models/").json()["results"]
    assert [(m["name"], m["base"]) for m in told] == [*((f"adapter-{i}", "base") for i in (2, 1, 0)), ("base", None)]
    assert [m["name"] for m in researcher.get(f"{API}/models/?role=base").json()["results"]] == ["base"]


def test_datasets_are_listed_in_a_fixed_number_of_queries(researcher, prompts, preferences, django_assert_num_queries):
    with django_assert_num_queries(3):
        told = researcher.get(f"{API}/datasets/").json()["results"]
    assert [d["name"] for d in told] == ["harbour-1", "questions"]
    assert told[0]["splits"] == {"train": 3, "test": 1} and told[0]["is_simulated"]
    assert [d["name"] for d in researcher.get(f"{API}/datasets/?kind=prompts").json()["results"]] == ["questions"]


def test_a_filter_that_does_not_exist_is_told(researcher):
    answer = researcher.get(f"{API}/models/?created_by__password=x")
    assert answer.status_code == 400
    assert "created_by__password" in answer.json()["error"]["message"]


def test_one_model_tells_what_it_was_made_from_and_its_names(researcher, preferences, tmp_path):
    base = a_model(tmp_path, "base", role="base")
    model = a_model(tmp_path, "policy", role="policy", parents=[base], datasets=[preferences])
    Alias.objects.create(name="sft/current", model=model)
    told = researcher.get(f"{API}/models/{model.pk}/").json()
    assert (told["parents"], told["datasets"], told["aliases"]) == (["base"], ["harbour-1"], ["sft/current"])
    assert told["files"] == model.artifact.files


def test_rows_come_a_page_at_a_time(researcher, prompts):
    told = researcher.get(f"{API}/datasets/{prompts.pk}/rows/?limit=1&offset=1").json()
    assert told == {"split": "train", "offset": 1, "num_rows": 2, "rows": [prompt("How?")]}
    assert researcher.get(f"{API}/datasets/{prompts.pk}/rows/?split=test").json()["rows"] == [prompt("Who?")]
    assert researcher.get(f"{API}/datasets/{prompts.pk}/rows/?limit=501").status_code == 400


def test_a_dataset_is_taken_away_as_a_zip(researcher, preferences):
    formats = researcher.get(f"{API}/datasets/{preferences.pk}/").json()["formats"]
    assert formats == ["trl-jsonl", "trl-parquet", "hh-jsonl", "rankings-jsonl"]
    answer = researcher.get(f"{API}/datasets/{preferences.pk}/export/hh-jsonl/")
    assert "attachment" in answer["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(b"".join(answer))) as archive:
        assert "harbour-1-hh-jsonl/data/train.jsonl" in archive.namelist()
    answer = researcher.get(f"{API}/datasets/{preferences.pk}/export/csv/")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_such_format")


def test_a_file_is_imported_or_its_bad_lines_told(researcher, rex):
    file = SimpleUploadedFile("p.txt", b"Why?\nHow?\n")
    answer = researcher.post(
        f"{API}/datasets/import/", {"name": "p", "kind": "prompts", "file": file, "licence": "mit"}
    )
    assert answer.status_code == 201, answer.content
    dataset = DatasetVersion.objects.get(name="p")
    assert (dataset.num_rows, dataset.created_by, dataset.licence) == (2, rex, "mit")
    bad = SimpleUploadedFile("p.jsonl", b'{"prompt": "Why?"}\n{}\n')
    answer = researcher.post(f"{API}/datasets/import/", {"name": "q", "kind": "prompts", "file": bad})
    assert answer.status_code == 400
    assert answer.json()["error"]["data"]["lines"] == [{"line": 2, "message": "has no messages"}]
    assert not list(Path(settings.UPLOADS_DIR).iterdir())


@pytest.mark.parametrize("name", ["a;b.txt", ".hidden.txt"])
def test_a_file_with_a_strange_name_is_refused(researcher, name):
    file = SimpleUploadedFile(name, b"Why?\n")
    answer = researcher.post(f"{API}/datasets/import/", {"name": "p", "kind": "prompts", "file": file})
    assert answer.status_code == 400
    assert not DatasetVersion.objects.exists()


def test_a_model_is_uploaded_file_by_file(admin, tmp_path):
    folder = model_folder(tmp_path / "model")
    files = [SimpleUploadedFile(path.name, path.read_bytes()) for path in sorted(folder.iterdir())]
    answer = admin.post(f"{API}/uploads/", {"files": files})
    assert answer.status_code == 201, answer.content
    assert Artifact.objects.get(pk=answer.json()["artifact"]).kind == "upload"
    hostile = SimpleUploadedFile("pytorch_model.bin", b"\x80\x04")
    answer = admin.post(f"{API}/uploads/", {"files": [hostile]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "pickle_refused")
    assert not list(Path(settings.UPLOADS_DIR).iterdir())


def test_a_name_is_moved_by_those_who_manage_and_only_from_what_they_saw(researcher, admin, tmp_path):
    a_model(tmp_path, "one")
    a_model(tmp_path, "two")
    body = {"name": "sft/current", "model": "one", "expected": None}
    post = {"content_type": "application/json"}
    assert researcher.post(f"{API}/aliases/", body, **post).status_code == 403
    assert admin.post(f"{API}/aliases/", body, **post).json()["model"] == "one"
    late = admin.post(f"{API}/aliases/", {**body, "model": "two"}, **post)
    assert (late.status_code, late.json()["error"]["data"]) == (409, {"now": "one"})
    assert admin.post(f"{API}/aliases/", {**body, "model": "none"}, **post).status_code == 404
    assert admin.post(f"{API}/aliases/", {"name": "sft/current", "model": "two"}, **post).status_code == 400
    told = researcher.get(f"{API}/aliases/").json()["results"]
    assert [(alias["name"], alias["model"]) for alias in told] == [("sft/current", "one")]


def test_descent_is_told_as_nodes_and_edges(researcher, preferences, tmp_path):
    model = a_model(tmp_path, "reward", role="reward", datasets=[preferences])
    told = researcher.get(f"{API}/lineage/model/{model.pk}/").json()
    assert told["focus"] == f"model:{model.pk}"
    assert [node["kind"] for node in told["nodes"]] == ["campaign", "rankings", "dataset", "model"]
    assert len(told["edges"]) == 3
    assert researcher.get(f"{API}/lineage/poem/{model.pk}/").status_code == 404


def test_raters_see_nothing_of_it(prompts, db):
    client = Client()
    client.force_login(User.objects.create(username="ada", role=Role.RATER))
    for path in ("models/", "datasets/", f"datasets/{prompts.pk}/rows/", f"datasets/{prompts.pk}/export/trl-jsonl/"):
        assert client.get(f"{API}/{path}").status_code == 403
        assert Client().get(f"{API}/{path}").status_code == 401


def test_pages_of_a_list_follow_each_other(researcher, rex):
    for i in range(5):
        freeze_dataset(f"d{i}", kind="prompts", splits={"train": [prompt(f"Q{i}")]}, user=rex)
    first = researcher.get(f"{API}/datasets/?page_size=3").json()
    second = researcher.get(first["next"]).json()
    names = [d["name"] for d in first["results"] + second["results"]]
    assert names == ["d4", "d3", "d2", "d1", "d0"] and second["next"] is None


def test_the_schema_knows_every_address(db, capsys):
    schema = SchemaGenerator().get_schema(request=None, public=True)
    ours = [path for path in schema["paths"] if path.startswith(API)]
    assert len(ours) == 10
    told = capsys.readouterr().err
    assert "registry" not in told and "Kind" not in told
