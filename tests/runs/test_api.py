"""The API of runs as a program meets it: who may read and write, what is refused, what is told."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.models import Role, User
from runs.models import Run, RunState
from tests.runs.conftest import a_tokenizer_run, work_once

pytestmark = pytest.mark.django_db


def client_of(role: str) -> Client:
    client = Client()
    client.force_login(User.objects.create(username=f"{role}-1", role=role))
    return client


@pytest.fixture
def admin() -> Client:
    return client_of(Role.ADMIN)


def post(client: Client, path: str, **body):
    return client.post(f"/api/v1/runs/{path}", body, content_type="application/json")


def test_an_admin_starts_a_run_by_the_names_of_its_inputs(admin, corpus):
    answer = post(admin, "", method="tokenizer", preset="tiny", inputs={"corpus": "addresses"}, output_name="words")
    assert answer.status_code == 201, answer.json()
    run = Run.objects.get(pk=answer.json()["id"])
    assert (run.state, run.created_by.username) == (RunState.QUEUED, "admin-1")
    assert answer.json()["inputs"][0]["artifact"] == str(corpus.artifact.pk)


def test_a_bad_recipe_is_told_with_field_and_bound(admin, corpus):
    answer = post(admin, "", method="tokenizer", recipe={"vocab_size": 1}, inputs={"corpus": "addresses"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "bad_recipe"
    assert "greater than or equal to 300" in answer.json()["error"]["message"]


def test_an_unknown_key_is_refused_and_not_dropped(admin, corpus):
    answer = post(admin, "", method="tokenizer", inputs={"corpus": "addresses"}, created_by="eve", state="succeeded")
    assert answer.status_code == 400
    assert set(answer.json()["error"]["data"]["fields"]) == {"created_by", "state"}


def test_a_researcher_reads_runs_and_may_not_start_cancel_or_resume_them(corpus):
    rex = client_of(Role.RESEARCHER)
    run = a_tokenizer_run(corpus)
    for path in ("", f"{run.pk}/", f"{run.pk}/events/", "recipes/"):
        assert rex.get(f"/api/v1/runs/{path}").status_code == 200
    assert post(rex, "", method="tokenizer", inputs={"corpus": "addresses"}).status_code == 403
    assert post(rex, f"{run.pk}/cancel/").status_code == 403
    assert post(rex, f"{run.pk}/resume/").status_code == 403
    assert Run.objects.get().state == RunState.QUEUED


@pytest.mark.parametrize("role", [Role.RATER, Role.REVIEWER])
def test_a_rater_sees_nothing_of_runs(role, corpus):
    run = a_tokenizer_run(corpus)
    rita = client_of(role)
    assert {rita.get(f"/api/v1/runs/{path}").status_code for path in ("", f"{run.pk}/", f"{run.pk}/events/")} == {403}


def test_cancel_and_resume_answer_with_the_run_as_it_is_then(admin, corpus):
    run = a_tokenizer_run(corpus)
    assert post(admin, f"{run.pk}/cancel/").json()["state"] == "cancelled"
    assert post(admin, f"{run.pk}/cancel/").status_code == 409
    assert post(admin, f"{run.pk}/resume/").json()["state"] == "queued"
    assert post(admin, f"{run.pk}/resume/").json()["error"]["code"] == "not_resumable"


@pytest.mark.django_db(transaction=True)
def test_events_come_in_order_after_the_last_one_seen(admin, corpus, trainer):
    a_tokenizer_run(corpus)
    run = work_once()
    everything = admin.get(f"/api/v1/runs/{run.pk}/events/").json()
    assert [event["seq"] for event in everything] == list(range(1, run.last_seq + 1))
    assert admin.get(f"/api/v1/runs/{run.pk}/events/?after={run.last_seq - 1}").json() == everything[-1:]
    metrics = admin.get(f"/api/v1/runs/{run.pk}/events/?kind=metric").json()
    assert [event["payload"]["step"] for event in metrics] == [1, 2, 3, 4, 5]


def test_the_list_filters_by_names_of_ours_alone(admin, corpus):
    a_tokenizer_run(corpus)
    assert len(admin.get("/api/v1/runs/?state=queued&method=tokenizer").json()["results"]) == 1
    assert admin.get("/api/v1/runs/?state=failed").json()["results"] == []
    assert admin.get("/api/v1/runs/?created_by__password__startswith=p").status_code == 400


def test_the_list_costs_the_same_however_many_runs_there_are(admin, corpus, django_assert_max_num_queries):
    for _ in range(12):
        a_tokenizer_run(corpus)
    with django_assert_max_num_queries(6):
        assert len(admin.get("/api/v1/runs/").json()["results"]) == 12


def test_recipes_come_with_their_bounds_and_presets(admin):
    recipe = admin.get("/api/v1/runs/recipes/").json()["tokenizer"]
    assert recipe["schema"]["properties"]["vocab_size"]["minimum"] == 300
    assert recipe["presets"]["tiny"] == {"vocab_size": 512}
    assert recipe["inputs"] == {"corpus": "dataset:corpus", "reference?": "tokenizer", "reference_model?": "model"}
