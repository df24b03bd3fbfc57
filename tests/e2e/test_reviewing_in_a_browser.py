"""Reviewing, taking a test, being paused and appealing, in a real browser; axe finds nothing on any of these pages."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SUBMIT = "Control+Enter"
SIZES = ({"width": 1280, "height": 800}, {"width": 360, "height": 740})


@pytest.fixture(scope="module", autouse=True)
def people_at_odds(stage):
    stage("disputed", "tested")


def assert_accessible(page: Page) -> None:
    found = Axe().run(page).response["violations"]
    told = [(one["id"], [node["target"] for node in one["nodes"]][:3]) for one in found]
    assert told == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def rank(page: Page, line: str) -> None:
    box = page.locator("#judgement [name=assignment]")
    before = box.input_value()
    page.locator("#order").fill(line)
    page.keyboard.press(SUBMIT)
    page.wait_for_function(
        "before => document.querySelector('#judgement [name=assignment]')?.value !== before", arg=before
    )


def line_by_text(page: Page) -> str:
    """The order that the texts say themselves: "Answer 0 ..." is the best."""
    page.locator("#task .text").first.wait_for()  # the next task may still be on its way
    found = page.locator("#task .text").evaluate_all(
        "texts => texts.map(text => [text.querySelector('.words').innerText, text.dataset.letter])"
    )
    return " > ".join(letter for _, letter in sorted(found))


@pytest.mark.parametrize(("size", "scheme"), [(SIZES[0], "light"), (SIZES[1], "dark")], ids=["wide", "phone"])
def test_the_pages_of_reviewers_and_admins_are_accessible(opened, size, scheme):
    page = opened("rex", "/review/", viewport=size, color_scheme=scheme)
    assert_accessible(page)
    page.locator(".disputes h3 a").first.click()
    expect(page.locator("#settle")).to_be_visible()
    page.locator("#gold summary").click()
    page.locator(".said summary").first.click()
    assert_accessible(page)
    admin = opened("grace", "/campaigns/disputed/quality/", viewport=size, color_scheme=scheme)
    assert_accessible(admin)


def test_a_reviewer_settles_the_worst_disagreement_and_returns_a_ranking(opened, complaints):
    page = opened("rex", "/review/?campaign=disputed")
    first = page.locator(".disputes > li").first
    expect(first).to_contain_text("0 % of the pairs alike, 2 rankings")
    asked = first.locator("h3").inner_text()
    first.locator("h3 a").click()
    expect(page.locator(".said")).to_have_count(2)
    page.locator(".said").first.get_by_role("link", name="Start from this").click()
    expect(page.locator("#settle-order")).to_have_value(re.compile("^[a-d]( > [a-d]){3}$"))
    page.locator(".said", has_text="bea").locator("summary").click()
    page.locator(".said", has_text="bea").locator("textarea").fill("Is this the wrong way round?")
    page.get_by_role("button", name="Send, and return it to be corrected").last.click()
    expect(page.locator(".said", has_text="bea")).to_contain_text("Is this the wrong way round?")
    page.locator("#settle-order").fill("a > b")
    page.locator("#settle button").click()
    expect(page.locator("#settle-error")).to_have_text(re.compile("Not ranked yet: C, D"))
    page.locator("#settle-order").fill("a > b >> c = d")
    page.locator("#settle-reason").fill("A says it.")
    page.locator("#settle button").click()
    expect(page.locator(".disputes")).not_to_contain_text(asked)

    hers = opened("bea", "/my-work/")
    expect(hers.locator("#returned")).to_contain_text("Is this the wrong way round?")
    assert_accessible(hers)
    hers.locator("#returned").get_by_role("link").click()
    hers.locator("#order").fill("a > b > c > d")
    hers.locator("#submit").click()
    expect(hers).to_have_url(re.compile("/my-work/$"))
    expect(hers.locator("#returned")).to_have_count(0)
    assert [one for one in complaints if "status of 400" not in one] == []


def test_a_rater_takes_the_test_and_reads_each_task_explained(opened, complaints):
    page = opened("cleo", "/rank/tested/")
    expect(page.locator(".of-test")).to_contain_text("Qualification test, task 1 of 4")
    assert_accessible(page)
    for _ in range(4):
        rank(page, line_by_text(page))
    expect(page.locator(".of-test")).to_contain_text("You passed the test")
    page.get_by_role("link", name="See each task explained.").click()
    expect(page.locator(".explained")).to_have_count(4)
    expect(page.locator(".explained").first).to_contain_text("100 % as expected")
    page.locator(".explained summary").first.click()
    expect(page.locator(".explained .judged").first).to_be_visible()
    assert_accessible(page)
    assert complaints == []


def test_a_rater_who_fails_is_told_and_an_admin_sees_it(opened):
    page = opened("dan", "/rank/tested/")
    for _ in range(4):
        rank(page, " > ".join(reversed(line_by_text(page).split(" > "))))
    expect(page.locator("#task")).to_contain_text("You did not pass the test of this campaign")
    assert_accessible(page)
    page.get_by_role("link", name="See the tasks explained").click()
    expect(page.locator(".explained").first).to_contain_text("0 % as expected")
    admin = opened("grace", "/campaigns/tested/quality/")
    expect(admin.locator("tr", has_text="dan")).to_contain_text("Did not pass the test")
    assert_accessible(admin)


def test_a_paused_rater_appeals_and_a_reviewer_lets_her_go_on(opened):
    admin = opened("grace", "/campaigns/disputed/quality/")
    row = admin.locator("tr", has_text="eve")
    row.get_by_role("button", name="Pause eve").click()
    row.locator("textarea").fill("Twelve rankings in a minute.")
    assert_accessible(admin)
    row.locator("dialog").get_by_role("button", name="Pause eve").click()
    expect(admin.locator("tr", has_text="eve")).to_contain_text("Twelve rankings in a minute.")

    hers = opened("eve", "/rank/disputed/")
    expect(hers.locator("#task")).to_contain_text("You are paused in this campaign")
    hers.get_by_role("link", name="See my work").click()
    expect(hers.locator("main")).to_contain_text("Twelve rankings in a minute.")
    assert_accessible(hers)
    hers.get_by_label("Your appeal").fill("I knew these texts from before.")
    hers.get_by_role("button", name="Appeal").click()
    expect(hers.locator("main")).to_contain_text("A reviewer has not answered yet.")

    page = opened("rex", "/review/")
    expect(page.locator(".appeal")).to_contain_text("I knew these texts from before.")
    assert_accessible(page)
    page.get_by_role("button", name="Let eve go on").click()
    expect(page.locator(".appeal")).to_have_count(0)
    hers.goto("/rank/disputed/")
    expect(hers.locator("#judgement")).to_be_visible()
