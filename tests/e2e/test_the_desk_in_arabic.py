"""The desk read from right to left: arrows and drags go where they point, and an Arabic keyboard takes texts in hand."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.e2e.conftest import Opener
from tests.e2e.desk import SUBMIT, assignment, await_next, lines, press

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module", autouse=True)
def texts_to_rank(stage):
    stage("everyday")


def desk_of(name: str, opened: Opener) -> Page:
    page = opened(name, "/rank/everyday/", locale="ar")
    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    expect(page.locator("#rail > .end").first).to_have_text("الأفضل")
    return page


def middle_of(letter: Locator) -> float:
    box = letter.bounding_box()
    return box["x"] + box["width"] / 2


def letter(page: Page, name: str) -> Locator:
    return page.locator(f"#rail button[data-letter={name}]")


def order(page: Page) -> Locator:
    return page.locator("#order")


def test_arrows_move_a_letter_where_they_point(opened, complaints):
    desk = desk_of("ada", opened)
    press(desk, "a>b>c>d")
    assert middle_of(letter(desk, "a")) > middle_of(letter(desk, "b")) > middle_of(letter(desk, "d"))

    was = middle_of(letter(desk, "d"))
    desk.keyboard.press("ArrowRight")  # towards the best, who stands at the right
    expect(order(desk)).to_have_value("a > b > c=d")
    desk.keyboard.press("ArrowRight")
    expect(order(desk)).to_have_value("a > b > d > c")
    assert middle_of(letter(desk, "d")) > was

    was = middle_of(letter(desk, "d"))
    for expected in ("a > b > c=d", "a > b > c > d"):
        desk.keyboard.press("ArrowLeft")
        expect(order(desk)).to_have_value(expected)
    assert middle_of(letter(desk, "d")) < was

    desk.keyboard.press("ArrowUp")  # better is up in every script
    expect(order(desk)).to_have_value("a > b > c=d")
    assert complaints == []


def test_the_list_of_keys_names_arrows_as_they_are_pressed(opened):
    desk = desk_of("bea", opened)
    expect(desk.locator("#keys kbd[data-key=step_better]")).to_have_text("→")
    expect(desk.locator("#keys kbd[data-key=step_worse]")).to_have_text("←")
    press(desk, "?")
    row = desk.locator("#keys tr", has=desk.locator("button[data-action=tie]"))
    row.get_by_role("button").click()
    desk.keyboard.press("ArrowRight")  # taken, and named as it was pressed
    expect(desk.locator("#key-error")).to_contain_text("→")
    expect(desk.locator("#key-error")).not_to_contain_text("←")


def test_a_letter_is_dragged_to_where_the_hand_lets_go(opened):
    desk = desk_of("cleo", opened)
    press(desk, "a>b>c")
    letter(desk, "d").drag_to(desk.locator("#rail .slot").first)  # before the best: the rightmost slot
    expect(order(desk)).to_have_value("d > a > b > c")
    letter(desk, "d").drag_to(desk.locator("#rail .slot").last)
    expect(order(desk)).to_have_value("a > b > c > d")
    assert middle_of(letter(desk, "d")) < middle_of(letter(desk, "c"))
    letter(desk, "b").drag_to(letter(desk, "a"))
    expect(order(desk)).to_have_value("a=b > c > d")


def test_an_arabic_keyboard_takes_texts_in_hand(opened):
    desk = desk_of("dan", opened)
    before = assignment(desk)
    keyboard = desk.context.new_cdp_session(desk)

    def strike(key: str, code: str) -> None:
        keyboard.send("Input.dispatchKeyEvent", {"type": "keyDown", "key": key, "code": code})
        keyboard.send("Input.dispatchKeyEvent", {"type": "keyUp", "key": key, "code": code})

    for key, code in (("لا", "KeyB"), ("١", "Digit1"), ("ش", "KeyA"), ("٢", "Digit2"), ("ي", "KeyD"), ("٣", "Digit3")):
        strike(key, code)
    strike("ؤ", "KeyC")
    strike("٠", "Digit0")
    expect(order(desk)).to_have_value("b > a > d, not c")
    desk.keyboard.press(SUBMIT)
    await_next(desk, after=before)
    expect(desk.locator("#sent")).to_have_text("أُرسل")
    assert lines(desk)[-1] == "b > a > d"


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_the_page_is_accessible_and_fits(opened, width, scheme):
    page = opened("eve", "/rank/everyday/", locale="ar", viewport={"width": width, "height": 740}, color_scheme=scheme)
    press(page, "b>a=d")
    press(page, "?")
    for _ in ("keys open", "keys closed"):
        found = Axe().run(page).response["violations"]
        assert [(fault["id"], fault["nodes"][0]["html"]) for fault in found] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.keyboard.press("Escape")
