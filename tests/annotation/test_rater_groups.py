"""Groups of raters: named by an admin, on the page and in the API, carried by snapshots, and shown to no rater."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
from django.urls import reverse

from accounts.models import Role
from annotation.models import Membership, RankingTask
from annotation.services.assign import lease_next
from annotation.services.campaigns import BadCampaign, add_raters
from annotation.services.rank import submit_ranking
from annotation.services.rater_groups import put_in_group
from annotation.services.review import adjudicate
from annotation.services.snapshot import freeze_snapshot
from audit.models import AuditEvent
from registry.services.export import RANKINGS, export_dataset
from tests.accounts.people import client_of
from tests.annotation.arrange import a_person, a_submission

pytestmark = pytest.mark.django_db
MEMBER = "/api/v1/annotation/campaigns/everyday/raters/ada/"


@pytest.fixture
def browser(db):
    return client_of(a_person("grace", role=Role.ADMIN))


def change(client, body):
    return client.patch(MEMBER, json.dumps(body), content_type="application/json")


def rankings_of(dataset):
    paths = (dataset.artifact.folder / "rankings").glob("*.parquet")
    return [row for path in sorted(paths) for row in pq.read_table(path).to_pylist()]


def rank_all(campaign, *raters):
    for rater in raters:
        while assignment := lease_next(campaign, rater=rater):
            submit_ranking(assignment, rater=rater, submission=a_submission())


def test_an_admin_names_a_raters_group_on_the_campaigns_page_and_the_audit_log_has_it(browser, campaign, ada):
    page = browser.post(
        reverse("campaign_rater_group", args=["everyday", "ada"]), {"group": " night  shift "}, follow=True
    )
    assert "ada is in the group night shift." in page.content.decode()
    assert 'value="night shift"' in page.content.decode()
    assert Membership.objects.get(user=ada).group == "night shift"
    event = AuditEvent.objects.get(action="campaign.rater_group")
    assert (event.data["rater"], event.data["before"], event.data["after"]) == ("ada", "", "night shift")
    browser.post(reverse("campaign_rater_group", args=["everyday", "ada"]), {"group": ""})
    assert Membership.objects.get(user=ada).group == ""


def test_the_api_names_groups_beside_limits_and_tells_them(browser, campaign):
    assert change(browser, {"group": "town"}).json()["group"] == "town"
    told = change(browser, {"group": "", "most_rankings": 4}).json()
    assert (told["group"], told["most_rankings"]) == ("", 4)
    assert change(browser, {"group": "x" * 41}).json()["error"]["code"] == "bad_campaign"
    assert change(browser, {"groups": "town"}).status_code == 400


def test_a_name_that_is_too_long_or_cannot_be_seen_is_refused_and_nothing_changes(campaign, ada):
    for name in ("x" * 41, "a\x00b", "a\u200bb"):
        with pytest.raises(BadCampaign, match="at most 40 characters"):
            put_in_group(campaign, rater=ada, group=name, user=None)
    assert Membership.objects.get(user=ada).group == "" and not AuditEvent.objects.filter(action="campaign.rater_group")


def test_a_snapshot_carries_groups_beside_pseudonyms_and_one_of_a_campaign_without_is_as_before(campaign, ada, bea):
    rank_all(campaign, ada, bea)
    before = freeze_snapshot(campaign, name="before", user=None)
    assert all("rater_group" not in row for row in rankings_of(before)) and "rater_groups" not in before.query
    put_in_group(campaign, rater=ada, group="town", user=None)
    after = freeze_snapshot(campaign, name="after", user=None)
    of = {row["rater"]: row["rater_group"] for row in rankings_of(after)}
    assert sorted(of.values()) == ["", "town"] and after.query["rater_groups"] == ["town"]
    assert "rater_group" in after.card and "rater_group" not in before.card


def test_what_a_reviewer_settled_is_of_no_group(campaign, ada, bea):
    rank_all(campaign, ada, bea)
    rex = a_person("rex", role=Role.REVIEWER)
    add_raters(campaign, raters=[rex], user=None)
    for rater in (ada, bea, rex):
        put_in_group(campaign, rater=rater, group="town", user=None)
    before = {row["rater"] for row in rankings_of(freeze_snapshot(campaign, name="before", user=None))}
    assert len(before) == 2
    task = RankingTask.objects.filter(prompt__campaign=campaign).first()
    adjudicate(task, line="a>b>c", reason="", user=rex)
    groups = [row["rater_group"] for row in rankings_of(freeze_snapshot(campaign, name="after", user=None))]
    assert groups.count("") == 1 and "town" in groups


def test_rankings_are_exported_with_groups_where_there_are_some(campaign, ada, bea, tmp_path):
    rank_all(campaign, ada, bea)
    plain = freeze_snapshot(campaign, name="plain", user=None)
    put_in_group(campaign, rater=ada, group="town", user=None)
    grouped = freeze_snapshot(campaign, name="grouped", user=None)
    told = {}
    for dataset in (plain, grouped):
        folder = export_dataset(dataset, fmt=RANKINGS, out=tmp_path / dataset.name)
        lines = [json.loads(line) for path in folder.rglob("*.jsonl") for line in path.read_text().splitlines()]
        told[dataset.name] = [ranking.get("rater_group") for line in lines for ranking in line["rankings"]]
    assert set(told["plain"]) == {None} and set(told["grouped"]) == {"", "town"}


def test_no_page_and_no_answer_of_a_rater_says_a_group(campaign, ada, bea):
    for rater in (ada, bea):
        put_in_group(campaign, rater=rater, group="nightshiftgroup", user=None)
    client = client_of(ada)
    pages = [
        reverse("rank", args=["everyday"]),
        reverse("my_work"),
        reverse("home"),
        "/api/v1/annotation/campaigns/mine/",
    ]
    answers = [client.get(page) for page in pages] + [client.post("/api/v1/annotation/campaigns/everyday/next/")]
    for answer in answers:
        assert answer.status_code == 200 and "nightshiftgroup" not in answer.content.decode()
    for path in ("/api/v1/annotation/campaigns/everyday/raters/", reverse("campaign", args=["everyday"])):
        assert client.get(path).status_code == 403
    assert change(client, {"group": "town"}).status_code == 403
    assert client.post(reverse("campaign_rater_group", args=["everyday", "ada"]), {"group": "town"}).status_code == 403
