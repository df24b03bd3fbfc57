"""Checks by the API alone: the plan, right orders and raters' standing, for those who run the campaign."""

from __future__ import annotations

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from drf_spectacular.generators import SchemaGenerator

from accounts.models import Role
from annotation.models import Campaign, GoldAnswer, QualityPlan, Standing, StandingChange, TaskKind, plan_of
from annotation.services.assign import lease_next
from annotation.services.evidence import evidence_of
from annotation.services.standing import Paused, appeal
from audit.models import AuditEvent
from tests.accounts.people import client_of
from tests.annotation.arrange import a_campaign, a_person
from tests.annotation.checks import a_plan, gold_of, rank_next, standing_of

pytestmark = pytest.mark.django_db
LINE = {
    "prompt": "Which is shorter?", "gold": "b > a", "explanation": "It has fewer words.",
    "completions": [{"id": "x", "text": "This one, I should think."}, {"id": "y", "text": "This."}],
}  # fmt: skip


@pytest.fixture
def admin(db) -> Client:
    return client_of(a_person("grace", role=Role.ADMIN))


def at(campaign: Campaign, path: str) -> str:
    return f"/api/v1/annotation/campaigns/{campaign.slug}/{path}/"


def send(client: Client, address: str, body: object = None, *, method: str = "post"):
    return getattr(client, method)(address, json.dumps(body or {}), content_type="application/json")


def error_of(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def bring(client: Client, campaign: Campaign, *rows: object):
    body = "".join(f"{json.dumps(row)}\n" for row in rows).encode()
    return client.post(at(campaign, "golds"), {"file": SimpleUploadedFile("gold.jsonl", body)})


def test_a_plan_is_read_made_and_changed_field_by_field(admin, campaign):
    assert admin.get(at(campaign, "quality")).json() == {"plan": None, "num_gold": 0, "num_tests": 0}
    made = send(admin, at(campaign, "quality"), {"gold_share": 0.2}, method="patch").json()["plan"]
    assert (made["gold_share"], made["repeat_share"], made["num_tests"]) == (0.2, 0.05, 0)
    changed = send(admin, at(campaign, "quality"), {"shows_agreement": True}, method="patch").json()["plan"]
    assert changed == made | {"shows_agreement": True} == admin.get(at(campaign, "quality")).json()["plan"]
    assert AuditEvent.objects.filter(action="campaign.quality_plan", actor__username="grace").count() == 2


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"gold_share": 0.4, "repeat_share": 0.2}, "bad_plan"),
        ({"gold_share": "nan"}, "invalid"),
        ({"floor": 0.5}, "bad_plan"),
        ({"num_tests": 4}, "bad_plan"),  # there is no test task
        ({"gold_share": None}, "invalid"),
        ({"gold": 0.1}, "invalid"),
        ({"campaign": 1}, "invalid"),
    ],
)
def test_a_plan_out_of_bounds_is_refused_and_kept_out(admin, campaign, body, code):
    assert error_of(send(admin, at(campaign, "quality"), body, method="patch")) == (400, code)
    assert not QualityPlan.objects.exists()


def test_right_orders_are_brought_listed_and_retired(admin, campaign):
    tests = [LINE | {"prompt": f"Test {n}?", "use": "test"} for n in range(4)]
    brought = bring(admin, campaign, LINE, *tests)
    assert (brought.status_code, brought.json()) == (201, {"num_gold": 1, "num_tests": 4, "num_known": 0})
    listed = admin.get(at(campaign, "golds")).json()["results"]
    (gold,) = [one for one in listed if one["use"] == "gold"]
    assert len(listed) == 5
    assert gold["prompt"] == [{"role": "user", "content": "Which is shorter?"}]
    letters = {one["text"]: one["letter"] for one in gold["texts"]}
    assert gold["order"] == f"{letters['This.']} > {letters['This one, I should think.']}"
    assert (gold["explanation"], gold["of_task"], gold["made_by"]) == ("It has fewer words.", None, "grace")
    assert gold["credit"]["value"] is None and gold["credit"]["why"]
    retired = [send(admin, at(campaign, f"golds/{gold['id']}/retirement")).json()["retired_at"] for _ in range(2)]
    assert retired[0] and retired[0] == retired[1]
    assert admin.get(at(campaign, "quality")).json() == {"plan": None, "num_gold": 0, "num_tests": 4}


def test_a_bad_line_is_told_by_its_number_and_nothing_is_kept(admin, campaign):
    answer = bring(admin, campaign, LINE, LINE | {"gold": "a"})
    assert answer.status_code == 400
    assert "Line 2" in answer.json()["error"]["message"]
    assert send(admin, at(campaign, "golds"), {"rows": [LINE]}).status_code == 415
    assert not GoldAnswer.objects.exists()


def test_gold_is_told_with_everybodys_credit_and_belongs_to_its_campaign(admin, campaign, ada):
    (gold,) = gold_of(campaign, 1)
    other = a_campaign(name="Other")
    assert send(admin, at(other, f"golds/{gold.pk}/retirement")).status_code == 404
    assert admin.get(at(other, "golds")).json()["results"] == []
    gold.refresh_from_db()
    assert gold.retired_at is None


@pytest.fixture
def golden(ada, bea) -> Campaign:
    campaign = a_campaign(raters=[ada, bea], num_prompts=20)
    gold_of(campaign, 20)
    a_plan(campaign, gold_share=0.5, false_alarm=0.2)
    for _ in range(40):
        if rank_next(campaign, ada) is None:
            break
    return campaign


