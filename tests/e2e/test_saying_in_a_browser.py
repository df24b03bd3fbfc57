"""What a rater says beside an order, in a real browser: one left out, ratings, a better version, that there is no order."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

RANK = "/rank/rated/"
SUBMIT = "Control+Enter"


@pytest.fixture(scope="module", autouse=True)
def texts_to_rank(stage):
    stage("rated")


def assignment(page: Page) -> str:
    return page.locator("#judgement [name=assignment]").input_value()


def await_next(page: Page, *, after: str) -> None:
    expect(page.locator("#judgement [name=assignment]")).not_to_have_value(after)
    expect(page.locator("#rail > .tray").first).to_be_visible()
    expect(page.locator("#sent")).to_have_text(re.compile("^(sent)?$"), timeout=15_000)  # nothing is on its way


def rate(page: Page, letter: str, level: int) -> None:
    page.locator(f"#text-{letter} .scale").first.locator("label", has_text=str(level)).click()


def test_a_rater_leaves_one_out_rates_and_betters_a_text(opened, complaints):
    page = opened("ada", RANK)
    first = assignment(page)
    for key in "b>a":
        page.keyboard.press(key)
    page.keyboard.press("c")
    page.keyboard.press("0")
    expect(page.locator("#order")).to_have_value("b > a, not c")
    expect(page.locator("#rail > .out button")).to_have_text(["C"])
    rate(page, "a", 2)
    rate(page, "b", 4)
    page.keyboard.press("b")
    page.keyboard.press("e")
    expect(page.locator("#edit-b")).to_be_focused()
    page.locator("#edit-b").fill(page.locator("#edit-b").input_value() + " And here is why.")
    expect(page.locator("#text-b .change ins")).to_have_text(". And here is why")
    expect(page.locator("#saving")).to_have_text(re.compile("^saved"), timeout=3_000)

    page.reload()
    expect(page.locator("#order")).to_have_value("b > a, not c")
    expect(page.locator("#edit-b")).to_have_value(re.compile("And here is why"))
    expect(page.locator("#text-b .change ins")).to_have_text(". And here is why")
    expect(page.locator("#text-b .scale").first.locator("input:checked")).to_have_value("4")

    page.locator("h2#texts").click()
    page.keyboard.press(SUBMIT)
    expect(page.locator("#order-error")).to_have_text("Not ranked: D. Submit once more to leave it out of the order.")
    assert assignment(page) == first
    page.keyboard.press(SUBMIT)
    await_next(page, after=first)

    page.goto("/my-work/")
    row = page.locator("tbody tr").first
    expect(row).to_contain_text("b > a, not c d")
    expect(row).to_contain_text("bettered B")
    row.get_by_role("link", name="Correct").click()
    expect(page.locator("#edit-b")).to_have_value(re.compile("And here is why"))
    page.locator("#edit-b").fill("")
    page.locator("#submit").click()
    expect(page).to_have_url(re.compile("/my-work/"))
    expect(page.locator("tbody tr").first).not_to_contain_text("bettered")
    assert complaints == []


def test_a_missing_rating_is_asked_for_and_nothing_is_lost(opened):
    page = opened("bea", RANK)
    first = assignment(page)
    page.locator("#order").fill("a > b = c = d")
    for letter in "abc":
        rate(page, letter, 3)
    page.locator("#submit").click()
    expect(page.locator("#order-error")).to_have_text("Rate text D on helpful: this campaign asks for it.")
    rate(page, "d", 1)
    page.locator("#submit").click()
    await_next(page, after=first)


def test_that_it_cannot_be_ranked_is_submitted_with_its_reason(opened):
    page = opened("cleo", RANK)
    first = assignment(page)
    page.keyboard.press("n")
    expect(page.locator("#cannot_rank")).to_be_focused()
    page.locator("#cannot_rank").select_option("other")
    page.locator("#reason").fill("Two tasks in one.")
    page.locator("#submit").click()
    await_next(page, after=first)
    page.goto("/my-work/")
    expect(page.locator("tbody tr").first).to_contain_text("cannot be ranked: another reason")
