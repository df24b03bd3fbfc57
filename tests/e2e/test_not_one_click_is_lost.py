"""Whatever happens between browser and server: each submission counts once, in order, and what the page says is true."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from tests.accounts.people import PASSWORD
from tests.e2e.desk import SUBMIT, assignment, await_next, lines, press, rankings, submit

pytestmark = [pytest.mark.browser, pytest.mark.slow]

RANK = "/rank/long/"
ORDERS = ("a>b>c>d", "d>c>b>a", "b>a=d>>c", "c>d=a=b")


@pytest.fixture(scope="module", autouse=True)
def texts_to_rank(stage):
    stage("long", "nine", "scarce")


def is_ready(page: Page) -> None:
    expect(page.locator("#ahead")).to_contain_text("next task ready")


def is_sent(page: Page) -> None:
    expect(page.locator("#sent")).to_have_text("sent", timeout=20_000)


def waiting(page: Page):
    return page.locator("#outbox")


def out_of_reach(page: Page, answer: Callable[[Route], object] = Route.abort) -> Callable[[], None]:
    """What is submitted meets `answer` in place of the server, until what this returns is called.

    The route stays where it is: to take one away while a request is under way has left Playwright waiting without end.
    """
    answers = [answer]
    page.route("**/submit/", lambda route: answers[-1](route))
    return lambda: answers.append(Route.continue_)


def test_offline_in_the_middle_and_back_again(opened):
    page = opened("ada", RANK)
    first = submit(page, ORDERS[0])
    is_sent(page)
    is_ready(page)
    page.context.set_offline(True)
    second = submit(page, ORDERS[1])  # the next one was here already
    expect(page.locator("#sent")).to_have_text("offline: 1 ranking waits here to be sent")
    third = assignment(page)
    press(page, ORDERS[2])
    page.keyboard.press(SUBMIT)
    expect(page.get_by_text("The next task is not here yet")).to_be_visible()
    expect(waiting(page)).to_contain_text("2 rankings wait here to be sent. You are offline.")
    assert [row["assignment"] for row in rankings(page)] == [first]

    page.context.set_offline(False)
    await_next(page, after=third)
    expect(waiting(page)).to_be_hidden()
    is_sent(page)
    assert [row["assignment"] for row in rankings(page)] == [first, second, third]
    assert lines(page) == ["a > b > c > d", "d > c > b > a", "b > a=d > c"]


def test_what_waits_survives_a_reload_and_shows_on_other_pages(opened):
    page = opened("bea", RANK)
    is_ready(page)
    back = out_of_reach(page)  # nothing else is
    done = [submit(page, ORDERS[0])]
    expect(page.locator("#sent")).to_have_text("1 ranking waits here to be sent: tried again by itself")
    for path in ("/", "/my-work/", "/tokens/", RANK):
        page.goto(path)
        expect(waiting(page)).to_contain_text("1 ranking waits here to be sent. The server can't be reached.")
    expect(page.locator("#task")).to_contain_text("The next task is not here yet")  # and not the same task once more
    page.goto("/my-work/")
    page.get_by_role("button", name="Send now").click()
    back()
    expect(waiting(page)).to_be_hidden()
    assert [row["assignment"] for row in rankings(page)] == done


def test_logging_out_while_something_waits_asks_first_and_nobody_else_sends_it(opened, sessions):
    page = opened("cleo", RANK)
    is_ready(page)
    back = out_of_reach(page)
    done = submit(page, ORDERS[0])
    expect(waiting(page)).to_be_visible()
    page.locator(".who summary").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.locator("#ask")).to_contain_text("1 ranking waits here to be sent. Log out all the same?")
    page.locator("#ask").get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login/**")
    back()
    del sessions["cleo"]

    sent = []
    page.on("request", lambda asked: sent.append(asked.url) if asked.url.endswith("/submit/") else None)
    log_in(page, "dan")
    page.goto(RANK)
    is_ready(page)
    assert sent == []
    expect(waiting(page)).to_be_hidden()
    page.locator(".who summary").click()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login/**")

    log_in(page, "cleo")
    expect(waiting(page)).to_be_hidden()
    until_nothing_waits(page)
    assert [row["assignment"] for row in rankings(page)] == [done]


def until(page: Page, happened: Callable[[], object]) -> None:
    end = time.monotonic() + 15
    while not happened():
        assert time.monotonic() < end
        page.wait_for_timeout(50)


def until_nothing_waits(page: Page) -> None:
    until(page, lambda: not page.evaluate("Object.keys(localStorage).some((key) => key.includes('waiting'))"))


def log_in(page: Page, name: str) -> None:
    page.goto("/login/")
    page.fill("#id_username", name)
    page.fill("#id_password", PASSWORD)
    page.click("main button")
    page.wait_for_url(lambda url: "/login/" not in url)


def test_who_is_logged_out_meanwhile_logs_in_again_and_it_is_sent(opened):
    page = opened("bea", RANK)
    before = len(rankings(page))
    is_ready(page)
    page.context.clear_cookies(name="sessionid")
    done = submit(page, ORDERS[2])
    expect(waiting(page)).to_contain_text("1 ranking waits here to be sent. You are logged out: log in again")
    other = page.context.new_page()
    log_in(other, "bea")
    expect(waiting(page)).to_be_hidden(timeout=20_000)
    assert [row["assignment"] for row in rankings(page)][before:] == [done]


def test_an_answer_that_is_lost_on_its_way_back_counts_once(opened):
    page = opened("dan", RANK)
    is_ready(page)
    tries = []

    def cut(route) -> None:
        tries.append(route.fetch().status)  # the server has it ...
        if len(tries) == 1:
            route.abort("connectionreset")  # ... and the browser does not know
        elif len(tries) == 2:
            route.fulfill(status=200, body='{"ranking": "5')  # cut in the middle
        else:
            route.continue_()

    page.route("**/submit/", cut)
    done = submit(page, ORDERS[0])
    is_sent(page)
    assert tries == [200, 200, 200]
    assert [row["assignment"] for row in rankings(page)] == [done]


def test_a_reload_in_the_middle_of_a_post(opened):
    page = opened("dan", RANK)
    before = len(rankings(page))
    is_ready(page)
    held = []
    back = out_of_reach(page, held.append)  # under way, and not there yet
    done = submit(page, ORDERS[1])
    page.wait_for_timeout(100)
    assert held
    back()
    held[0].continue_()
    page.reload()
    await_next(page, after=done)
    is_ready(page)
    assert [row["assignment"] for row in rankings(page)][before:] == [done]


def test_two_tabs_of_one_rater(opened):
    page = opened("eve", RANK)
    is_ready(page)
    other = page.context.new_page()
    other.goto(RANK)
    same = assignment(other)
    assert same == assignment(page)
    is_ready(other)
    submit(page, ORDERS[0])
    is_sent(page)
    press(other, ORDERS[1])
    other.keyboard.press(SUBMIT)
    expect(waiting(other)).to_contain_text("You have submitted another order of this task.")
    await_next(other, after=same)
    assert lines(page) == ["a > b > c > d"]
    assert assignment(page) == assignment(other)
    waiting(other).get_by_role("button", name="Throw it away").click()
    expect(waiting(other)).to_be_hidden()
    other.close()
    page.bring_to_front()
    press(page, ORDERS[2])
    page.keyboard.press(SUBMIT)
    expect(page.locator("#sent")).to_have_text("sent")
    assert len(rankings(page)) == 2


def test_a_double_click_a_held_key_and_the_back_button(opened):
    page = opened("eve", "/")
    page.goto(RANK)
    before = len(rankings(page))
    is_ready(page)
    first = assignment(page)
    press(page, ORDERS[0])
    page.locator("#submit").dblclick()
    await_next(page, after=first)
    expect(page.locator("#order-error")).to_be_empty()  # the second press says nothing of the next task
    is_sent(page)
    is_ready(page)
    press(page, ORDERS[1])
    page.keyboard.down("Control")
    for _ in range(8):
        page.keyboard.down("Enter")
    page.keyboard.up("Enter")
    page.keyboard.up("Control")
    is_sent(page)
    expect(page.locator("#order-error")).to_be_empty()
    held = assignment(page)
    page.go_back()
    expect(page).to_have_url(re.compile(r"/$"))
    page.go_forward()
    expect(page.locator("#judgement [name=assignment]")).to_have_value(held)
    assert len(rankings(page)) == before + 2


def test_the_server_is_killed_between_two_submissions(opened, server):
    page = opened("ada", RANK)
    before = len(rankings(page))
    is_ready(page)
    first = submit(page, ORDERS[0])
    is_sent(page)
    is_ready(page)
    server.kill()
    second = submit(page, ORDERS[3])
    expect(waiting(page)).to_contain_text("1 ranking waits here to be sent. The server can't be reached.")
    expect(page.locator("#sent")).not_to_have_text("sent")
    third = assignment(page)
    press(page, ORDERS[1])
    server.start()
    is_sent(page)
    page.keyboard.press(SUBMIT)
    await_next(page, after=third)
    is_sent(page)
    assert [row["assignment"] for row in rankings(page)][before:] == [first, second, third]


def test_a_laptop_that_slept_comes_back_with_all_it_had(opened):
    page = opened("bea", RANK)
    before = len(rankings(page))
    is_ready(page)
    back = out_of_reach(page)
    done = submit(page, ORDERS[0])
    sleep = page.context.new_cdp_session(page)
    sleep.send("Page.setWebLifecycleState", {"state": "frozen"})
    back()
    sleep.send("Page.setWebLifecycleState", {"state": "active"})
    is_sent(page)
    assert [row["assignment"] for row in rankings(page)][before:] == [done]


@pytest.mark.parametrize("reach", ["is there", "is gone"])
def test_what_was_submitted_last_is_taken_back_by_one_key(opened, reach):
    page = opened("cleo", RANK)
    before = len(lines(page))
    is_ready(page)
    if reach == "is gone":
        back = out_of_reach(page)
    done = submit(page, ORDERS[0])
    following = assignment(page)
    press(page, "b>c")  # begun already
    press(page, "u")
    expect(page.locator("#judgement [name=assignment]")).to_have_value(done)
    expect(page.locator("#order")).to_have_value("a > b > c > d")
    page.locator("#order").fill("d > a = b = c")
    if reach == "is gone":
        back()
    page.keyboard.press(SUBMIT)
    expect(page.locator("#judgement [name=assignment]")).to_have_value(following)
    expect(page.locator("#order")).to_have_value("b > c")
    is_sent(page)
    assert lines(page)[before:] == ["d > a=b=c"]
    page.locator("#order").fill("")


def test_taking_back_may_be_left_as_it_was(opened):
    page = opened("cleo", RANK)
    before = lines(page)
    is_ready(page)
    submit(page, ORDERS[0])
    following = assignment(page)
    press(page, "u")
    page.get_by_role("button", name="Leave it as it is").click()
    expect(page.locator("#judgement [name=assignment]")).to_have_value(following)
    is_sent(page)
    assert lines(page) == [*before, "a > b > c > d"]


def test_what_the_server_refuses_is_told_kept_and_can_be_mended(opened):
    page = opened("dan", RANK)
    is_ready(page)
    sentence = "A ranking of this kind is refused for the test."

    def refuse(route) -> None:
        route.fulfill(status=400, json={"error": {"code": "bad_ranking", "message": sentence}})

    back = out_of_reach(page, refuse)
    done = submit(page, ORDERS[2])
    expect(waiting(page)).to_contain_text(f"Your ranking b > a=d >> c was not taken: {sentence}")
    back()
    page.goto("/my-work/")
    expect(waiting(page)).to_contain_text(sentence)
    page.get_by_role("link", name="Open it again").click()
    expect(page.locator("#judgement [name=assignment]")).to_have_value(done)
    expect(page.locator("#order")).to_have_value("b > a=d >> c")
    expect(page.locator("#order-error")).to_have_text(sentence)
    page.keyboard.press(SUBMIT)
    await_next(page, after=done)
    is_sent(page)
    expect(waiting(page)).to_be_hidden()
    assert done in [row["assignment"] for row in rankings(page)]


def test_a_lost_lease_is_said_and_the_work_is_taken_all_the_same(opened, server):
    page = opened("eve", RANK)
    page.clock.install()
    page.reload()
    mine = assignment(page)
    page.clock.run_for(19 * 60_000)  # untouched: nothing renews it
    page.clock.run_for(2 * 60_000)
    expect(page.locator("#lease")).to_have_text(re.compile("^The time is over: .* What you submit is still kept"))
    expect(page.locator("#lease")).to_have_class("gone")
    expect(page.locator("#said")).to_have_text(re.compile("^The time is over"))
    press(page, ORDERS[0])
    page.keyboard.press(SUBMIT)
    page.clock.run_for(2_000)
    await_next(page, after=mine)
    is_sent(page)
    assert mine in [row["assignment"] for row in rankings(page)]


def test_the_task_that_was_fetched_ahead_goes_back_when_she_leaves(opened):
    page = opened("bea", "/rank/scarce/")
    is_ready(page)
    other = opened("eve", "/rank/scarce/")
    expect(other.get_by_text("Nothing to rank yet")).to_be_visible()  # bea has both
    page.goto("/my-work/")
    expect(other.locator(".text")).to_have_count(2, timeout=15_000)


@pytest.mark.parametrize("comes", ["before the page has it", "after the page has it"])
def test_an_answer_for_ahead_that_is_slow_brings_no_task_twice(opened, comes):
    """Submitted while it is under way: the page gets the task by asking itself, and the slow answer has the same one."""
    page = opened("eve", "/")
    slow, asked = held(page, "**/ahead/"), held(page, "**/rank/long/", but=1)
    page.goto(RANK)
    first = assignment(page)
    until(page, lambda: slow)
    answers = [(slow[0], slow[0].fetch())]
    press(page, ORDERS[0])
    page.keyboard.press(SUBMIT)
    until(page, lambda: asked)
    answers.insert(0 if comes == "after the page has it" else 1, (asked[0], asked[0].fetch()))
    for route, answer in answers:
        route.fulfill(response=answer)
        page.wait_for_timeout(200)
    await_next(page, after=first)
    is_ready(page)
    page.context.set_offline(True)
    second = submit(page, ORDERS[1])
    assert assignment(page) not in (first, second)
    page.context.set_offline(False)
    until_nothing_waits(page)
    assert [row["assignment"] for row in rankings(page)][-2:] == [first, second]


def held(page: Page, url: str, *, but: int = 0) -> list[Route]:
    """The first request to `url` after `but` others, as soon as it is made: it is under way until the test answers it."""
    seen: list[Route] = []
    kept: list[Route] = []

    def keep(route: Route) -> None:
        seen.append(route)
        if len(seen) == but + 1:
            kept.append(route)
        else:
            route.continue_()

    page.route(url, keep)
    return kept
