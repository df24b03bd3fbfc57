"""What a rater says beside an order, by a form without any script; and what those who run the campaign see of it."""

from __future__ import annotations

import uuid

import pytest
from django.urls import reverse

from accounts.models import Role
from annotation.differences import changes
from annotation.models import Assignment, AssignmentState, Campaign, Completion, Ranking
from tests.accounts.people import client_of
from tests.annotation.arrange import a_campaign, a_person

HELPFUL = {"name": "helpful", "levels": 5, "low": "useless", "high": "just it", "is_required": True}
HONEST = {"name": "honest", "levels": 2, "low": "no", "high": "yes", "is_required": False}


@pytest.fixture
def campaign(ada):
    made = a_campaign(raters=[ada], num_prompts=2)
    Campaign.objects.filter(pk=made.pk).update(attributes=[HELPFUL, HONEST])
    return made


@pytest.fixture
def desk(campaign, ada):
    """Ada's browser, with a task open; `desk.send(name, ...)` posts the form as the page has it, with changes."""
    browser = client_of(ada)
    browser.get(reverse("rank", args=[campaign.slug]))
    held = Assignment.objects.get(rater=ada, state=AssignmentState.LIVE)
    texts = {letter: Completion.objects.get(pk=pk).text for letter, pk in held.letters().items()}

    def send(name: str, **fields):
        untouched = {f"edit:{letter}": text for letter, text in texts.items()}
        rated = {f"rate:{letter}:helpful": "3" for letter in texts} | {"rate:a:honest": ""}
        form = {"assignment": held.pk, "client_uuid": uuid.uuid4(), "order": "b > a=c", **untouched, **rated}
        return browser.post(reverse(name, args=[campaign.slug]), {**form, **fields})

    browser.send, browser.held = send, held
    return browser


def text_of(answer) -> str:
    return answer.content.decode()


def test_one_left_out_one_rated_and_one_bettered_become_a_ranking(desk):
    edit = {"edit:b": "Better,\r\nby far.", "rate:b:honest": "2"}
    assert desk.send("rank_submit", order="b > a, not c", **edit).status_code == 302
    ranking = Ranking.objects.get()
    a, b, c = desk.held.order
    assert (ranking.shown_tiers, ranking.unranked) == ([[b], [a]], [c])
    assert ranking.ratings[b] == {"helpful": 3, "honest": 2}
    assert (str(ranking.edit.parent_id), ranking.edit.text) == (b, "Better,\nby far.")


def test_texts_that_were_left_as_they_are_are_no_better_versions(desk):
    desk.send("rank_submit")
    assert Ranking.objects.get().edit is None


def test_an_emptied_text_is_taken_back(desk):
    desk.send("rank_submit", **{"edit:b": " "})
    assert Ranking.objects.get().edit is None


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"order": "b > a"}, "Not ranked yet: C."),
        ({"order": "b > a, not d c"}, "There is no text D."),
        ({"cannot_rank": "unclear"}, "take back the one or the other"),
        ({"order": "", "cannot_rank": "unclear"}, "leads an order"),
        ({"rate:b:helpful": ""}, "Rate text B on helpful"),
        ({"rate:b:helpful": "six"}, "helpful is a whole number, not six."),
        ({"rate:b:honest": "3"}, "honest is 1 to 2, not 3."),
        ({"edit:a": "One."}, "Better one text at a time: you changed A, B."),
    ],
)
def test_what_does_not_fit_comes_back_in_one_sentence_with_all_that_was_typed(desk, fields, sentence):
    answer = desk.send("rank_submit", **{"edit:b": "My own words.", "rate:c:honest": "2"} | fields)
    assert answer.status_code == 400
    assert sentence in text_of(answer)
    assert "My own words.</textarea>" in text_of(answer)
    assert "<ins>" in text_of(answer)
    assert not Ranking.objects.exists()


