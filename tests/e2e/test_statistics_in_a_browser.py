"""A campaign's statistics, raters and costs as an admin sees them: plots drawn, tables behind them, readable to everybody."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAGES = ("statistics", "rater-figures", "costs")


@pytest.fixture(scope="module", autouse=True)
def rankings_to_count(stage):
    stage("counted")


def test_plots_are_drawn_and_their_tables_are_one_click_away(opened, complaints):
    page = opened("grace", "/campaigns/counted/statistics/")
    expect(page.locator("#agreement-by-day canvas")).to_be_visible()
    page.locator("#agreement-by-day summary").click()
    expect(page.locator("#agreement-by-day table tbody tr")).to_have_count(2)
    expect(page.locator("#answers-by-hour canvas")).to_be_visible()
    expect(page.locator("#wall svg g")).to_have_count(12)
    dots = page.locator("#models .dot-plot .point")
    expect(dots).to_have_count(4)
    assert dots.first.bounding_box()["width"] == pytest.approx(10, abs=3)
    assert page.locator("#models .dot-plot .extent").first.bounding_box()["width"] > 4
    assert complaints == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_the_pages_are_readable_to_everybody_and_fit(opened, complaints, width, scheme):
    for name in PAGES:
        page = opened(
            "grace", f"/campaigns/counted/{name}/", viewport={"width": width, "height": 800}, color_scheme=scheme
        )
        expect(page.locator("h1")).to_contain_text("Counted")
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert complaints == []


def test_a_price_is_set_and_a_spent_budget_is_told(opened):
    page = opened("grace", "/campaigns/counted/costs/")
    expect(page.locator(".notice[data-tone=warn]")).to_contain_text("0.10 EUR of the budget is left")
    page.fill("#id_budget", "20")
    page.click("main form button")
    expect(page.locator(".notice[data-tone=warn]")).to_have_count(0)
    expect(page.locator("main .stats")).to_contain_text("11.00 left")
