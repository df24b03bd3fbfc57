"""Pages of models and datasets: they show what is there, in a number of queries that does not grow with it."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client
from django.urls import reverse

from registry.models import Alias
from registry.services.datasets import freeze_dataset
from tests.registry.factories import a_model, prompt


@pytest.fixture
def researcher(client, rex) -> Client:
    client.force_login(rex)
    return client


def page(client: Client, name: str, *args: object, query: str = "") -> str:
    answer = client.get(reverse(name, args=args) + query)
    assert answer.status_code == 200, answer.content[:2000]
    return answer.content.decode()


def queries_of(client: Client, path: str, assert_max) -> int:
    with assert_max(60) as seen:
        assert client.get(path).status_code == 200
    return len(seen)


def test_lists_cost_the_same_however_long_they_are(researcher, rex, tmp_path, django_assert_max_num_queries):
    def add(number: int) -> None:
        base = a_model(tmp_path, f"base-{number}", role="base")
        a_model(tmp_path, f"adapter-{number}", base=base)
        freeze_dataset(f"d-{number}", kind="prompts", splits={"train": [prompt("Why?")]}, user=rex)

    add(0)
    before = [queries_of(researcher, reverse(name), django_assert_max_num_queries) for name in ("models", "datasets")]
    for i in range(1, 6):
        add(i)
    after = [queries_of(researcher, reverse(name), django_assert_max_num_queries) for name in ("models", "datasets")]
    assert after == before


def test_a_dataset_shows_its_rows_its_exports_and_that_it_is_simulated(researcher, preferences):
    shown = page(researcher, "dataset", preferences.pk)
    assert "Good 1" in shown and "Bad 3" in shown and "Good 4" not in shown
    assert reverse("dataset_export", args=[preferences.pk, "hh-jsonl"]) in shown
    assert "simulated" in shown and "4 rankings" in shown
    assert "Good 4" in page(researcher, "dataset", preferences.pk, query="?split=test")
    answer = researcher.get(reverse("dataset_export", args=[preferences.pk, "hh-jsonl"]))
    assert b"".join(answer).startswith(b"PK")


def test_what_rows_say_is_shown_and_never_run(researcher, rex):
    rows = [{"id": "1", "text": "<script>alert(1)</script>", "source": "<img src=x onerror=alert(1)>"}]
    dataset = freeze_dataset("hostile", kind="corpus", splits={"train": rows}, user=rex)
    shown = page(researcher, "dataset", dataset.pk)
    assert "<script>alert(1)" not in shown and "<img src=x" not in shown
    assert "&lt;script&gt;alert(1)" in shown


def test_those_who_manage_are_led_to_the_import_and_to_the_run_that_made_a_model(grace, tmp_path):
    client, run = Client(), uuid.uuid4()
    client.force_login(grace)
    model = a_model(tmp_path, "made", method="dpo", run=run)
    assert reverse("model_import") in page(client, "models")
    assert reverse("run", args=[run]) in page(client, "model", model.pk)


def test_a_model_shows_what_it_learned_from(researcher, preferences, tmp_path):
    model = a_model(tmp_path, "reward", role="reward", datasets=[preferences])
    shown = page(researcher, "model", model.pk)
    assert "harbour-1" in shown and "learned from simulated rankings" in shown
    assert "harbour-1 comes from 4 rankings." in page(researcher, "lineage", "model", model.pk)
    assert "harbour-1 comes from 4 rankings." in page(researcher, "lineage", "dataset", preferences.pk)
    assert researcher.get(reverse("lineage", args=["poem", model.pk])).status_code == 404


def test_an_admin_promotes_a_model_and_rolls_it_back_unless_it_was_moved_meanwhile(grace, tmp_path):
    client = Client()
    client.force_login(grace)
    first, second = a_model(tmp_path, "first"), a_model(tmp_path, "second")

    def name(model, current: str = ""):
        return client.post(reverse("model_alias", args=[model.pk]), {"name": "sft/current", "current": current})

    assert name(first).status_code == 302
    assert "Promote to sft/current" in page(client, "model", second.pk)
    assert name(second, str(first.pk)).status_code == 302
    late = name(second, str(first.pk))
    assert late.status_code == 409 and "was moved meanwhile" in late.content.decode()
    assert name(first, str(second.pk)).status_code == 302
    assert Alias.objects.get().model == first
    assert name(first, "junk").status_code == 404
    assert client.post(reverse("model_alias", args=[first.pk]), {"name": "No Alias!"}).status_code == 400


def test_a_researcher_moves_no_name(researcher, tmp_path):
    model = a_model(tmp_path, "first")
    assert researcher.post(reverse("model_alias", args=[model.pk]), {"name": "sft/current"}).status_code == 403
    assert "Give it this name" not in page(researcher, "model", model.pk)
    assert not Alias.objects.exists()
