"""Takes the pictures of the guides for raters and admins, of a home that `scripts.pictures.stage` filled.

STEADYHAND_HOME=FOLDER python -m scripts.pictures.guides [--out docs/images] [--only NAME ...]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from playwright.sync_api import Page

from scripts.pictures.camera import PHONE, ROOT, Shot, take_all

TEXTS = [
    json.loads(line) for line in Path(__file__).with_name("everyday.jsonl").read_text(encoding="utf-8").splitlines()
]
DESK = "/rank/everyday-questions/"
HERS = "/campaigns/everyday-questions/"


def letters_by_worth(page: Page) -> list[str]:
    """The letters on the page, the best text's first: as the file of texts lists them."""
    asked = page.locator(".turn .words").last.inner_text()
    row = next(row for row in TEXTS if row["prompt"][:20] == asked[:20])
    texts = page.locator("#task .text")
    shown = {
        str(texts.nth(at).get_attribute("data-letter")): words(
            texts.nth(at).locator(".words").first.text_content() or ""
        )
        for at in range(texts.count())
    }
    worth = {
        letter: max(range(4), key=lambda n: alike(words(row["replies"][n]), said)) for letter, said in shown.items()
    }
    return sorted(worth, key=worth.__getitem__)


def words(text: str) -> set[str]:
    return set(text.replace("*", " ").replace("`", " ").split())


def alike(one: set[str], other: set[str]) -> float:
    return len(one & other) / len(one | other)


def press(page: Page, keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def close_guide(page: Page) -> None:
    page.evaluate("document.querySelector('#guide')?.removeAttribute('open')")


def in_order(page: Page) -> None:
    """An order with a tie and a clear difference, typed by keys."""
    close_guide(page)
    best, second, third, last = letters_by_worth(page)
    press(page, f"{best}>>{second}={third}>>>{last}")
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(1500)  # until it is kept


def left_out(page: Page) -> None:
    best, second, third, last = letters_by_worth(page)
    page.fill("#order", f"{best} >> {second} > {third}, not {last}")
    page.fill("#reason", f"I can't tell whether {last.upper()} is meant seriously.")
    page.wait_for_timeout(1500)


def bettered(page: Page) -> None:
    in_order(page)
    second = letters_by_worth(page)[1]
    text = page.locator(f"#text-{second}")
    text.locator(".better summary").click()
    field = text.locator("textarea")
    field.fill((field.input_value()).replace("Because rivers bring salt. ", "Rivers bring it. "))
    text.locator(".flags summary").click()
    text.evaluate("text => text.classList.add('pictured')")


def beside(page: Page) -> None:
    close_guide(page)
    best, second, *_ = letters_by_worth(page)
    press(page, f"v{best}{second}")


def offline(page: Page) -> None:
    in_order(page)
    page.context.set_offline(True)
    page.keyboard.press("Control+Enter")
    page.wait_for_timeout(2500)
    close_guide(page)
    page.evaluate("scrollTo(0, 0)")


def rated(page: Page) -> None:
    page.locator(".steps label").nth(4).click()


def invited(page: Page) -> None:
    page.fill("#id_max_uses", "8")
    page.fill("#id_note", "students of the writing course")
    page.get_by_role("button", name="Make a link").click()


def first_import(page: Page) -> None:
    page.get_by_text("letters.csv").first.click()


def first_dispute(page: Page) -> None:
    page.locator(".disputes h3 a").first.click()


RATER = [
    Shot("rank", "ada", DESK, do=in_order),
    Shot("rank-dark", "ada", DESK, do=in_order, scheme="dark"),
    Shot("rater-home", "ada", "/", size=(1280, 480)),
    Shot("rank-guideline", "ada", DESK, part="#guide", size=(1280, 1500)),
    Shot("rank-left-out", "ada", DESK, do=left_out, part="#rank-bar"),
    Shot("rank-better", "ada", DESK, do=bettered, part=".pictured", size=(1280, 1200)),
    Shot("rank-compare", "bea", DESK, do=beside),
    Shot("rank-keys", "bea", DESK, do=lambda page: press(page, "?")),
    Shot("rank-offline", "bea", DESK, do=offline, size=(1280, 560)),
    Shot("rank-scale", "bea", "/rank/polite-letters/", do=rated, part="#text-a"),
    Shot("rank-phone", "dan", DESK, do=close_guide, size=PHONE),
    Shot("my-work", "bea", "/my-work/", size=(1280, 900)),
    Shot("test-explained", "bea", "/my-work/polite-letters/test/", size=(1280, 640)),
    Shot("paused", "eve", "/my-work/", size=(1280, 560)),
]
ADMIN = [
    Shot("campaign", "grace", HERS, size=(1280, 1000)),
    Shot("campaign-new", "grace", "/campaigns/new/", size=(1280, 900)),
    Shot("import-dry-run", "grace", "/campaigns/polite-letters/imports/", do=first_import, size=(1280, 760)),
    Shot("invite", "grace", f"{HERS}invitations/", do=invited, size=(1280, 700)),
    Shot("rules", "grace", HERS, part="#rules"),
    Shot("guideline", "grace", f"{HERS}guideline/", size=(1280, 1000)),
    Shot("quality", "grace", f"{HERS}quality/", size=(1280, 900)),
    Shot("statistics", "grace", f"{HERS}statistics/", size=(1280, 1000)),
    Shot("wall", "grace", f"{HERS}statistics/", part="#wall"),
    Shot("rater-figures", "grace", f"{HERS}rater-figures/", size=(1280, 640)),
    Shot("costs", "grace", f"{HERS}costs/", size=(1280, 800)),
    Shot("review", "rita", "/review/?campaign=everyday-questions", size=(1280, 860)),
    Shot("review-task", "rita", "/review/", do=first_dispute, size=(1280, 1000)),
    Shot("snapshots", "grace", HERS, part="#snapshots"),
]  # fmt: skip

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--only", nargs="+", default=None, help="names of pictures; else all")
    options = parser.parse_args()
    take_all([shot for shot in RATER + ADMIN if options.only is None or shot.name in options.only], out=options.out)
