"""Running a campaign in a real browser: a file comes in, people join by a link, a guideline changes, an admin looks on."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CAMPAIGN = "/campaigns/everyday/"


@pytest.fixture(scope="module", autouse=True)
def campaign(stage):
    stage("everyday")


@pytest.fixture(scope="module")
def link(server) -> list[str]:
    """What the admin was shown, for the tests after hers."""
    return []


def hh_file(folder: Path) -> Path:
    rows = [
        {
            "chosen": f"\n\nHuman: Why {n}?\n\nAssistant: So {n}.",
            "rejected": f"\n\nHuman: Why {n}?\n\nAssistant: No {n}.",
        }
        for n in range(4)
    ]
    torn = {"chosen": "\n\nHuman: Why?\n\nAssistant: So.", "rejected": "\n\nHuman: How?\n\nAssistant: No."}
    path = folder / "harmless.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in [*rows, torn]).encode()))
    return path


def violations(page: Page) -> list[str]:
    return [f"{found['id']}: {found['nodes'][0]['html'][:120]}" for found in Axe().run(page).response["violations"]]


def test_a_file_is_looked_at_and_then_imported(opened, complaints, tmp_path):
    page = opened("grace", CAMPAIGN)
    page.locator("#id_file").set_input_files(hh_file(tmp_path))
    page.get_by_role("button", name="Check file").click()
    expect(page.get_by_text("A dry run: nothing of this is kept yet.")).to_be_visible()
    expect(page.locator("#num-bad")).to_have_text("1")
    expect(page.get_by_role("row", name="5 Chosen and rejected do not answer the same conversation.")).to_be_visible()
    page.get_by_role("button", name="Import", exact=True).click()  # the box beside it is asked for first
    expect(page.get_by_text("A dry run: nothing of this is kept yet.")).to_be_visible()
    page.get_by_label("Leave the 1 bad line out").check()
    page.get_by_role("button", name="Import", exact=True).click()
    expect(
        page.get_by_text("harmless.jsonl.gz is imported: 4 prompts, 8 completions, 4 tasks, 4 rankings.")
    ).to_be_visible()
    page.get_by_role("link", name="All imports").click()
    expect(page.get_by_role("row", name=re.compile("harmless.jsonl.gz Imported"))).to_be_visible()
    assert complaints == []


def test_an_admin_makes_a_link(opened, link):
    page = opened("grace", CAMPAIGN)
    page.get_by_role("link", name="Invite by link").click()
    page.get_by_label("For how many people").fill("1")
    page.get_by_label("For whom").fill("the evening shift")
    page.get_by_role("button", name="Make a link").click()
    link.append(page.locator("#link").text_content() or "")
    assert "/join/" in link[0]
    expect(page.get_by_role("row", name=re.compile("the evening shift Open 0 of 1"))).to_be_visible()


def test_somebody_new_makes_an_account_by_it_and_ranks_at_once(browser, server, link, complaints):
    context = browser.new_context(base_url=server.url, viewport={"width": 360, "height": 740})
    page = context.new_page()
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.goto(link[0])
    expect(page.get_by_role("heading", name="You are invited to rank")).to_be_visible()
    assert violations(page) == []
    page.get_by_label("User name").fill("newcomer")
    page.get_by_label("Password").fill("seven plain violets")
    page.get_by_label("The same once more").fill("seven plain violets")
    page.get_by_role("button", name="Make an account and start").click()
    expect(page.locator("#rail")).to_be_visible()
    expect(page.get_by_text("You are a rater of Everyday.")).to_be_visible()
    expect(page.locator("#guide")).to_have_attribute("open", "")
    expect(page.locator("#pace")).to_contain_text("rankings that this campaign wants")
    context.close()
    assert complaints == []
    again = browser.new_context(base_url=server.url)
    late = again.new_page()
    assert late.goto(link[0]).status == 404
    expect(late.get_by_text("This link is used up, has run out, or was never given.")).to_be_visible()
    again.close()


def test_a_change_of_the_guideline_is_shown_until_it_is_read(opened, complaints):
    rater = opened("ada", "/rank/everyday/")
    expect(rater.locator("#guide .badge")).to_have_text("not read yet")
    rater.get_by_role("button", name="I have read version 1").click()
    expect(rater.get_by_text("Noted: you have read version 1.")).to_be_visible()

    admin = opened("grace", "/campaigns/everyday/guideline/")
    admin.locator("#id_text").fill("Be fair, and *brief*.")
    admin.get_by_role("button", name="Save as a new version").click()
    admin.get_by_text("Add an example").click()
    admin.get_by_label("Prompt").fill("Why is the sky blue?")
    admin.get_by_label("Text A").fill("It is.")
    admin.get_by_label("Text B").fill("Air scatters blue light more than red.")
    admin.get_by_label("Right order").fill("b >> a")
    admin.get_by_label("Why", exact=True).fill("B answers the question.")
    admin.get_by_role("button", name="Add example").click()
    expect(admin.get_by_role("heading", name="Version 3")).to_be_visible()

    for _ in range(2):  # the task that was fetched before the change is ranked under what it came with
        before = rater.locator("#judgement [name=assignment]").input_value()
        letters = rater.locator("#judgement").get_attribute("data-letters") or ""
        rater.locator("#order").fill(" > ".join(letters))
        rater.locator("#submit").click()
        expect(rater.locator("#judgement [name=assignment]")).not_to_have_value(before)
    expect(rater.locator("#guide > summary .badge")).to_have_text("changed since you last read it")
    expect(rater.locator("#guide .change ins").first).to_be_visible()
    expect(rater.locator("#guide .worked .badge")).to_have_text("new")
    assert violations(rater) == []
    rater.get_by_role("button", name="I have read version 3").click()
    expect(rater.get_by_text("Noted: you have read version 3.")).to_be_visible()
    admin.reload()
    expect(admin.get_by_role("row", name=re.compile("^ada 3"))).to_be_visible()
    assert complaints == []


def test_an_admin_sees_the_page_of_a_rater_and_nothing_is_kept(opened, complaints):
    page = opened("grace", CAMPAIGN)
    page.get_by_role("link", name="See it as a rater").click()
    expect(page.locator("#preview")).to_contain_text("Nothing is leased")
    expect(page.locator("#rail > .tray")).to_be_visible()
    first = page.locator("#judgement").get_attribute("action")
    letters = page.locator("#judgement").get_attribute("data-letters") or ""
    for key in ">".join(reversed(letters)):
        page.keyboard.press(key)
    expect(page.locator("#order")).to_have_value(" > ".join(reversed(letters)))
    page.keyboard.press("Escape")
    for key in "vab":
        page.keyboard.press(key)
    expect(page.locator("#compare-panel .sides")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#judgement")).not_to_have_attribute("action", first or "")
    expect(page.locator("#preview")).to_be_visible()
    page.goto(CAMPAIGN)
    expect(page.get_by_role("row", name=re.compile("^grace"))).to_have_count(0)
    assert complaints == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_every_page_is_accessible_and_fits(opened, width, scheme, tmp_path, complaints):
    page = opened("grace", CAMPAIGN, viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.locator("#id_file").set_input_files(hh_file(tmp_path))
    page.get_by_role("button", name="Check file").click()
    expect(page.get_by_text("A dry run: nothing of this is kept yet.")).to_be_visible()
    places = [
        page.url,
        *(CAMPAIGN + part for part in ("", "imports/", "clone/", "invitations/", "guideline/", "preview/")),
    ]
    told = {}
    for place in places:
        page.goto(place)
        wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        if found := [*violations(page), *(["wider than the screen"] if wide else [])]:
            told[place] = found
    assert told == {}
    assert complaints == []


def test_an_admin_names_raters_groups(opened, complaints):
    page = opened("grace", CAMPAIGN)
    page.get_by_text("Limits and groups of raters; take raters out").click()
    field = page.get_by_label(re.compile("^Group of ")).first
    name = field.get_attribute("id")
    field.fill("night shift")
    field.press("Enter")
    expect(page.get_by_text(re.compile("is in the group night shift."))).to_be_visible()
    page.get_by_text("Limits and groups of raters; take raters out").click()
    expect(page.locator(f"#{name}")).to_have_value("night shift")
    assert violations(page) == [] and complaints == []
