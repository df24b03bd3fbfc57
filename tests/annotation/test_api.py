"""The API of campaigns and raters' work: what it does, who may, and what it never tells."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime

import pytest
from django.test import Client

from accounts.models import Role
from annotation.models import Assignment, Campaign, Ranking
from annotation.services.assign import lease_next
from annotation.services.rank import submit_ranking
from registry.services.datasets import read_rows
from runs.models import Run
from tests.accounts.people import client_of
from tests.annotation.arrange import a_person, a_submission

pytestmark = pytest.mark.django_db
BASE = "/api/v1/annotation/"


@pytest.fixture
def grace(db):
    return a_person("grace", role=Role.ADMIN)


def send(client: Client, path: str, body: object = None, *, method: str = "post"):
    return getattr(client, method)(BASE + path, json.dumps(body or {}), content_type="application/json")


def test_a_rater_ranks_by_the_api_alone(campaign, ada):
    client = client_of(ada)
    assert client.get(f"{BASE}campaigns/mine/").json()["results"][0]["slug"] == campaign.slug
    task = send(client, f"campaigns/{campaign.slug}/next/").json()
    assert [text["letter"] for text in task["texts"]] == ["a", "b", "c"]
    desk = f"assignments/{task['id']}/"
    assert send(client, f"{desk}draft/", {"draft": {"tiers": [["b"]]}}, method="put").status_code == 200
    assert client.get(BASE + desk).json()["draft"] == {"tiers": [["b"]]}
    assert send(client, f"{desk}renew/").status_code == 200
    body = {
        "client_uuid": str(uuid.uuid4()),
        "tiers": [["b"], ["a", "c"]],
        "strengths": [3],
        "flags": {"c": ["unsafe"]},
    }
    answers = [send(client, f"{desk}rankings/", body) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    mine = client.get(f"{BASE}rankings/").json()["results"]
    assert (mine[0]["tiers"], mine[0]["flags"]) == ([["b"], ["a", "c"]], {"c": ["unsafe"]})
    fixed = send(
        client, f"rankings/{mine[0]['id']}/corrections/", body | {"client_uuid": str(uuid.uuid4()), "flags": {}}
    )
    assert fixed.json()["supersedes"] == mine[0]["id"]


def test_another_body_under_the_same_uuid_is_a_conflict(campaign, ada):
    client = client_of(ada)
    desk = f"assignments/{send(client, f'campaigns/{campaign.slug}/next/').json()['id']}/rankings/"
    body = {"client_uuid": str(uuid.uuid4()), "tiers": [["a"], ["b"], ["c"]]}
    send(client, desk, body)
    refused = send(client, desk, body | {"tiers": [["c"], ["b"], ["a"]]})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "client_uuid_reused")


@pytest.mark.parametrize("microsecond", [0, 120_000])
def test_a_moment_has_one_form_on_a_whole_second_too(campaign, ada, microsecond):
    task = lease_next(campaign, rater=ada)
    moment = datetime(2100, 1, 2, 3, 4, 5, microsecond, tzinfo=UTC)
    Assignment.objects.filter(pk=task.pk).update(lease_until=moment)
    told = client_of(ada).get(f"{BASE}assignments/{task.pk}/").json()["lease_until"]
    assert told == f"2100-01-02T03:04:05.{microsecond:06d}Z"


def test_where_nothing_waits_the_answer_is_empty(campaign, ada):
    client = client_of(ada)
    for _ in range(3):
        send(client, f"assignments/{send(client, f'campaigns/{campaign.slug}/next/').json()['id']}/skip/")
    assert send(client, f"campaigns/{campaign.slug}/next/").status_code == 204


def test_what_is_another_raters_does_not_exist(campaign, ada, bea):
    assignment = lease_next(campaign, rater=ada)
    ranking = submit_ranking(assignment, rater=ada, submission=a_submission())
    client = client_of(bea)
    body = {"client_uuid": str(uuid.uuid4()), "tiers": [["a"], ["b"], ["c"]]}
    desk = f"assignments/{assignment.pk}/"
    told = [client.get(BASE + desk), send(client, f"{desk}draft/", {"draft": {}}, method="put"), send(client, f"{desk}renew/"),
            send(client, f"{desk}skip/"), send(client, f"{desk}rankings/", body),
            send(client, f"rankings/{ranking.pk}/corrections/", body)]  # fmt: skip
    assert [answer.status_code for answer in told] == [404] * 6
    assert client.get(f"{BASE}rankings/").json()["results"] == []
    stranger = client_of(a_person("eve"))
    assert send(stranger, f"campaigns/{campaign.slug}/next/").status_code == 404


def test_a_rater_is_never_told_who_wrote_what_or_how_others_ranked(campaign, ada, bea):
    while (assignment := lease_next(campaign, rater=bea)) is not None:
        submit_ranking(assignment, rater=bea, submission=a_submission(reason="bea's reason"))
    client = client_of(ada)
    said = [client.get(f"{BASE}campaigns/mine/").content]
    for _ in range(3):
        task = send(client, f"campaigns/{campaign.slug}/next/")
        body = {"client_uuid": str(uuid.uuid4()), "tiers": [["a"], ["b"], ["c"]]}
        said += [task.content, send(client, f"assignments/{task.json()['id']}/rankings/", body).content]
    said.append(client.get(f"{BASE}rankings/").content)
    everything = b"".join(said).decode()
    others = [str(pk) for pk in Ranking.objects.filter(rater=bea).values_list("pk", flat=True)]
    completions = [pk for ranking in Ranking.objects.all() for tier in ranking.tiers for pk in tier]
    for secret in ("secret-model", "model", "gold", '"bea"', "bea's", *others, *completions):
        assert secret not in everything


@pytest.mark.parametrize("path", ["", "{slug}/", "{slug}/progress/"])
def test_a_rater_does_not_see_how_a_campaign_is_run(campaign, ada, path):
    assert client_of(ada).get(f"{BASE}campaigns/{path.format(slug=campaign.slug)}").status_code == 403


def test_an_admin_runs_a_campaign_by_the_api(grace, ada):
    client = client_of(grace)
    made = send(client, "campaigns/", {"name": "Every day", "k": 3, "raters": ["ada"], "guideline": "Be fair."})
    assert (made.status_code, made.json()["slug"], made.json()["state"]) == (201, "every-day", "draft")
    added = send(client, "campaigns/every-day/prompts/", {"rows": [{"prompt": "Why?"}, {"prompt": "Why?"}]})
    assert added.json() == {"num_added": 1, "num_known": 1}
    assert send(client, "campaigns/every-day/state/", {"to": "open"}).json()["state"] == "open"
    assert client.get(f"{BASE}campaigns/every-day/progress/").json()["prompts"] == 1
    refused = send(client, "campaigns/every-day/snapshots/", {"name": "none"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "no_rankings")


def test_an_endpoint_is_asked_for_the_completions_of_a_campaign_once(grace):
    client = client_of(grace)
    send(client, "campaigns/", {"name": "Every day", "k": 3})
    send(client, "campaigns/every-day/prompts/", {"rows": [{"prompt": "Why?"}, {"prompt": "How?"}]})
    asked = {"method": "ask", "recipe": {"url": "https://api.example/v1", "key_variable": "STEADYHAND_KEY_OURS"}}
    assert send(client, "campaigns/every-day/completions/", asked).status_code == 201
    run = Run.objects.get()
    assert (run.method, run.recipe["k"], run.recipe["key_variable"]) == ("ask", 3, "STEADYHAND_KEY_OURS")
    assert run.context == {"campaign": str(Campaign.objects.get().pk)}
    assert sum(1 for split in ("train", "test") for _ in read_rows(run.inputs.get().artifact.dataset, split=split)) == 2
    assert send(client, "campaigns/every-day/completions/", asked).json()["error"]["code"] == "completions_under_way"
    other = {"method": "ask", "recipe": {"key_variable": "STEADYHAND_SECRET_KEY"}}
    assert send(client, "campaigns/every-day/completions/", other).json()["error"]["code"] == "bad_recipe"


def test_bounds_and_unknown_fields_are_told_in_one_sentence(grace):
    client = client_of(grace)
    refused = send(client, "campaigns/", {"name": "Every day", "k": 1})
    assert refused.json()["error"]["message"] == "K is 2 to 9 completions a task, not 1."
    refused = send(client, "campaigns/", {"name": "Every day", "kk": 4})
    assert (refused.status_code, refused.json()["error"]["message"]) == (400, "kk: There is no such field.")


def test_a_researcher_reads_and_freezes_but_does_not_manage(campaign, ada):
    submit_ranking(lease_next(campaign, rater=ada), rater=ada, submission=a_submission())
    client = client_of(a_person("rex", role=Role.RESEARCHER))
    assert client.get(f"{BASE}campaigns/").json()["results"][0]["slug"] == campaign.slug
    assert send(client, f"campaigns/{campaign.slug}/snapshots/", {"name": "first"}).json()["num_rows"] == 3
    assert send(client, f"campaigns/{campaign.slug}/state/", {"to": "closed"}).status_code == 403
