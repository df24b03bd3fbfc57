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


def test_a_card_of_a_draft_is_tried_while_it_is_written_and_the_trial_is_there_after_a_reload(
    opened, stage, worker, complaints
):
    stage("harmful_writer")
    page = opened("grace", "/constitutions/import/")
    page.set_input_files("#id_file", NARROW)
    page.click("main button")
    page.get_by_role("link", name="Edit", exact=True).click()
    page.locator("#p-1-critique").fill("Is it said in these words?")
    card = page.locator("#p-1")
    card.locator("summary", has_text="Try it").click()
    page.locator("#p-1-try").fill(ASKED)
    card.get_by_role("button", name="Try it").click()
    expect(card.get_by_role("heading", name="Answer")).to_be_visible(timeout=RUN_MS)
    page.locator("#p-1-revision").fill("Typed meanwhile.")  # the form goes on being one while parts come
    expect(card.locator(".pill")).to_have_text("Succeeded", timeout=RUN_MS)
    expect(card.get_by_role("heading", name="Critique")).to_be_visible()
    expect(page.locator("#p-1-revision")).to_have_value("Typed meanwhile.")
    expect(page.locator("#saving")).to_have_text("Not saved yet.")

    with page.expect_popup() as popup:
        card.get_by_role("link", name=re.compile("in a new tab")).click()
    trial = popup.value
    expect(trial.locator("h1")).to_contain_text("Try")  # a page that has not come yet can't be loaded again
    trial.reload()
    expect(trial.locator("#trial .written").nth(1)).to_contain_text("Spy on them.")
    expect(trial.get_by_text("It was tried in other words than it has now")).to_be_visible()
    expect(trial.get_by_text("Is it said in these words?")).to_be_visible()
    expect(trial.locator("aside").get_by_role("link", name=ASKED)).to_be_visible()
    assert complaints == []
