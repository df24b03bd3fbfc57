"""Two texts side by side: what differs is marked word by word, safely, in bounded time, and for its own rater alone."""

from __future__ import annotations

import time
from html.parser import HTMLParser

import pytest
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from annotation.differences import difference
from annotation.models import Assignment, AssignmentState, Completion
from annotation.services.assign import lease_next
from annotation.services.completions import make_tasks
from annotation.services.leases import skip
from annotation.services.rank import submit_ranking
from tests.accounts.people import client_of
from tests.annotation.arrange import a_campaign, a_person, a_submission, run_out

HTMX = {"HX-Request": "true"}


def marked(pieces) -> list[str]:
    return [piece.text for piece in pieces if piece.is_marked]


# What differs


def test_words_that_the_other_text_has_not_are_marked():
    found = difference("The sky is blue and wide today.", "The sky is grey and wide today.")
    assert (marked(found.left), marked(found.right)) == (["blue"], ["grey"])


def test_what_is_alike_is_not_marked_and_blanks_alone_are_no_difference():
    assert difference("one two\nthree", "one  two three").is_none


def test_a_word_that_both_have_by_chance_between_changes_stays_marked():
    found = difference("Paris was founded by the Parisii tribe.", "Berlin grew out of the trading towns.")
    assert not any("the" in piece.text.split() for piece in (*found.left, *found.right) if not piece.is_marked)


def test_signs_of_a_script_without_blanks_are_compared_one_by_one():
    assert marked(difference("今日は雨です", "今日は雪です").right) == ["雪"]


@given(st.text(max_size=200), st.text(max_size=200))
def test_both_texts_stay_whole(left, right):
    found = difference(left, right)
    assert ("".join(p.text for p in found.left), "".join(p.text for p in found.right)) == (left, right)


@given(st.text(max_size=200))
def test_a_text_does_not_differ_from_itself(text):
    assert difference(text, text).is_none


@pytest.mark.parametrize("piece", ["a ", "a b ", "a b c d e f g h ", "ab", ". ", "\n", "漢"])
def test_texts_that_are_meant_to_keep_it_busy_do_not(piece):
    text = (piece * 50_000)[:50_000]
    began = time.thread_time()
    difference(text, text[::-1] + "b a")
    difference(text + "x", "y" + text)
    assert time.thread_time() - began < 1


def test_a_comparison_that_was_cut_short_says_so():
    assert not difference("a b " * 10_000, "b a " * 10_000).is_whole
    assert difference("a b", "b a").is_whole


# Whose


@pytest.fixture
def held(campaign, ada) -> Assignment:
    return lease_next(campaign, rater=ada)


def address(assignment: Assignment, *, slug: str = "") -> str:
    return reverse("rank_compare", args=[slug or assignment.task.campaign.slug, assignment.pk])


def test_a_rater_compares_two_texts_of_her_task(held, ada):
    answer = client_of(ada).get(address(held), {"left": "a", "right": "c"}, headers=HTMX)
    page = answer.content.decode()
    assert "<html" not in page
    for letter in "ac":
        text = Completion.objects.get(pk=held.letters()[letter]).text
        assert text.split()[1] in page
    assert page.count("<mark>") == 3  # the legend's, and one a side


def test_without_a_script_it_is_a_page(held, ada):
    assert "<html" in client_of(ada).get(address(held)).content.decode()


def test_nothing_says_who_wrote_what(held, ada):
    page = client_of(ada).get(address(held)).content.decode()
    assert "secret-model" not in page
    for completion in Completion.objects.all():
        assert str(completion.pk) not in page


def test_another_raters_task_is_not_there(held):
    bea = a_person("beatrice")
    assert client_of(bea).get(address(held)).status_code == 404


def test_another_rater_of_the_same_campaign_does_not_see_it_either(held, bea):
    lease_next(held.task.campaign, rater=bea)
    assert client_of(bea).get(address(held)).status_code == 404


def test_under_another_campaigns_name_it_is_not_there(held, ada):
    other = a_campaign(raters=[ada], name="Other")
    assert client_of(ada).get(address(held, slug=other.slug)).status_code == 404


def test_a_task_that_was_ranked_or_ran_out_can_still_be_compared(held, ada, campaign):
    run_out(held)
    assert client_of(ada).get(address(held)).status_code == 200
    submit_ranking(held, rater=ada, submission=a_submission())
    assert Assignment.objects.get(pk=held.pk).state == AssignmentState.DONE
    assert client_of(ada).get(address(held)).status_code == 200


def test_a_task_that_was_given_back_is_not_hers_any_more(held, ada):
    skip(held, rater=ada, reason="x")
    assert client_of(ada).get(address(held)).status_code == 404


@pytest.mark.parametrize("pair", [("a", "a"), ("a", "d"), ("", "b"), ("a", "ab"), ("A", "b"), ("<b>", "a")])
def test_other_letters_are_not_there(held, ada, pair):
    answer = client_of(ada).get(address(held), {"left": pair[0], "right": pair[1]}, headers=HTMX)
    assert answer.status_code == 404


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.add(tag)


def test_hostile_texts_are_words_there_too(ada):
    campaign = a_campaign(raters=[ada], num_prompts=1, k=2)
    campaign.tasks.all().delete()
    prompt = campaign.prompts.get()
    prompt.completions.all().delete()
    for text in ("<script>steal()</script> <img src=x onerror=steal()>", "</mark></p><script>steal()</script>"):
        Completion.objects.create(prompt=prompt, text=text)
    make_tasks(campaign)
    page = client_of(ada).get(address(lease_next(campaign, rater=ada)), headers=HTMX).content.decode()
    reader = Reader()
    reader.feed(page)
    assert not reader.tags & {"script", "img"}
    assert "&lt;" in page


def test_it_takes_few_queries(held, ada, django_assert_max_num_queries):
    browser = client_of(ada)
    with django_assert_max_num_queries(8):
        browser.get(address(held), headers=HTMX)
