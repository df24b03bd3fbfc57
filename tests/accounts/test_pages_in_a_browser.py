"""Pages as a browser shows them: nothing refused by the policy, readable to everybody, live, in both themes, on a phone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.accounts.people import PASSWORD
from tests.web_server import WebServer, web_server

pytestmark = [pytest.mark.browser, pytest.mark.slow]

A_CHART = """async () => {
  const figure = document.createElement("figure");
  figure.className = "chart";
  figure.id = "tried";
  figure.dataset.chart = "";
  for (const name of ["chart-plot", "chart-values", "more"])
    figure.append(Object.assign(document.createElement("div"), { className: name }));
  figure.lastElementChild.append(Object.assign(document.createElement("div"), { className: "table-wrap" }));
  document.querySelector("main").append(figure);
  const { draw } = await import("/static/js/charts.js");
  window.draw = (values) => draw(figure, {
    x: { label: "step", values: values.map((_, at) => at) },
    y: { label: "loss" },
    series: [{
      label: "held out", role: "main", values, low: values.map((v) => v - 0.1), high: values.map((v) => v + 0.1),
    }],
    references: [{ y: 0.5, label: "ceiling" }],
  });
  window.draw([3, 2, 1]);
}"""

PAGES = ["/", "/people/", "/tokens/", "/audit/", "/password/", "/nothing-here/"]


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[WebServer]:
    with web_server(tmp_path_factory.mktemp("home")) as web:
        yield web


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if not chromium:
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser's console said: a refusal by the policy stands here."""
    return []


def opened(
    browser: Browser, server: WebServer, complaints: list[str], *, width: int = 1280, scheme: str = "light"
) -> Page:
    page = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, base_url=server.url
    ).new_page()
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto("/login/")
    page.fill("#id_username", "grace")
    page.fill("#id_password", PASSWORD)
    page.click("main button")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_every_page_is_accessible_fits_and_obeys_the_policy(browser, server, complaints, width, scheme):
    page = opened(browser, server, complaints, width=width, scheme=scheme)
    for path in PAGES:
        page.goto(path)
        found = Axe().run(page).response["violations"]
        assert [(path, fault["id"], fault["nodes"][0]["html"]) for fault in found] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    assert [said for said in complaints if "404" not in said] == []


def test_the_door_is_accessible_too(browser, server, complaints):
    page = browser.new_page(base_url=server.url)
    page.goto("/login/")
    assert Axe().run(page).response["violations"] == []


def test_pages_work_by_keys_alone(browser, server, complaints):
    page = opened(browser, server, complaints)
    page.goto("/people/")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Go to the content")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.locator("summary.btn").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Change password")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_text("Change password")).to_be_hidden()


def test_a_theme_once_chosen_stays(browser, server, complaints):
    page = opened(browser, server, complaints)
    page.click("summary.btn")
    page.click("[data-set-theme=dark]")
    page.goto("/people/")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 23, 26)"


def test_a_deed_that_hurts_asks_first(browser, server, complaints):
    page = opened(browser, server, complaints)
    page.goto("/tokens/")
    page.fill("#id_name", "nightly export")
    page.click("text=Create token")
    page.click("main form >> text=Revoke")
    page.click("#ask >> text=Cancel")
    page.reload() if page.url.endswith("/revoke/") else page.goto("/tokens/")
    expect(page.get_by_role("rowheader", name="nightly export")).to_be_visible()
    page.click("main form >> text=Revoke")
    page.click("#ask [value=yes]")
    expect(page.locator("#toasts")).to_contain_text("nightly export is revoked")
    expect(page.get_by_role("rowheader", name="nightly export")).to_have_count(0)


def test_a_part_of_a_page_fetches_itself_anew_when_another_process_hints(browser, server, complaints):
    page = opened(browser, server, complaints)
    with page.expect_websocket() as socket:
        page.goto("/runs/")
    assert "/ws/hints/?topics=" in socket.value.url
    page.wait_for_timeout(500)  # until the server has joined it to its group
    with page.expect_request(lambda request: request.headers.get("hx-request") == "true", timeout=10_000):
        server.manage("shell", "-v0", "-c", "from accounts.hints import messenger; messenger.take('runs')")
    assert complaints == []


def test_an_error_within_a_page_lands_in_the_corner(browser, server, complaints):
    page = opened(browser, server, complaints)
    page.goto("/audit/")
    page.context.clear_cookies()
    page.click("text=Check the chain")
    expect(page.locator("#toasts")).to_contain_text("Log in again")


def test_a_chart_shows_its_values_its_table_and_no_complaint(browser, server, complaints):
    page = opened(browser, server, complaints)
    page.goto("/people/")
    page.evaluate(A_CHART)
    expect(page.locator("#tried .chart-values")).to_have_text("step 2held out 1 (0.9 to 1.1)")
    expect(page.locator("#tried tbody tr")).to_have_count(3)
    page.evaluate("window.draw([3, 2, 1, 0.75])")
    expect(page.locator("#tried .chart-values")).to_have_text("step 3held out 0.75 (0.65 to 0.85)")
    assert page.locator("#tried canvas").count() == 1
    assert complaints == []
