"""What a rater can say beside an order, by the API, by a file, by a simulated rater: the same rules at each door."""

from __future__ import annotations

import io
import json
import uuid

import pytest
from django.core.management import call_command

from accounts.models import Role
from annotation.models import Ranking
from annotation.simulation import Taste, ratings_by_place
from tests.accounts.people import client_of
from tests.annotation.arrange import a_campaign, a_file, a_person, a_row

pytestmark = pytest.mark.django_db
HELPFUL = {"name": "helpful", "levels": 5, "low": "useless", "high": "just it", "is_required": True}
HONEST = {"name": "honest", "levels": 2, "low": "no", "high": "yes", "is_required": False}


@pytest.fixture
def rated(ada):
    campaign = a_campaign(raters=[ada], num_prompts=1, overlap=1)
    campaign.attributes = [HELPFUL, HONEST]
    campaign.save()
    return campaign


def send(client, path, body):
    return client.post(f"/api/v1/annotation/{path}", json.dumps(body), content_type="application/json")


def test_the_api_takes_and_tells_all_of_it(rated, ada):
    client = client_of(ada)
    task = send(client, f"campaigns/{rated.slug}/next/", {}).json()
    assert [one["name"] for one in task["attributes"]] == ["helpful", "honest"]
    said = {
        "tiers": [["b"], ["a"]], "strengths": [2], "unranked": ["c"], "flags": {"c": ["unsafe"]},
        "ratings": {"a": {"helpful": 1}, "b": {"helpful": 4, "honest": 1}}, "edit": {"of": "b", "text": "Better."},
    }  # fmt: skip
    answer = send(client, f"assignments/{task['id']}/rankings/", {"client_uuid": str(uuid.uuid4()), **said})
    assert answer.status_code == 201
    assert {name: answer.json()[name] for name in said} == said
    changed = {"client_uuid": str(uuid.uuid4()), "cannot_rank": "broken"}
    fixed = send(client, f"rankings/{answer.json()['id']}/corrections/", changed).json()
    assert (fixed["cannot_rank"], fixed["tiers"], fixed["edit"]) == ("broken", [], None)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"tiers": [["a"], ["b"]]}, "bad_ranking"),
        ({"cannot_rank": "boring"}, "invalid"),
        ({"tiers": [["a"], ["b"], ["c"]], "ratings": {"a": {"helpful": 9}}}, "bad_ranking"),
        ({"tiers": [["a"], ["b"], ["c"]], "ratings": {"a": {"helpful": "much"}}}, "invalid"),
        ({"tiers": [["a"], ["b"], ["c"]], "edit": {"of": "a"}}, "invalid"),
    ],
)
def test_the_api_refuses_with_a_code_and_a_sentence(rated, ada, said, code):
    client = client_of(ada)
    task = send(client, f"campaigns/{rated.slug}/next/", {}).json()
    answer = send(client, f"assignments/{task['id']}/rankings/", {"client_uuid": str(uuid.uuid4()), **said})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    assert answer.json()["error"]["message"]


SAID = {
    "rater": "ann", "tiers": [["x"], ["y"]], "unranked": ["z"], "ratings": {"x": {"helpful": 5}, "y": {"helpful": 1}},
    "edit": {"of": "y", "text": "Better."}, "flags": {"z": ["unsafe"]},
}  # fmt: skip


def imported(path, *, attributes=("helpful 1-5: useless .. just it (required)",)):
    out = io.StringIO()
    call_command("import_rankings", str(path), campaign="Theirs", attribute=list(attributes), json=True, stdout=out)
    return json.loads(out.getvalue())


def test_a_file_says_all_of_it_and_says_it_once(tmp_path):
    bob = {"rater": "bob", "cannot_rank": "unclear"}
    path = a_file(tmp_path / "r.jsonl", a_row(1, rankings=[SAID, bob]))
    assert imported(path)["num_rankings"] == 2
    assert imported(path, attributes=())["num_known"] == 2
    ann = Ranking.objects.get(cannot_rank="")
    assert (ann.edit.text, ann.edit.author, len(ann.unranked)) == ("Better.", ann.rater, 1)
    other = a_file(tmp_path / "s.jsonl", a_row(1, rankings=[SAID | {"edit": {"of": "y", "text": "Other."}}]))
    with pytest.raises(SystemExit):
        imported(other)


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"unranked": []}, "Rater ann: Not ranked yet: Z"),
        ({"ratings": {"x": {"helpful": 6}}}, "Rater ann: helpful is 1 to 5, not 6"),
        ({"edit": {"of": "y"}}, '"edit" has the id'),
        ({"cannot_rank": "unclear"}, "take back the one or the other"),
        ({"all_bad": 1}, '"all_bad" is true or false'),
    ],
)
def test_a_file_is_refused_by_the_same_rules(tmp_path, capsys, changed, complaint):
    err = io.StringIO()
    with pytest.raises(SystemExit):
        call_command(
            "import_rankings", str(a_file(tmp_path / "r.jsonl", a_row(1, rankings=[SAID | changed]))), campaign="Theirs",
            attribute=["helpful 1-5: useless .. just it"], stderr=err,
        )  # fmt: skip
    assert "bad_lines: Line 1: " in err.getvalue()
    assert complaint in err.getvalue()


def test_scales_that_cannot_be_read_are_told_on_the_command_line(tmp_path):
    err = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("import_rankings", str(tmp_path / "r.jsonl"), campaign="T", attribute=["helpful"], stderr=err)
    assert err.getvalue().startswith("bad_campaign: ")


def test_a_simulated_rater_rates_what_a_campaign_requires_by_place():
    tiers, _ = Taste(0, 1, 0.0).order({"a": "One two three.", "b": "One", "c": ""})
    rated = ratings_by_place(tiers, attributes=[HELPFUL, HONEST])
    levels = [rated[tier[0]] for tier in tiers]
    assert (levels[0], levels[-1]) == ({"helpful": 5}, {"helpful": 1})
    assert ratings_by_place([["a", "b"]], attributes=[HONEST]) == {"a": {}, "b": {}}


def test_a_campaign_made_by_the_api_says_its_scales(db):
    admin = client_of(a_person("grace", role=Role.ADMIN))
    made = send(admin, "campaigns/", {"name": "Rated", "attributes": [HELPFUL]})
    assert (made.status_code, made.json()["attributes"]) == (201, [HELPFUL])
    refused = send(admin, "campaigns/", {"name": "Rated too", "attributes": [HELPFUL | {"levels": 9}]})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "bad_campaign")
    assert refused.json()["error"]["message"] == "helpful has 2 to 7 levels, not 9."
