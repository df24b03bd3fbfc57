"""AI feedback by the API: asked for, looked at with its gate, and what it may not say given to people; for no rater."""

from __future__ import annotations

import json

import pytest

from accounts.models import Role, User
from annotation.models import Slot
from annotation.services.campaigns import create_campaign
from registry.services.datasets import freeze_dataset
from runs.models import Run
from tests.accounts.people import client_of
from tests.annotation.arrange import a_person
from tests.annotation.feedback import judgements_of, take
from tests.annotation.test_ai_feedback import pairs_campaign, rank_all, sabotaged
from tests.rlhf.principles import wording
from tests.runs.conftest import a_model


@pytest.fixture
def grace(db) -> User:
    return a_person("grace", role=Role.ADMIN)


def send(user, campaign, part="", *, method="post", **body):
    call = getattr(client_of(user), method)
    return call(address(campaign, part), json.dumps(body), content_type="application/json")


def address(campaign, part=""):
    return f"/api/v1/annotation/campaigns/{campaign.slug}/ai-feedback/{part}"


@pytest.fixture
def blocked(db, ada, tmp_path):
    """A campaign whose feedback model is mostly wrong."""
    campaign = pairs_campaign(raters=[ada], num_prompts=70, people_share=60)
    take(campaign, judgements_of(campaign, sabotaged(0.35)), tmp_path)
    rank_all(campaign, ada)
    return campaign


def test_the_gate_is_told_and_the_rest_is_given_to_people_once(blocked, grace):
    (told,) = client_of(grace).get(address(blocked)).json()
    assert told["rater"] == "ai:rules" and told["is_by_rules"] and told["num_judgements"] == 70
    assert not told["gate"]["overall"]["passes"] and told["gate"]["rule"] == {
        "accuracy": 0.6,
        "kappa": 0.2,
        "fewest": 30,
    }
    assert told["num_counted"] == 0 and 0 < told["num_waiting"] < told["num_for_people"] == 70
    assert told["gate"]["by_principle"][0]["name"] == "harm"
    first, second = (send(grace, blocked, "rest/", rater="ai:rules") for _ in range(2))
    assert first.json() == {"num_tasks": told["num_waiting"]} and second.json() == {"num_tasks": 0}
    assert Slot.objects.count() == 70
    nobody = send(grace, blocked, "rest/", rater="ada")
    assert nobody.status_code == 404 and nobody.json()["error"]["code"] == "no_ai_feedback"


def test_feedback_is_asked_for_by_names(db, ada, grace):
    campaign = pairs_campaign(raters=[ada], num_prompts=3)
    freeze_dataset("rules-v1", kind="constitution", splits={"train": [wording().as_row()]}, user=None)
    a_model("judge-1", role="sft")
    body = {"constitution": "rules-v1", "model": "judge-1", "preset": "tiny"}
    for wrong, code in (
        ({"constitution": "rules-v9"}, "no_dataset"),
        ({"model": "judge-9"}, "no_model"),
        ({"model": None}, "bad_input"),
        ({"recipe": {"clamp_low": 0.1}}, "bad_recipe"),
    ):
        refused = send(grace, campaign, **(body | wrong))
        assert 400 <= refused.status_code < 500 and refused.json()["error"]["code"] == code, refused.json()
    assert not Run.objects.filter(method="judge").exists()
    started = send(grace, campaign, **body)
    assert started.status_code == 201 and Run.objects.get(pk=started.json()["id"]).recipe["critic"] == "model"
    assert send(grace, campaign, **body).json()["error"]["code"] == "judgements_under_way"


def test_the_share_of_people_is_set_before_there_are_tasks(db, ada, grace):
    campaign = create_campaign("Fresh", k=2, overlap=1, guideline="Be fair.", user=None, raters=[ada])
    assert send(grace, campaign, method="patch", people_share=30).json() == {"people_share": 30}
    campaign.refresh_from_db()
    assert campaign.people_share == 30
    assert send(grace, campaign, method="patch", people_share=130).json()["error"]["code"] == "bad_share"
    late = send(grace, pairs_campaign(raters=[ada], num_prompts=2), method="patch", people_share=30)
    assert late.status_code == 409 and late.json()["error"]["code"] == "has_tasks"


def test_raters_have_no_such_address_and_researchers_only_look(blocked, ada):
    rex = a_person("rex", role=Role.RESEARCHER)
    assert client_of(ada).get(address(blocked)).status_code == 403
    assert client_of(rex).get(address(blocked)).status_code == 200
    for user in (ada, rex):
        assert send(user, blocked, "rest/", rater="ai:rules").status_code == 403
        assert send(user, blocked, constitution="rules-v1").status_code == 403
        assert send(user, blocked, method="patch", people_share=30).status_code == 403