def test_that_it_cannot_be_ranked_is_an_answer_and_those_who_run_the_campaign_read_why(desk, campaign):
    assert desk.send("rank_submit", order="", cannot_rank="other", reason="Two in one.").status_code == 302
    desk.held.refresh_from_db()
    assert desk.held.state == AssignmentState.DONE
    seen = text_of(client_of(a_person("rex", role=Role.RESEARCHER)).get(reverse("campaign", args=[campaign.slug])))
    assert "Could not be ranked" in seen
    assert "Two in one." in seen
    assert "Helpful, 1 (useless) to 5 (just it)" in seen
    assert "cannot be ranked: another reason" in text_of(desk.get(reverse("my_work")))


def test_a_draft_keeps_all_of_it(desk, campaign):
    fields = {"edit:b": "Half a thought", "rate:c:honest": "2", "cannot_rank": "broken", "order": "a, not c"}
    assert desk.send("rank_draft", **fields).status_code == 200
    page = text_of(desk.get(reverse("rank", args=[campaign.slug])))
    assert 'value="a, not c"' in page
    assert "Half a thought</textarea>" in page
    assert 'name="rate:c:honest" value="2" checked' in page
    assert '<option value="broken" selected>' in page


def test_a_program_may_keep_any_draft_and_the_page_still_opens(desk, campaign):
    Assignment.objects.filter(pk=desk.held.pk).update(draft={"flags": 1, "ratings": {"a": 3}, "edits": ["x"]})
    assert desk.get(reverse("rank", args=[campaign.slug])).status_code == 200


def test_a_correction_begins_with_what_was_said_and_carries_what_is_said_now(desk, campaign):
    desk.send("rank_submit", order="b > a, not c", **{"edit:b": "Better."})
    first = Ranking.objects.get()
    address = reverse("rank_correct", args=[first.pk])
    page = text_of(desk.get(address))
    assert 'value="b &gt; a, not c"' in page
    assert "Better.</textarea>" in page
    form = {"client_uuid": uuid.uuid4(), "order": "b > a, not c", "edit:b": "Better still."}
    rated = {f"rate:{letter}:helpful": "5" for letter in "ab"}
    assert desk.post(address, {**form, **rated}).status_code == 302
    second = Ranking.objects.get(is_live=True)
    assert (second.edit.text, second.supersedes) == ("Better still.", first)
    assert "bettered B" in text_of(desk.get(reverse("my_work")))


def test_a_difference_is_shown_while_it_is_typed_and_nothing_in_it_runs(desk):
    told = text_of(desk.send("rank_difference", letter="b", **{"edit:b": "<script>steal()</script>"}))
    assert "<ins>" in told
    assert "&lt;" in told
    assert "<script>" not in told


def test_a_stranger_learns_no_difference(desk, campaign):
    stranger = client_of(a_person("eve"))
    posted = {"assignment": desk.held.pk, "letter": "a", "edit:a": ""}
    assert stranger.post(reverse("rank_difference", args=[campaign.slug]), posted).status_code == 404


@pytest.mark.parametrize(
    ("before", "after"),
    [("", "new"), ("one two three", "one 2 three"), ("a " * 3000, "b " * 3000), ("x\n" * 3000, "x\n" * 2999)],
)
def test_a_difference_gives_both_texts_back(before, after):
    found = changes(before, after)
    assert "".join(change.text for change in found if change.kind != "new") == before
    assert "".join(change.text for change in found if change.kind != "gone") == after


def test_an_admin_writes_scales_as_lines(ada):
    admin = client_of(a_person("grace", role=Role.ADMIN))
    form = {"name": "Rated", "k": 3, "overlap": 1, "lease_minutes": 20, "guideline": "Be fair."}
    refused = admin.post(reverse("campaign_new"), {**form, "attributes": "helpful 1-9: a .. b"})
    assert refused.status_code == 400
    assert "helpful has 2 to 7 levels, not 9." in text_of(refused)
    assert admin.post(reverse("campaign_new"), {**form, "attributes": "helpful 1-5: a .. b"}).status_code == 302
    assert Campaign.objects.get(name="Rated").attributes == [
        {"name": "helpful", "levels": 5, "low": "a", "high": "b", "is_required": False}
    ]
