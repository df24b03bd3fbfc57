"""Guidelines by version: what changed since a rater last read, what she says she has read, and worked examples."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from accounts.models import Role
from annotation.models import GuidelineReading
from annotation.services.assign import lease_next
from annotation.services.campaigns import BadGuideline, revise_guideline
from annotation.services.guidelines import add_example, readers_of, remove_example
from annotation.services.rank import submit_ranking
from tests.accounts.people import client_of
from tests.annotation.arrange import a_campaign, a_person, a_submission

pytestmark = pytest.mark.django_db

WORKED = {
    "prompt": "Why is the sky blue?",
    "texts": ["Light *scatters*.", "It is."],
    "order": "a>>b",
    "why": "It says why.",
}


@pytest.fixture
def desk(ada):
    return client_of(ada)


@pytest.fixture
def admin(db):
    return client_of(a_person("grace", role=Role.ADMIN))


def panel(desk, campaign) -> str:
    page = desk.get(reverse("rank", args=[campaign.slug])).content.decode()
    return page.split('id="guide"')[1].split('</section>\n  <section class="texts"')[0]


def read(desk, campaign, number: int, **headers: str):
    return desk.post(reverse("rank_guideline_read", args=[campaign.slug]), {"number": number}, headers=headers)


def finish(campaign, rater) -> None:
    submit_ranking(lease_next(campaign, rater=rater), rater=rater, submission=a_submission("a>b>c"))


def test_it_is_open_until_it_is_said_to_be_read(desk, campaign, ada):
    assert "not read yet" in panel(desk, campaign)
    assert panel(desk, campaign).startswith(" open")
    assert read(desk, campaign, 1).headers["Location"] == reverse("rank", args=[campaign.slug])
    assert "not read yet" not in panel(desk, campaign)
    assert not panel(desk, campaign).startswith(" open")
    reading = GuidelineReading.objects.get()
    assert (reading.user, reading.guideline.number, reading.read_at is not None) == (ada, 1, True)


def test_what_changed_since_she_read_it_is_shown_until_she_reads_that(desk, campaign, ada):
    read(desk, campaign, 1) if lease_next(campaign, rater=ada) else None
    revise_guideline(campaign, text="Be fair and kind.", user=None)
    revise_guideline(campaign, text="Be fair and brief.", user=None)
    assert "changed since" not in panel(desk, campaign)  # the task in her hands was given out under version 1
    finish(campaign, ada)
    told = panel(desk, campaign)
    assert "changed since you last read it" in told
    assert "What changed since version 1" in told
    assert "and brief" in " ".join(re.findall(r"<ins>(.*?)</ins>", told))
    assert "kind" not in told  # of a version that she was never shown
    part = read(desk, campaign, 3, **{"HX-Request": "true"}).content.decode()
    assert "Noted: you have read version 3." in part
    assert "<html" not in part
    assert "changed since" not in panel(desk, campaign)


def test_a_version_that_she_was_never_shown_cant_be_read(desk, campaign, ada):
    lease_next(campaign, rater=ada)
    revise_guideline(campaign, text="Other.", user=None)
    assert read(desk, campaign, 2).status_code == 404
    assert read(desk, campaign, "one").status_code == 404
    assert client_of(a_person("eve")).post(reverse("rank_guideline_read", args=[campaign.slug])).status_code == 404
    assert not GuidelineReading.objects.exists()


def test_reading_twice_is_reading_once(desk, campaign, ada):
    lease_next(campaign, rater=ada)
    for _ in range(2):
        assert read(desk, campaign, 1).status_code == 302
    assert GuidelineReading.objects.count() == 1


def test_a_worked_example_is_a_new_version_and_marked_as_new(desk, campaign, ada):
    lease_next(campaign, rater=ada)
    read(desk, campaign, 1)
    made = add_example(campaign, user=None, **WORKED)
    assert (made.number, made.text, made.examples[0]["order"]) == (2, "Be fair.", "a >> b")
    finish(campaign, ada)
    told = panel(desk, campaign)
    assert "The words are the same; its examples changed." in told
    assert "Light <em>scatters</em>." in told
    assert "a &gt;&gt; b" in told
    assert ">new</span>" in told
    read(desk, campaign, 2)
    assert ">new</span>" not in panel(desk, campaign)
    remove_example(campaign, index=0, user=None)
    finish(campaign, ada)
    assert "One worked example is gone." in panel(desk, campaign)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"order": "a > c"}, "order"), ({"order": "a"}, "order"), ({"order": ""}, "order"), ({"texts": ["one"]}, "text_a"),
        ({"prompt": " "}, "prompt"), ({"why": ""}, "why"), ({"prompt": "a\x00b"}, "prompt"),
        ({"texts": ["\ud800", "b"]}, "prompt"),
    ],
)  # fmt: skip
def test_an_example_that_shows_nothing_is_refused_beside_its_field(campaign, changed, field):
    with pytest.raises(BadGuideline) as told:
        add_example(campaign, user=None, **WORKED | changed)
    assert (told.value.code, told.value.data["field"]) == ("bad_example", field)
    assert campaign.guidelines.count() == 1


def test_admins_see_versions_what_each_changed_and_who_has_read_which(admin, desk, campaign, ada, bea):
    lease_next(campaign, rater=ada)
    read(desk, campaign, 1)
    finish(campaign, ada)
    address = reverse("campaign_guideline", args=[campaign.slug])
    admin.post(address, {"text": "Be fair and kind."})
    texts = {"text_a": "So.", "text_b": "No.", "order": "a > b", "why": "It says why.", "prompt": "Why?"}
    admin.post(reverse("campaign_example", args=[campaign.slug]), texts)
    page = admin.get(address).content.decode()
    assert "Version 3" in page
    assert "New example:" in page
    assert "<ins>" in page
    assert "1 ranking under it, read by 1" in page
    assert [(reader.username, reader.number) for reader in readers_of(campaign)] == [("bea", None), ("ada", 1)]
    bad = admin.post(reverse("campaign_example", args=[campaign.slug]), texts | {"order": "a > z"})
    assert (bad.status_code, "There is no text Z." in bad.content.decode()) == (400, True)
    admin.post(reverse("campaign_example_remove", args=[campaign.slug, 0]))
    assert "Example removed:" in admin.get(address).content.decode()
    assert admin.post(reverse("campaign_example_remove", args=[campaign.slug, 0])).status_code == 404


def test_the_history_takes_as_many_queries_for_many_versions(admin, campaign, django_assert_max_num_queries):
    for n in range(8):
        revise_guideline(campaign, text=f"Version {n}.", user=None)
    with django_assert_max_num_queries(16):
        admin.get(reverse("campaign_guideline", args=[campaign.slug]))


def test_progress_and_pace_are_told_in_words(ada):
    campaign = a_campaign(raters=[ada], num_prompts=6)
    desk = client_of(ada)
    page = desk.get(reverse("rank", args=[campaign.slug])).content.decode()
    assert "Done or on a desk: 1 of the 12 rankings that this campaign wants." in page
    assert "took you about" not in page
    for _ in range(3):
        finish(campaign, ada)
    from annotation.models import Ranking

    Ranking.objects.update(seconds=150)
    page = desk.get(reverse("rank", args=[campaign.slug])).content.decode()
    assert "Your newest took you about 2 minutes each" in page
