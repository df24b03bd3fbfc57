"""A rater's day in a real browser: by keys, by hand, by typing; drafts, leases, refusals, hostile texts, a phone."""

from __future__ import annotations

import re
import time

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

RANK = "/rank/everyday/"
SUBMIT = "Control+Enter"


@pytest.fixture(scope="module", autouse=True)
def texts_to_rank(stage):
    stage("everyday", "rated", "hostile", "empty")


def press(page: Page, keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def assignment(page: Page) -> str:
    return page.locator("#judgement [name=assignment]").input_value()


def await_next(page: Page, *, after: str) -> None:
    expect(page.locator("#judgement [name=assignment]")).not_to_have_value(after)
    expect(page.locator("#rail > .tray")).to_be_visible()  # the script has taken it up
    expect(page.locator("#sent")).to_have_text(re.compile("^(sent)?$"), timeout=15_000)  # nothing is on its way


def line(page: Page):
    return page.locator("#order")


def letter(page: Page, name: str):
    return page.locator(f"#rail button[data-letter={name}]")


def drag(page: Page, source, target) -> None:
    """As a hand does it: press, move in steps, let go."""
    start, end = source.bounding_box(), target.bounding_box()
    page.mouse.move(start["x"] + start["width"] / 2, start["y"] + start["height"] / 2)
    page.mouse.down()
    page.mouse.move(end["x"] + end["width"] / 2, end["y"] + end["height"] / 2, steps=6)
    page.mouse.up()


def orders(page: Page) -> list[str]:
    """The orders on "My work", newest first."""
    page.goto("/my-work/")
    return page.locator("td .mono").all_inner_texts()


def test_a_rater_ranks_by_keys_by_hand_and_by_typing(opened, complaints):
    page = opened("ada")
    page.get_by_role("link", name="Start ranking").click()
    page.goto(RANK)

    first = assignment(page)
    press(page, "b>a=d>>c")
    expect(line(page)).to_have_value("b > a=d >> c")
    page.keyboard.press(SUBMIT)
    await_next(page, after=first)
    expect(line(page)).to_have_value("")

    second = assignment(page)
    drag(page, letter(page, "c"), page.locator("#rail .slot.first"))
    drag(page, letter(page, "a"), page.locator("#rail [data-drop='slot 1']"))
    drag(page, page.locator("#text-b button.letter"), page.locator("#rail [data-drop='tier 1']"))
    drag(page, letter(page, "d"), page.locator("#rail [data-drop='slot 0']"))
    page.get_by_role("button", name="Place 2 is a little better than place 3").click()
    expect(line(page)).to_have_value("d > c >> a=b")
    page.locator("#submit").click()
    await_next(page, after=second)

    third = assignment(page)
    line(page).fill("a=b=c >>> d")
    expect(page.locator("#rail .tier")).to_have_count(2)
    page.keyboard.press(SUBMIT)
    await_next(page, after=third)

    assert orders(page) == ["a=b=c >>> d", "d > c >> a=b", "b > a=d >> c"]
    assert complaints == []


def test_every_key_does_what_the_help_says(opened):
    page = opened("bea", RANK)
    press(page, "a")
    expect(page.locator("#text-a")).to_have_class(re.compile("held"))
    expect(page.locator("#saving")).to_be_empty()  # nothing is said yet, so nothing is saved
    press(page, "1b2c")
    page.keyboard.press("ArrowRight")
    expect(line(page)).to_have_value("a > b > c")
    page.keyboard.press("ArrowLeft")
    expect(line(page)).to_have_value("a > b=c")
    press(page, "+")
    expect(line(page)).to_have_value("a >> b=c")
    press(page, "-")
    page.keyboard.press("Backspace")
    expect(line(page)).to_have_value("a > b")
    page.keyboard.press("Escape")
    expect(page.locator(".text.held")).to_have_count(0)
    press(page, "x")
    expect(page.locator("#all_bad")).to_be_checked()
    press(page, "x")
    press(page, "/")
    page.keyboard.type("short, x and s included")
    page.keyboard.press("Escape")
    expect(page.locator("#reason")).to_have_value("short, x and s included")
    press(page, "bf")
    page.keyboard.press("Space")
    expect(page.locator("#text-b .flag-words")).to_have_text("Flagged: unsafe")
    press(page, "?")
    expect(page.locator("#keys")).to_be_visible()
    page.get_by_label("Single keys do things").uncheck()
    page.get_by_role("button", name="Close").click()
    page.locator("main").click(position={"x": 2, "y": 2})
    press(page, "d")
    expect(page.locator("#text-d")).not_to_have_class(re.compile("held"))


def test_a_letter_is_placed_by_two_presses_without_dragging(opened):
    page = opened("bea", RANK)
    line(page).fill("a > b")
    letter(page, "d").click()
    page.locator("#rail .slot").first.click()
    expect(line(page)).to_have_value("d > a > b")


def test_a_double_click_on_submit_counts_once(opened):
    page = opened("cleo", RANK)
    first = assignment(page)
    press(page, "a>b>c>d")
    page.locator("#submit").dblclick()
    await_next(page, after=first)
    page.wait_for_timeout(500)
    assert orders(page) == ["a > b > c > d"]


def test_what_is_missing_is_said_and_nothing_is_sent(opened):
    page = opened("cleo", RANK)
    first = assignment(page)
    press(page, "a")
    press(page, "1")
    page.keyboard.press(SUBMIT)
    expect(page.locator("#order-error")).to_have_text("Not ranked: B, C, D.")
    line(page).fill("a > z")
    expect(page.locator("#order-error")).to_have_text("There is no text Z.")
    page.keyboard.press(SUBMIT)
    assert assignment(page) == first


def test_a_draft_survives_a_reload(opened):
    page = opened("dan", RANK)
    press(page, "c>a")
    page.locator("#text-b .flags summary").click()
    page.get_by_role("checkbox", name="Unsafe").check()
    page.locator("#reason").fill("half a thought")
    expect(page.locator("#saving")).to_have_text(re.compile("^saved"), timeout=2_000)
    page.evaluate("sessionStorage.clear()")  # what comes back is the server's
    page.reload()
    expect(line(page)).to_have_value("c > a")
    expect(page.locator("#reason")).to_have_value("half a thought")
    expect(page.locator("#flag-b-unsafe")).to_be_checked()


def test_a_draft_survives_a_reload_that_comes_before_it_was_saved(opened):
    page = opened("dan", RANK)
    line(page).fill("d > b")
    page.reload()
    expect(line(page)).to_have_value("d > b")


def test_without_a_network_the_draft_is_kept_and_sent_later(opened):
    page = opened("dan", RANK)
    page.context.set_offline(True)
    line(page).fill("a > c")
    expect(page.locator("#saving")).to_have_text("offline: kept in this tab, will be sent")
    page.context.set_offline(False)
    expect(page.locator("#saving")).to_have_text(re.compile("^saved"), timeout=10_000)


def test_the_lease_is_shown_and_renewed_while_she_works(opened):
    page = opened("dan")
    page.clock.install()
    page.goto(RANK)
    expect(page.locator("#lease")).to_have_text(re.compile(r"^(20:00|19:\d\d) left"))
    page.clock.run_for(50_000)
    expect(page.locator("#lease")).to_have_text(re.compile(r"^19:\d\d left"))
    with page.expect_response(lambda answer: answer.url.endswith("/renew/")) as renewed:
        press(page, "a")
        page.clock.run_for(20_000)
    assert renewed.value.json()["lease_seconds"] > 19 * 60


def test_a_skipped_task_is_gone_and_the_next_one_is_there(opened):
    page = opened("dan", RANK)
    first = assignment(page)
    press(page, "s")
    page.get_by_label("Why").select_option("Wrong language")
    page.get_by_role("button", name="Skip task").click()
    await_next(page, after=first)
    expect(page.locator("#skip")).to_be_hidden()


def test_the_last_ranking_can_be_corrected_by_one_key(opened):
    page = opened("eve", RANK)
    first = assignment(page)
    press(page, "a>b>c>d")
    page.keyboard.press(SUBMIT)
    await_next(page, after=first)
    page.reload()  # what was submitted is the server's now
    press(page, "u")
    expect(page).to_have_title(re.compile("Correct"))
    expect(line(page)).to_have_value("a > b > c > d")
    line(page).fill("d > c > b > a")
    page.locator("#submit").click()
    expect(page).to_have_url(re.compile("/rank/everyday/"))  # where she came from
    assert orders(page) == ["d > c > b > a"]


def test_an_admins_open_page_follows_over_the_websocket(opened):
    admin, rater = opened("grace", "/campaigns/everyday/"), opened("eve", RANK)
    admin.wait_for_timeout(1_500)  # the socket is open by now
    before = int(admin.locator("#num-rankings").inner_text())
    first = assignment(rater)
    press(rater, "a>b>c>d")
    rater.keyboard.press(SUBMIT)
    await_next(rater, after=first)
    since = time.monotonic()
    expect(admin.locator("#num-rankings")).to_have_text(str(before + 1), timeout=10_000)
    assert time.monotonic() - since < 10  # by itself it looks every 30 s


def test_hostile_texts_show_and_do_nothing(opened, complaints, server):
    page = opened("ada")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/rank/hostile/")
    expect(page.locator(".text")).to_have_count(4)
    expect(page.locator(".words").get_by_text("<script>window.stolen = 1</script>")).to_be_visible()
    assert page.evaluate("window.stolen") is None
    assert page.locator(".words :is(a, img, script, style, form, iframe)").count() == 0
    assert [url for url in asked if not url.startswith(server.url)] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert complaints == []


def test_a_long_text_folds_and_unfolds_where_it_stands(opened):
    page = opened("bea", "/rank/hostile/")
    letter_of_it = page.locator(".text", has=page.get_by_role("button", name="Show all")).get_attribute("data-letter")
    text = page.locator(f"#text-{letter_of_it}")
    measured = "text => [text.offsetLeft, text.offsetTop, text.offsetHeight]"
    *place, height = text.evaluate(measured)
    assert height < 750
    page.get_by_role("button", name="Show all").click()
    *place_unfolded, height_unfolded = text.evaluate(measured)
    assert height_unfolded > 2_000
    assert place_unfolded == place
    page.get_by_role("button", name="Show less").click()
    assert text.evaluate(measured) == [*place, height]


def test_an_empty_campaign_says_so_and_goes_on_by_itself(opened, stage):
    page = opened("cleo", "/rank/empty/")
    expect(page.get_by_text("Nothing to rank yet")).to_be_visible()
    stage("fill")
    expect(page.locator(".text")).to_have_count(4, timeout=20_000)


def test_the_page_works_without_javascript(opened):
    page = opened("cleo", RANK, java_script_enabled=False)
    first = assignment(page)
    expect(page.get_by_text("Order, best first")).to_be_visible()
    line(page).fill("a > b")
    page.locator("#submit").click()
    expect(page.locator("#order-error")).to_have_text(re.compile("^Not ranked yet: C, D."))
    line(page).fill("a > b = c, not d")
    page.locator("#submit").click()
    expect(page.locator("#judgement [name=assignment]")).not_to_have_value(first)


def test_letters_are_dragged_by_a_finger(opened):
    page = opened("cleo", RANK, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    line(page).evaluate("(field) => { field.value = ''; field.dispatchEvent(new Event('input')); }")
    source, target = letter(page, "b").bounding_box(), page.locator("#rail .slot.first").bounding_box()
    touch = page.context.new_cdp_session(page)

    def send(kind: str, *points: tuple[float, float]) -> None:
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]})

    start = (source["x"] + 10, source["y"] + 10)
    end = (target["x"] + 10, target["y"] + 10)
    send("touchStart", start)
    for step in range(1, 6):
        send("touchMove", tuple(a + (b - a) * step / 5 for a, b in zip(start, end, strict=True)))
    send("touchEnd")
    expect(page.locator("#rail .tier")).to_have_text(["B"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_raters_pages_are_accessible_and_fit(opened, complaints, width, scheme):
    page = opened("ada", viewport={"width": width, "height": 740}, color_scheme=scheme)
    for path in ("/", RANK, "/rank/rated/", "/rank/hostile/", "/rank/empty/", "/my-work/"):
        page.goto(path)
        if path == RANK:
            press(page, "b>a=d")
        page.wait_for_timeout(300)
        found = Axe().run(page).response["violations"]
        assert [(path, fault["id"], fault["nodes"][0]["html"]) for fault in found] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_campaign_pages_are_accessible_and_fit(opened, complaints, width, scheme):
    page = opened("grace", viewport={"width": width, "height": 740}, color_scheme=scheme)
    for path in ("/", "/campaigns/", "/campaigns/new/", "/campaigns/everyday/", "/campaigns/rated/"):
        page.goto(path)
        found = Axe().run(page).response["violations"]
        assert [(path, fault["id"], fault["nodes"][0]["html"]) for fault in found] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    assert complaints == []
