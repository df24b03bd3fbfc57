"""Texts as a rater meets them in a real browser: side by side by keys and by hand, unfolded, with formulas and links."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from annotation.rendering import as_html
from tests.annotation.markup import ATTACKS
from tests.annotation.test_rendering import HOSTILE

pytestmark = [pytest.mark.browser, pytest.mark.slow]

RANK = "/rank/written/"


@pytest.fixture(scope="module", autouse=True)
def texts_to_rank(stage):
    stage("written")


def shown(page: Page):
    return page.locator("#compare h3")


def at_work(opened, name: str, **options) -> Page:
    page = opened(name, RANK, **options)
    expect(page.locator("#rail > .tray")).to_be_visible()
    return page


def test_two_texts_are_opened_side_by_side_by_keys_and_closed_by_escape(opened, complaints):
    page = at_work(opened, "ada")
    for key in "va":
        page.keyboard.press(key)
    expect(page.locator("#order-error")).to_have_text("A beside which text? Press its letter.")
    page.keyboard.press("b")
    expect(page.locator("#compare")).to_be_visible()
    expect(shown(page)).to_have_text(["Text A", "Text B"])
    page.keyboard.press("c")
    expect(shown(page)).to_have_text(["Text A", "Text C"])
    expect(page.locator("#compare mark").nth(1)).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#compare")).to_be_hidden()
    expect(page.locator("#order-error")).to_be_empty()
    expect(page.locator("#order")).to_have_value("")  # letters pressed in the panel ranked nothing
    page.keyboard.press("c")  # in hand: it is the first of the two
    for key in "va":
        page.keyboard.press(key)
    expect(shown(page)).to_have_text(["Text C", "Text A"])
    assert complaints == []


def test_two_texts_are_opened_and_changed_by_hand(opened, complaints):
    page = at_work(opened, "ada")
    page.locator("#text-b").get_by_role("button", name="Compare").click()
    expect(shown(page)).to_have_text(["Text B", "Text C"])
    page.get_by_label("beside text").select_option("a")
    expect(shown(page)).to_have_text(["Text B", "Text A"])
    page.get_by_role("button", name="Close").click()
    expect(page.locator("#compare")).to_be_hidden()
    assert complaints == []


def test_what_was_unfolded_stays_so_after_a_reload(opened):
    page = at_work(opened, "bea")
    folded = page.locator(".words.folded")
    expect(page.get_by_role("button", name="Show all").first).to_be_visible()
    page.keyboard.press("o")
    expect(folded).to_have_count(0)
    page.locator("#reason").fill("so far")
    expect(page.locator("#saving")).to_have_text(re.compile("^saved"), timeout=5_000)
    expect(folded).to_have_count(0)
    page.reload()
    expect(page.get_by_role("button", name="Show less").first).to_be_visible()
    expect(folded).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_texts_and_panel_are_accessible_and_fit(opened, complaints, width, scheme):
    page = at_work(opened, "ada", viewport={"width": width, "height": 740}, color_scheme=scheme)
    page.keyboard.press("o")
    assert complaints_of(page) == []
    for key in "vab":
        page.keyboard.press(key)
    expect(shown(page)).to_have_count(2)
    assert complaints_of(page) == []
    tops = [heading.bounding_box()["y"] for heading in shown(page).all()]
    assert (tops[0] == tops[1]) == (width == 1280)  # columns, or one under the other
    page.keyboard.press("Escape")
    page.goto(page.locator("a.address").first.get_attribute("href"))
    assert complaints_of(page) == []
    assert complaints == []


def complaints_of(page: Page) -> list[tuple[str, str]]:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    found = Axe().run(page).response["violations"]
    return [(fault["id"], fault["nodes"][0]["html"]) for fault in found]


def test_no_attack_runs_in_a_browser_even_where_no_policy_forbids_it(browser):
    """The rendered texts in a page without any Content-Security-Policy, parsed, and then moved as markup once more."""
    page = browser.new_page()
    asked: list[str] = []
    page.route("**/*", lambda route: (asked.append(route.request.url), route.abort()))
    page.set_content("<script>window.count = 0; window.stolen = () => { window.count += 1; };</script><main></main>")
    for text in [*HOSTILE, "\n\n".join(ATTACKS)]:
        page.set_content(
            f"<script>window.count = 0; stolen = () => {{ count += 1; }};</script><main>{as_html(text)}</main>"
        )
        page.evaluate(
            "() => { const main = document.querySelector('main'); for (let i = 0; i < 3; i++) main.innerHTML = main.innerHTML; }"
        )
        page.wait_for_timeout(20)
        assert page.evaluate("window.count") == 0, text
        assert (
            page.evaluate("document.querySelectorAll('main :is(script, img, style, iframe, svg, form)').length") == 0
        ), text
    assert asked == []
    page.close()
