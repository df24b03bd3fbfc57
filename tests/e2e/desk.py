"""What a rater does at her desk in a browser, and what the server has of it."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, expect

SUBMIT = "Control+Enter"


def press(page: Page, keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def assignment(page: Page) -> str:
    return page.locator("#judgement [name=assignment]").input_value()


def await_next(page: Page, *, after: str) -> None:
    expect(page.locator("#judgement [name=assignment]")).not_to_have_value(after)
    expect(page.locator("#rail > .tray").first).to_be_visible()  # the script has taken it up


def submit(page: Page, keys: str) -> str:
    """Ranks the task on the page by keys, submits it, and waits for the next; says which it was."""
    done = assignment(page)
    press(page, keys)
    page.keyboard.press(SUBMIT)
    await_next(page, after=done)
    return done


def rankings(page: Page) -> list[dict[str, Any]]:
    """What the server has of hers, the first one first; asked beside the page, which does not notice."""
    answer = page.context.request.get("/api/v1/annotation/rankings/?limit=100")
    assert answer.ok, answer.text()
    rows: list[dict[str, Any]] = answer.json()["results"]
    return rows[::-1]


def lines(page: Page) -> list[str]:
    """The orders of her live rankings, in the letters that she saw, the first one first."""
    return [" > ".join("=".join(tier) for tier in row["tiers"]) for row in rankings(page) if row["is_live"]]
