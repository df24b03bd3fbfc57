"""An admin brings a constitution, rewrites it by keys alone, sees what differs, and publishes it, in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.web_server import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.slow]
NARROW = ROOT / "rlhf" / "demo" / "constitutions" / "narrow.json"


def ids(page: Page) -> list[str]:
    return page.locator("#draft input[name$='-id']").evaluate_all("fields => fields.map((one) => one.value)")


def test_a_constitution_from_file_to_its_second_version(opened, complaints):
    page = opened("grace")
    page.goto("/constitutions/import/")
    page.set_input_files("#id_file", NARROW)
    page.click("main button")
    publish(page, "kitchen-helper-v1")
    page.get_by_role("button", name="Begin a new version").click()

    saving = page.locator("#saving")
    expect(saving).to_have_text("All of it is saved.")
    before = ids(page)
    page.locator("#p-2-critique").fill("Is anything in it that must not be eaten?")
    expect(saving).to_have_text("Not saved yet.")
    page.locator("button[value='up:2']").press("Enter")
    expect(page.locator("#p-1-critique")).to_have_value("Is anything in it that must not be eaten?")
    expect(page.locator("button[value='down:1']")).to_be_focused()  # it cannot go further up
    assert ids(page) == [before[1], before[0], *before[2:]]
    page.locator("button[value=add]").press("Enter")
    expect(page.locator("#p-6-id")).to_be_focused()
    for text in (
        "taste-first",
        "2",
        "taste",
        "Does it say when to taste?",
        "Say when to taste.",
        "Which is tasted more?",
    ):
        page.keyboard.press("Control+a")
        page.keyboard.type(text)
        page.keyboard.press("Tab")
    page.keyboard.press("Control+Enter")
    expect(saving).to_have_text("All of it is saved.")
    assert ids(page) == [before[1], before[0], *before[2:], "taste-first"]

    page.get_by_role("link", name="Read it, and publish").click()
    page.get_by_role("link", name="Compare").click()
    expect(page.locator(".head p")).to_contain_text("added: 1, removed: 0, changed: 1, moved alone: 0, the same: 4")
    expect(page.locator("ins").first).to_be_visible()
    page.go_back()
    publish(page, "kitchen-helper-v2")
    expect(page.get_by_role("button", name="Begin a new version")).to_be_visible()
    assert complaints == []


def publish(page: Page, dataset: str) -> None:
    page.locator("[data-open='#publish']").click()
    expect(page.locator("#dataset")).to_have_value(dataset)
    page.locator("#publish button.primary").click()
    expect(page.locator("aside")).to_contain_text(dataset)


def test_what_is_not_saved_is_asked_about_before_it_is_left(opened, complaints):
    page = opened("grace")
    page.goto("/constitutions/new/")
    page.fill("#id_name", "Left behind")
    page.click("main button")
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.goto("/constitutions/")
    assert asked == []
    page.go_back()
    page.locator("#p-1-id").fill("half-typed")
    page.goto("/constitutions/")
    assert asked == ["beforeunload"]
