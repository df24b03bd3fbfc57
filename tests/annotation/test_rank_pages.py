"""The ranking page as a form, without any script: every deed of a rater is one post, and refusals keep what was typed."""

from __future__ import annotations

import uuid

import pytest
from django.urls import reverse

from annotation.models import Assignment, AssignmentState, Campaign, Completion, Ranking
from annotation.services.assign import lease_next
from annotation.services.campaigns import remove_rater, set_state
from annotation.services.completions import make_tasks
from tests.accounts.people import client_of
from tests.annotation.arrange import a_campaign, a_person

HTMX = {"HX-Request": "true"}
JSON = {"Accept": "application/json"}


@pytest.fixture
def desk(campaign, ada):
    """Ada's browser, with a task open."""
    browser = client_of(ada)
    page = browser.get(address("rank", campaign))
    assert page.status_code == 200
    return browser


def address(name: str, campaign: Campaign) -> str:
    return reverse(name, args=[campaign.slug])


def held(rater) -> Assignment:
    return Assignment.objects.get(rater=rater, state=AssignmentState.LIVE)


def form(rater, **fields) -> dict[str, object]:
    return {"assignment": held(rater).pk, "client_uuid": uuid.uuid4(), "order": "b > a=c", **fields}


def text_of(answer) -> str:
    return answer.content.decode()


def test_a_typed_order_becomes_a_ranking_and_the_next_task_comes(desk, campaign, ada):
    assignment = held(ada)
    letters = assignment.letters()
    answer = desk.post(address("rank_submit", campaign), form(ada, order="b >> a=c", reason=" short ", seconds="12.5"))
    assert answer.headers["Location"] == address("rank", campaign)
    ranking = Ranking.objects.get()
    assert [set(tier) for tier in ranking.tiers] == [{letters["b"]}, {letters["a"], letters["c"]}]
    assert (ranking.strengths, ranking.reason, ranking.rater) == ([2], "short", ada)
    desk.get(address("rank", campaign))
    assert held(ada).task_id != assignment.task_id


def test_a_script_is_told_what_is_stored_and_nothing_else(desk, campaign, ada):
    told = desk.post(address("rank_submit", campaign), form(ada), headers=JSON).json()
    ranking = Ranking.objects.get()
    correct_url = reverse("rank_correct", args=[ranking.pk])
    assert told == {"ranking": str(ranking.pk), "num_mine": 1, "correct_url": correct_url}


def test_a_script_that_asks_again_gets_the_next_task_and_its_bar_in_one_answer(desk, campaign, ada):
    first = held(ada)
    desk.post(address("rank_submit", campaign), form(ada), headers=JSON)
    answer = desk.get(address("rank", campaign), headers=HTMX)
    assert "<html" not in text_of(answer)
    assert 'id="task"' in text_of(answer)
    assert '<div id="rank-bar" hx-swap-oob="true">' in text_of(answer)
    assert str(held(ada).pk) in text_of(answer)
    assert str(first.pk) not in text_of(answer)


def test_the_same_form_sent_twice_counts_once(desk, campaign, ada):
    posted = form(ada)
    for _ in range(2):
        assert desk.post(address("rank_submit", campaign), posted).status_code == 302
    assert Ranking.objects.count() == 1


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("b > a", "Not ranked yet: C."),
        ("b > a > d", "There is no text D."),
        ("b b", "Put &gt; or = before B."),
        ("", "Rank the texts first"),
        ("b > a >", "Put a letter after &gt;."),
    ],
)
def test_a_line_that_cant_be_read_comes_back_with_all_that_was_typed(desk, campaign, ada, line, sentence):
    posted = form(ada, order=line, reason="because", flag=["a:unsafe"])
    answer = desk.post(address("rank_submit", campaign), posted)
    assert answer.status_code == 400
    assert sentence in text_of(answer)
    assert "because</textarea>" in text_of(answer)
    assert 'value="a:unsafe" checked' in text_of(answer)
    assert not Ranking.objects.exists()


def test_all_bad_needs_no_order(desk, campaign, ada):
    desk.post(address("rank_submit", campaign), form(ada, order="", all_bad="on"))
    ranking = Ranking.objects.get()
    assert ranking.all_bad
    assert len(ranking.tiers) == 1


def test_flags_are_kept_by_text(desk, campaign, ada):
    letters = held(ada).letters()
    desk.post(address("rank_submit", campaign), form(ada, flag=["a:unsafe", "a:personal_data", "c:unsafe"]))
    assert Ranking.objects.get().flags == {letters["a"]: ["personal_data", "unsafe"], letters["c"]: ["unsafe"]}


