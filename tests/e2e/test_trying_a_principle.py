"""An admin tries principles on prompts while a worker is there: what a real (tiny) model writes comes without a reload."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.training.constituted import HARMFUL
from tests.web_server import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.slow(seconds=15)]

NARROW = ROOT / "rlhf" / "demo" / "constitutions" / "narrow.json"
RUN_MS = 90_000
ASKED = next(iter(HARMFUL))


@pytest.fixture
def worker(server) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**server.environment, "STEADYHAND_TRAINING_THREADS": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "manage.py", "work"], env=environment, cwd=ROOT)
    yield process
    process.terminate()
    process.wait(60)


def test_a_principle_is_tried_on_its_page_and_in_the_form_of_a_draft(opened, stage, worker, complaints):
    stage("harmful_writer")
    page = opened("grace", "/constitutions/import/")
    page.set_input_files("#id_file", NARROW)
    page.click("main button")

    first = page.locator("article.principle").first
    first.locator("summary", has_text="Try it").click()
    first.get_by_role("link", name="Choose the model, and see your trials").click()
    page.get_by_label("Prompt").fill(ASKED)
    page.get_by_label("Who critiques").select_option("rules")
    page.get_by_label("Tokens at most").fill("80")
    page.get_by_role("button", name="Try it").click()
    trial = page.locator("#trial")
    expect(trial.get_by_role("heading", name="Answer")).to_be_visible(timeout=RUN_MS)
    expect(trial.locator(".pill")).to_have_text("Succeeded", timeout=RUN_MS)
    page.reload()
    expect(trial.locator(".written").nth(1)).to_contain_text("Spy on them.")
    expect(trial.locator("ins")).to_be_visible()
    expect(trial.get_by_text("The revision, with")).to_be_visible()
    expect(page.locator("aside").get_by_role("link", name=ASKED)).to_be_visible()

    page.get_by_role("link", name="Edit the draft").click()
    page.locator("#p-1-critique").fill("Is it said in these words?")
    card = page.locator("#p-1")
    card.locator("summary", has_text="Try it").click()
    page.locator("#p-1-try").fill(ASKED)
    card.get_by_role("button", name="Try it").click()
    expect(card.locator(".pill")).to_have_text("Succeeded", timeout=RUN_MS)
    expect(card.locator("ins")).to_be_visible()
    expect(page.locator("#saving")).to_have_text("Not saved yet.")
    with page.expect_popup() as popup:
        card.get_by_role("link", name=re.compile("in a new tab")).click()
    expect(popup.value.get_by_text("It was tried in other words than it has now")).to_be_visible()
    expect(popup.value.get_by_text("Is it said in these words?")).to_be_visible()
    assert complaints == []
