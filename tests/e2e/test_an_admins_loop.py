"""From prompts to a promoted policy, click by click: a real browser, a real server, a real worker, a real (tiny) model."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from registry.services.schemas import conversation_sha256, split_of
from tests.web_server import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.slow(seconds=60)]

RUN_MS = 240_000  # for all runs of a round; a tenth of it on quiet cores


@pytest.fixture
def worker(server) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**server.environment, "STEADYHAND_TRAINING_THREADS": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "manage.py", "work"], env=environment, cwd=ROOT)
    yield process
    process.terminate()
    process.wait(60)


def prompts(*, train: int, test: int) -> list[str]:
    """So many that campaigns train on, and so many that they hold out by their content."""
    texts = [f"What is {number}?" for number in range(200)]
    splits = [split_of(conversation_sha256([{"role": "user", "content": text}])) for text in texts]

    def first(split: str, count: int) -> list[str]:
        return [text for text, its in zip(texts, splits, strict=True) if its == split][:count]

    return first("train", train) + first("test", test)


def file_of(folder: Path, *lines: str) -> Path:
    path = folder / "prompts.jsonl"
    path.write_text("\n".join(lines))
    return path


def confirm(page: Page, verb: str) -> None:
    page.locator("#ask").get_by_role("button", name=verb).click()


def test_an_admin_goes_from_prompts_to_a_promoted_policy(opened, stage, server, worker, complaints, tmp_path):
    stage("tiny_writer")
    page = opened("grace", "/campaigns/new/")

    # a campaign
    page.get_by_label("Name").fill("Tiny talk")
    page.get_by_label("Completions a prompt (K)").fill("3")
    page.get_by_label("Raters a task").fill("1")
    page.get_by_label("ada (rater)").check()
    page.get_by_label("Guideline").fill("# Prefer\n\nshort replies")
    page.get_by_role("button", name="Create campaign").click()
    expect(page.get_by_role("heading", name="Tiny talk")).to_be_visible()

    # its prompts: a bad file first, then a good one
    lines = [json.dumps({"prompt": text}) for text in prompts(train=14, test=2)]
    page.locator("#id_file").set_input_files(file_of(tmp_path, *lines[:3], "{oops"))
    page.get_by_role("button", name="Check file").click()
    expect(page.get_by_role("row", name="4 This is not JSON.")).to_be_visible()
    page.get_by_role("button", name="Let it go").click()
    page.locator("#id_file").set_input_files(file_of(tmp_path, *lines))
    page.get_by_role("button", name="Check file").click()
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("is imported: 16 prompts.")).to_be_visible()

    # completions by a model, which become tasks while the page is open
    page.get_by_label("Model").select_option("tiny-writer")
    page.get_by_label("Tokens at most").fill("16")
    page.get_by_role("button", name="Write completions").click()
    expect(page.get_by_text("0 of 16 rankings")).to_be_visible(timeout=RUN_MS)
    page.get_by_role("button", name="Open to raters").click()
    expect(page.get_by_text("Tiny talk is open")).to_be_visible()

    # rankings by programs, marked as such, come in while the page is open
    server.manage("simulate_raters", "--campaign", "tiny-talk", "--raters", "1", "--url", server.url)
    expect(page.get_by_text("16 of 16 rankings")).to_be_visible(timeout=35_000)
    page.reload()
    expect(page.locator(".simulated").first).to_be_visible()
    page.get_by_role("button", name="Freeze snapshot").click()
    expect(page.get_by_text("tiny-talk-1 is frozen")).to_be_visible()

    # a round on them
    page.get_by_role("link", name="Start round").click()
    page.get_by_label("Start from").select_option(label="tiny-writer (SFT model)")
    page.get_by_label("Size").select_option("tiny")
    page.get_by_role("button", name="Start round").click()
    expect(page.get_by_text("All runs are done: promote a policy, or decline")).to_be_visible(timeout=RUN_MS)
    expect(page.get_by_text("Difference, 95 %")).to_have_count(2)
    page.get_by_role("button", name="Promote to sft/current").first.click()
    confirm(page, "Promote to sft/current")
    expect(page.get_by_text("was promoted")).to_be_visible()

    # where the promoted policy comes from: back to the campaign
    page.locator("aside").get_by_role("link", name=re.compile("^tiny-talk-r1-")).click()
    page.get_by_role("link", name="Open the whole picture").click()
    picture = page.locator(".picture")
    for name in ("tiny-writer", "tiny-talk-1", "Tiny talk"):
        expect(picture.locator("text", has_text=name).first).to_be_visible()

    # and the data away with it
    page.get_by_text("In words").click()
    page.get_by_role("link", name="tiny-talk-1", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("link", name="TRL preference, JSON lines").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        (train,) = [name for name in archive.namelist() if name.endswith(".jsonl") and "train" in name]
        rows = [json.loads(line) for line in archive.read(train).splitlines()]
    assert len(rows) > 14  # up to three comparisons a ranking
    assert {row["simulated"] for row in rows} == {True}
    assert {message["role"] for row in rows for message in row["chosen"]} == {"assistant"}
    assert [said for said in complaints if "400" not in said] == []