def test_a_draft_stands_in_the_form_when_the_page_is_opened_again(desk, campaign, ada):
    answer = desk.post(address("rank_draft", campaign), form(ada, order="c > ", reason="half", flag="b:unsafe"))
    assert "saved_at" in answer.json()
    page = text_of(desk.get(address("rank", campaign)))
    assert 'value="c &gt; "' in page or 'value="c &gt;"' in page
    assert "half</textarea>" in page
    assert 'value="b:unsafe" checked' in page


def test_a_renewed_lease_has_all_its_time_again(desk, campaign, ada):
    Assignment.objects.filter(pk=held(ada).pk).update(lease_until=held(ada).leased_at)
    left = desk.post(address("rank_renew", campaign), {"assignment": held(ada).pk}).json()["lease_seconds"]
    assert left == pytest.approx(20 * 60, abs=5)


def test_a_skipped_task_does_not_come_back(desk, campaign, ada):
    skipped = held(ada)
    desk.post(address("rank_skip", campaign), {"assignment": skipped.pk, "reason": "Wrong language"})
    skipped.refresh_from_db()
    assert (skipped.state, skipped.skip_reason) == (AssignmentState.SKIPPED, "Wrong language")
    seen = set()
    for _ in range(2):
        desk.get(address("rank", campaign))
        seen.add(held(ada).task_id)
        desk.post(address("rank_submit", campaign), form(ada))
    assert skipped.task_id not in seen


def test_no_hint_of_who_wrote_what_is_anywhere_in_the_page(desk, campaign):
    page = text_of(desk.get(address("rank", campaign)))
    assert "Answer 1" in page
    assert "secret-model" not in page
    for completion in Completion.objects.all():
        assert str(completion.pk) not in page


def test_hostile_completions_stay_text(ada):
    campaign = a_campaign(raters=[ada], num_prompts=1, k=2)
    prompt = campaign.prompts.get()
    campaign.tasks.all().delete()
    prompt.completions.all().delete()
    for text in ("<script>steal()</script>", "<img src=x onerror=steal()> </script><script>steal()</script>"):
        Completion.objects.create(prompt=prompt, text=text)
    make_tasks(campaign)
    page = text_of(client_of(ada).get(address("rank", campaign)))
    assert "&lt;script&gt;steal()" in page
    assert "<script>steal" not in page
    assert "<img src=x" not in page


def test_an_empty_completion_says_that_it_is_empty(ada):
    campaign = a_campaign(raters=[ada], num_prompts=1, k=2)
    Completion.objects.filter(text__startswith="Answer 0").update(text=" \n")
    assert "This reply is empty." in text_of(client_of(ada).get(address("rank", campaign)))


def test_a_draft_cant_leave_its_attribute(desk, campaign, ada):
    desk.post(address("rank_draft", campaign), form(ada, reason="\"'></textarea><script>steal()</script>"))
    page = text_of(desk.get(address("rank", campaign)))
    assert "steal()" in page
    assert "<script>steal" not in page


def test_when_all_is_ranked_the_page_says_so(desk, campaign, ada):
    for _ in range(campaign.tasks.count()):
        desk.get(address("rank", campaign))
        desk.post(address("rank_submit", campaign), form(ada))
    assert "Nothing waits for you here" in text_of(desk.get(address("rank", campaign)))


def test_a_ranking_is_taken_when_the_campaign_was_paused_meanwhile(desk, campaign, ada):
    set_state(campaign, to="paused", user=None)
    answer = desk.post(address("rank_submit", campaign), form(ada), follow=True)
    assert "This campaign is not open now" in text_of(answer)
    assert Ranking.objects.count() == 1


def test_what_was_given_out_can_be_finished_by_a_rater_who_was_taken_out(desk, campaign, ada):
    remove_rater(campaign, rater=ada, user=None)
    answer = desk.post(address("rank_submit", campaign), form(ada), follow=True)
    assert "not a rater of this campaign any more" in text_of(answer)
    assert Ranking.objects.count() == 1


def test_a_stranger_finds_neither_campaign_nor_task(desk, campaign, ada):
    stranger = client_of(a_person("eve"))
    assert stranger.get(address("rank", campaign)).status_code == 404
    for name in ("rank_submit", "rank_draft", "rank_renew", "rank_skip", "rank_ahead", "rank_give_back"):
        assert stranger.post(address(name, campaign), form(ada)).status_code == 404
    assert held(ada).draft is None


@pytest.mark.parametrize("posted", [{}, {"assignment": "nonsense"}])
def test_a_form_that_is_not_whole_is_refused(desk, campaign, posted):
    assert desk.post(address("rank_submit", campaign), posted).status_code == 400


def test_opening_a_task_takes_few_queries(campaign, bea, django_assert_max_num_queries):
    browser = client_of(bea)
    lease_next(campaign, rater=bea)
    with django_assert_max_num_queries(22):
        browser.get(address("rank", campaign))
