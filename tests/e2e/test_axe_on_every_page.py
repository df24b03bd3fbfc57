"""Every page of the product, wide and as on a phone, light and dark, left to right and right to left: axe finds nothing.

axe is brought to a page once; width and scheme change under it. Of its rules only those about colours depend on the scheme,
so what is dark is asked about colours alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from django.urls import Resolver404, resolve
from playwright.sync_api import Browser, Page

from tests.security.walk import addresses
from tests.web_server import ROOT, WebServer, web_server

pytestmark = [pytest.mark.browser, pytest.mark.slow]

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
RUN = """async (rules) => {
  const only = rules ? { runOnly: { type: "rule", values: rules } } : {};
  const found = await axe.run(document, { resultTypes: ["violations"], preload: false, iframes: false, ...only });
  return found.violations.map((one) => `${one.id}: ${one.nodes[0].target} ${one.nodes[0].html.slice(0, 160)}`);
}"""
COLOURS = ["color-contrast", "link-in-text-block"]
LOOKS = {  # width, scheme, rules (None: all); a language turns a page round and changes no colour
    "en": ((1280, "light", None), (1280, "dark", COLOURS), (360, "dark", COLOURS), (360, "light", None)),
    "ar": ((1280, "light", None), (360, "dark", None)),
}
# They answer GET with something else than a page of their own: data, a part of a page, a file, the way to another page.
NO_PAGES = {
    "api_schema", "audit_check", "campaign_preview", "choose_language", "constitution_export", "dataset_export",
    "logout", "preflight", "rank_any",
    "run_curves", "run_events", "run_samples", "runs_compare_curves", "words",
}  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    """With nobody in it but `grace`: `tests.e2e.every_page` brings people of its own."""
    with web_server(tmp_path_factory.mktemp("home")) as web:
        yield web


@pytest.fixture(scope="module")
def house(server: WebServer) -> dict[str, Any]:
    """{"pages": {name: [[address, keys], ...]}, "sessions": {name: key}}."""
    environment = {**server.environment, "DJANGO_SETTINGS_MODULE": "config.settings"}
    command = [sys.executable, "-m", "tests.e2e.every_page"]
    told = subprocess.run(command, check=True, env=environment, cwd=ROOT, timeout=60, stdout=subprocess.PIPE)
    return json.loads(told.stdout)


def page_of(browser: Browser, server: WebServer, *, session: str, language: str) -> Page:
    context = browser.new_context(base_url=server.url, locale=language, reduced_motion="reduce")
    if session:
        context.add_cookies([{"name": "sessionid", "value": session, "url": server.url}])
    page = context.new_page()
    page.set_default_timeout(60_000)
    return page


def complaints_about(page: Page, address: str, keys: str, *, language: str) -> list[str]:
    """Of all looks of one page."""
    page.set_viewport_size({"width": 1280, "height": 800})
    page.emulate_media(color_scheme="light")
    page.goto(address, wait_until="load")
    if keys:
        page.locator("#rail > .tray").first.wait_for()  # the script has taken the desk up
    for key in keys:
        page.keyboard.press(key)
    page.evaluate(AXE)
    told = []
    for width, scheme, rules in LOOKS[language]:
        if page.viewport_size["width"] != width:
            page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        told += [f"{address} {keys} {width} {scheme}: {one}" for one in page.evaluate(RUN, rules)]
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            told.append(f"{address} {keys} {width}: wider than the screen")
    return told


@pytest.mark.parametrize("language", ["en", "ar"])
def test_axe_finds_nothing_on_any_page(browser, server, house, language):
    told = []
    for name, pages in house["pages"].items():
        page = page_of(browser, server, session=house["sessions"].get(name, ""), language=language)
        for address, keys in pages:
            told += complaints_about(page, address, keys, language=language)
        assert page.evaluate("document.documentElement.lang") == language
        page.context.close()
    assert told == []


def test_no_page_is_left_out(browser, server, house):
    """Whatever is neither opened above nor named in NO_PAGES takes POST alone."""
    opened = set()
    for address, _ in [one for pages in house["pages"].values() for one in pages]:
        try:
            opened.add(resolve(address.partition("?")[0]).url_name)
        except Resolver404:
            assert address == "/nothing-here/"
    people = [page_of(browser, server, session=house["sessions"][name], language="en") for name in ("grace", "bea")]
    for address in addresses():
        name = resolve(address.path).url_name
        if not address.is_api and not address.route.startswith("/api/v1/") and name not in opened | NO_PAGES:
            answers = {person.context.request.get(address.path).status for person in people}
            assert 405 in answers, f"{address.route} is a page: open it above"
    for person in people:
        person.context.close()
    assert not opened & NO_PAGES
