"""A server as it is run, and a real browser for each of its people."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, StorageState, sync_playwright

from tests.accounts.people import PASSWORD
from tests.web_server import ROOT, WebServer, environment_of, installed, web_server

Opener = Callable[..., Page]


@pytest.fixture(scope="session")
def peopled(tmp_path_factory) -> Path:
    """A home in which the raters of `stage.RATERS` are; modules get copies."""
    home = tmp_path_factory.mktemp("peopled")
    shutil.copytree(installed().name, home, symlinks=True, dirs_exist_ok=True)
    set_stage(environment_of(home), "people")
    return home


@pytest.fixture(scope="module")
def server(tmp_path_factory, peopled) -> Iterator[WebServer]:
    """`grace` is its admin; everybody's password is PASSWORD."""
    with web_server(tmp_path_factory.mktemp("home"), like=peopled) as web:
        yield web


@pytest.fixture(scope="module")
def stage(server) -> Callable[..., None]:
    """`stage("everyday")` sets that stage in the server's database."""
    return partial(set_stage, server.environment)


def set_stage(environment: dict[str, str], *names: str) -> None:
    command = [sys.executable, "-m", "tests.e2e.stage", *names]
    environment = {**environment, "DJANGO_SETTINGS_MODULE": "config.settings"}
    subprocess.run(command, check=True, env=environment, cwd=ROOT, timeout=60)


@pytest.fixture(scope="module")
def sessions() -> dict[str, StorageState]:
    """Who has logged in already, with her cookies: once a module is enough."""
    return {}


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if not chromium:
        pytest.skip("Chromium is not installed")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield opened
        opened.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browsers' consoles said: errors, and refusals by the policy."""
    return []


@pytest.fixture
def opened(browser, server, stage, sessions, complaints) -> Iterator[Opener]:
    """`opened("ada", "/rank/")` is a page of hers, logged in by the form; options are those of a browser context."""
    contexts = []

    def open_page(name: str, path: str = "/", **options: object) -> Page:
        options = {"viewport": {"width": 1280, "height": 800}, "storage_state": sessions.get(name), **options}
        context = browser.new_context(base_url=server.url, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path)
        if name not in sessions:
            page.fill("#id_username", name)
            page.fill("#id_password", PASSWORD)
            page.click("main button")
            page.wait_for_url(lambda url: "/login/" not in url)  # and until it is loaded, scripts too
            sessions[name] = context.storage_state()
        return page

    yield open_page
    for context in contexts:
        context.close()
