"""Nine texts ranked by keys alone, and by a finger on a phone; keys of one's own; every state of the page open to all."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.e2e.desk import SUBMIT, assignment, await_next, lines, press, submit

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module", autouse=True)
def texts_to_rank(stage):
    stage("long", "nine", "empty")


def ready(page: Page) -> None:
    expect(page.locator("#ahead")).to_contain_text("next task ready")


def test_nine_texts_are_ranked_by_keys_alone(opened, complaints):
    page = opened("ada", "/rank/nine/")
    first = assignment(page)
    press(page, "i>h=g>>f>e")  # E and F are texts here: their letters take them in hand
    press(page, "d")
    press(page, "9")  # one past the last place
    press(page, "c")
    page.keyboard.press("ArrowRight")  # behind the last
    expect(page.locator("#order")).to_have_value("i > g=h >> f > e > d > c".replace("g=h", "h=g"))
    press(page, "b")
    press(page, "1")
    press(page, "a")
    press(page, "0")
    expect(page.locator("#rest")).to_have_text("Left out: A.")
    press(page, "F")  # with Shift: the flag, of the text in hand
    expect(page.locator("#text-a details.flags")).to_have_attribute("open", "")
    page.keyboard.press("Space")
    page.keyboard.press("Escape")
    page.keyboard.press(SUBMIT)
    await_next(page, after=first)
    expect(page.locator("#sent")).to_have_text("sent")
    assert lines(page) == ["b=i > g=h > f > e > d > c"]
    assert complaints == []


def test_where_a_letter_stands_is_said(opened):
    page = opened("bea", "/rank/nine/")
    said = page.locator("#said")
    press(page, "d")
    expect(said).to_have_text("D is not ranked.")
    press(page, "1")
    expect(said).to_have_text("D placed 1st of 1.")
    press(page, ">")
    expect(said).to_have_text("D is a little better than: which letter?")
    press(page, "c")
    expect(said).to_have_text("C placed 2nd of 2.")
    press(page, "b1")
    expect(said).to_have_text("B placed 1st of 2, tied with D.")
    press(page, "+")
    expect(said).to_have_text("Place 1 is better than place 2.")
    page.keyboard.press("Backspace")
    expect(said).to_have_text("B is not ranked.")
    page.keyboard.press("Escape")
    expect(said).to_have_text("B let go.")


def tap(page: Page, target: Locator) -> None:
    target.scroll_into_view_if_needed()
    target.tap()


def take(page: Page, name: str) -> None:
    letter = page.locator(f"#rail button[data-letter={name}]")
    tap(page, letter)
    expect(letter).to_have_attribute("aria-pressed", "true")


def test_nine_texts_are_ranked_by_taps_and_drags_on_a_phone(opened, complaints):
    page = opened("cleo", "/rank/nine/", **PHONE)
    first = assignment(page)
    rail = page.locator("#rail")
    take(page, "c")
    tap(page, rail.locator(".slot.first"))
    for name in "ab":  # each behind the last
        take(page, name)
        tap(page, rail.locator(".slot").last)
    swipe(page, rail.locator("button[data-letter=d]"), rail.locator(".tier").nth(0))
    expect(rail.locator(".tier")).to_have_text(["CD", "A", "B"])
    for name in "efghi":
        take(page, name)
        tap(page, rail.locator(".tier").last.locator("button").first)  # a tie, where one from the tray is in hand
    tap(page, page.locator("#submit"))
    await_next(page, after=first)
    expect(page.locator("#sent")).to_have_text("sent")
    assert lines(page) == ["c=d > a > b=e=f=g=h=i"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert complaints == []


def swipe(page: Page, source: Locator, target: Locator) -> None:
    """A finger put down, moved in steps, and lifted."""
    touch = page.context.new_cdp_session(page)
    start, end = (middle(one) for one in (source, target))

    def send(kind: str, *points: tuple[float, float]) -> None:
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]})

    send("touchStart", start)
    for step in range(1, 7):
        send("touchMove", (start[0] + (end[0] - start[0]) * step / 6, start[1] + (end[1] - start[1]) * step / 6))
    send("touchEnd")


def middle(element: Locator) -> tuple[float, float]:
    box = element.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_a_key_of_her_own_is_shown_everywhere_and_is_there_on_another_machine(opened):
    page = opened("dan", "/rank/long/")
    ready(page)
    press(page, "?")
    row = page.locator("#keys tr", has_text="skip this task")
    row.get_by_role("button", name="Change").click()
    expect(row.get_by_role("button")).to_have_text("Press a key")
    press(page, "x")
    expect(page.locator("#key-error")).to_have_text("x is taken: all are bad.")
    row.get_by_role("button", name="Change").click()
    press(page, "k")
    expect(row.locator("kbd")).to_have_text("k")
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()
    hint = page.locator("[data-open='#skip'] kbd")
    expect(hint).to_have_text("k")
    press(page, "s")
    expect(page.locator("#skip")).to_be_hidden()
    press(page, "k")
    expect(page.locator("#skip")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#skip")).to_be_hidden()

    submit(page, "a>b>c>d")  # the next one was made before she changed it
    expect(hint).to_have_text("k")
    elsewhere = opened("dan", "/rank/long/")
    expect(elsewhere.locator("[data-open='#skip'] kbd")).to_have_text("k")
    press(elsewhere, "?")
    elsewhere.get_by_role("button", name="All as they were").click()
    expect(elsewhere.locator("#keys tr", has_text="skip this task").locator("kbd")).to_have_text("s")


def test_a_key_that_follows_a_closed_dialog_at_once_is_the_page_s(opened):
    page = opened("eve", "/rank/long/")
    ready(page)
    focused = page.evaluate(
        """() => {
            const dialog = document.querySelector("#skip");
            dialog.showModal();
            dialog.querySelector("select").focus();
            dialog.close();
            const focused = document.activeElement; // until the next frame
            focused.dispatchEvent(new KeyboardEvent("keydown", { key: "b", code: "KeyB", bubbles: true, cancelable: true }));
            return focused.name;
        }"""
    )
    assert focused == "reason"
    expect(page.locator("#rail button[data-letter=b]")).to_have_attribute("aria-pressed", "true")


def test_a_skipped_task_goes_the_same_way_as_a_ranking(opened):
    page = opened("ada", "/rank/long/")
    ready(page)
    skipped = assignment(page)
    page.context.set_offline(True)
    press(page, "s")
    page.get_by_role("button", name="Skip task").click()
    await_next(page, after=skipped)
    expect(page.locator("#sent")).to_have_text(re.compile("^offline: 1 "))
    page.context.set_offline(False)
    expect(page.locator("#sent")).to_have_text("sent")
    page.reload()
    assert assignment(page) != skipped


def test_what_is_said_from_above_leaves_submit_free(opened):
    page = opened("eve", "/rank/long/", viewport={"width": 360, "height": 740})
    page.evaluate("window.htmx.ajax('GET', '/nothing/at/all/', {target: '#compare-panel'})")
    expect(page.locator("#toasts .notice")).to_be_visible()
    submit_box, toast = (page.locator(one).bounding_box() for one in ("#submit", "#toasts .notice"))
    assert toast["y"] + toast["height"] <= submit_box["y"]
    press(page, "a>b>c>d")
    page.locator("#submit").click(trial=True)


def states(page: Page, stage) -> None:
    """The ranking page as it can be found; a name for each."""
    yield "as it opens"
    ready(page)
    press(page, "b>a=d")
    yield "begun"
    press(page, "?")
    yield "keys open"
    page.locator("#keys button[data-action=skip]").click()
    yield "a key awaited"
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.route("**/rank/*/submit/", lambda route: route.abort())
    press(page, ">c")
    page.locator("#submit").click()
    expect(page.locator("#outbox")).to_be_visible()
    yield "one waits"
    press(page, "u")
    expect(page.get_by_role("button", name="Leave it as it is")).to_be_visible()
    yield "taken back"
    page.get_by_role("button", name="Leave it as it is").click()
    page.context.set_offline(True)
    press(page, "a>b>c>d")
    page.locator("#submit").click()
    expect(page.get_by_text("The next task is not here yet")).to_be_visible()
    yield "offline, no task left"
    page.context.set_offline(False)
    refusal = {"error": {"code": "bad_ranking", "message": "Not so."}}
    page.route("**/rank/*/submit/", lambda route: route.fulfill(status=400, json=refusal))
    expect(page.locator("#outbox .refused")).to_have_count(2, timeout=40_000)
    yield "refused"
    for _ in range(2):
        page.locator("#outbox").get_by_role("button", name="Throw it away").first.click()
    lost = {"code": "lease_lost", "message": "You have submitted this task already.", "data": {"is_over": True}}
    page.route("**/renew/", lambda route: route.fulfill(status=409, json={"error": lost}))
    page.clock.install()
    page.goto("/rank/long/")
    page.clock.run_for(70_000)
    press(page, "a")
    page.clock.run_for(3_000)
    expect(page.locator("#go-on")).to_be_visible()
    yield "lease gone"
    page.goto("/rank/empty/")
    yield "empty"


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_every_state_of_the_page_is_accessible_and_fits(opened, stage, width, scheme):
    page = opened("eve", "/rank/long/", viewport={"width": width, "height": 740}, color_scheme=scheme)
    for name in states(page, stage):
        page.wait_for_timeout(150)
        found = Axe().run(page).response["violations"]
        assert [(name, fault["id"], fault["nodes"][0]["html"]) for fault in found] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