def test_standings_are_told_with_what_the_checks_say(admin, golden, ada):
    told = {one["username"]: one for one in admin.get(at(golden, "standings")).json()["results"]}
    measured = evidence_of(golden.membership_set.get(user=ada), plan=plan_of(golden)).gold
    assert told["ada"]["gold"] == {
        "value": measured.value, "num": measured.num, "low": measured.low, "high": measured.high, "why": "",
    }  # fmt: skip
    assert (told["ada"]["standing"], told["ada"]["last"], told["ada"]["is_active"]) == ("trusted", None, True)
    assert told["bea"]["gold"]["value"] is None
    assert told["bea"]["gold"]["why"] == "No gold task was answered here."
    assert admin.get(at(golden, "standings/ada")).json() == told["ada"]


def test_a_rater_is_paused_with_a_reason_and_let_go_on(admin, campaign, ada):
    where = at(campaign, "standings/ada")
    assert error_of(send(admin, where, {"to": "paused"})) == (400, "bad_words")
    paused = send(admin, where, {"to": "paused", "reason": "Too fast."}).json()
    assert (paused["standing"], paused["last"]["reason"], paused["last"]["by"]) == ("paused", "Too fast.", "grace")
    assert (paused["gold"], paused["repeats"]) == (None, None)  # there is no plan
    with pytest.raises(Paused):
        lease_next(campaign, rater=ada)
    appeal(campaign, rater=ada, words="I was not.")
    assert admin.get(where).json()["last"]["appeal"] == "open"
    assert error_of(send(admin, where, {"to": "paused", "reason": "Again."})) == (409, "bad_standing")
    assert send(admin, where, {"to": "trusted"}).json()["standing"] == "trusted"
    assert error_of(send(admin, where, {"to": "trusted"})) == (409, "bad_standing")
    assert lease_next(campaign, rater=ada) is not None
    assert StandingChange.objects.filter(by__username="grace").count() == 2


def test_a_test_may_be_taken_again_where_there_are_tasks_for_it(admin, campaign, ada):
    gold_of(campaign, 2, kind=TaskKind.TEST)
    bring(admin, campaign, *[LINE | {"prompt": f"Test {n}?", "use": "test"} for n in range(2)])
    send(admin, at(campaign, "quality"), {"num_tests": 4}, method="patch")
    cleo = a_person("cleo")
    client_of(cleo)
    campaign.membership_set.create(user=cleo, standing=Standing.TESTED)
    for _ in range(4):
        rank_next(campaign, cleo, rule=lambda texts: [sorted(texts)])
    assert standing_of(campaign, cleo) == Standing.FAILED
    where = at(campaign, "standings/cleo")
    assert error_of(send(admin, where, {"to": "tested"})) == (409, "too_few_tests")
    assert error_of(send(admin, where, {"to": "trusted"})) == (409, "bad_standing")
    assert error_of(send(admin, where, {"to": "failed"})) == (400, "invalid")
    bring(admin, campaign, *[LINE | {"prompt": f"More {n}?", "use": "test"} for n in range(4)])
    assert send(admin, where, {"to": "tested"}).json()["standing"] == "tested"


def test_who_is_no_rater_here_has_no_standing(admin, campaign):
    a_person("cleo")
    for name in ("cleo", "nobody"):
        assert admin.get(at(campaign, f"standings/{name}")).status_code == 404
        assert send(admin, at(campaign, f"standings/{name}"), {"to": "paused", "reason": "So."}).status_code == 404


def test_lists_take_as_many_queries_for_many_rows(admin, golden):
    for path in ("golds", "standings"):
        counts = []
        for size in (1, 20):
            with CaptureQueriesContext(connection) as asked:
                assert admin.get(f"{at(golden, path)}?page_size={size}").status_code == 200
            counts.append(len(asked))
        assert counts[0] == counts[1] <= 12, path


@pytest.mark.parametrize("role", [Role.RATER, Role.REVIEWER, Role.RESEARCHER])
def test_who_does_not_run_campaigns_neither_sees_nor_changes_checks(golden, role):
    client = client_of(a_person("rita", role=role))
    gold = GoldAnswer.objects.first()
    for path in ("quality", "golds", "standings", "standings/ada"):
        assert client.get(at(golden, path)).status_code == 403
    before = plan_of(golden).gold_share
    assert send(client, at(golden, "quality"), {"gold_share": 0.0}, method="patch").status_code == 403
    assert send(client, at(golden, f"golds/{gold.pk}/retirement")).status_code == 403
    assert send(client, at(golden, "standings/ada"), {"to": "paused", "reason": "No."}).status_code == 403
    assert bring(client, golden, LINE).status_code == 403
    gold.refresh_from_db()
    assert (plan_of(golden).gold_share, gold.retired_at) == (before, None)


def test_the_schema_knows_every_address_and_shape(capsys):
    schema = SchemaGenerator().get_schema(request=None, public=True)
    wanted = ("/quality/", "/golds/", "/standings/", "disagreements/", "/appeals/", "/remarks/", "/withdrawal/")
    ours = {path for path in schema["paths"] if any(name in path for name in wanted)}
    assert len(ours) == 13
    assert {"Plan", "WholeDispute", "Adjudication", "Appeal", "Gold", "Standing"} <= set(
        schema["components"]["schemas"]
    )
    assert "Warning" not in capsys.readouterr().err
