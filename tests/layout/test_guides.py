"""The guides name what stands on the pages, in the pages' words, and show pictures that the scripts take."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GUIDES = ("guide-for-raters.md", "guide-for-admins.md")
LARGEST = 120_000  # bytes of a picture
WORDS = re.compile(r"(?<!\*)\*([^*\n]+)\*(?!\*)")
PICTURE = re.compile(r"!\[[^\]]+\]\((images/[^)]+)\)")
PLACES = (
    "templates/**/*.html",
    "static/annotation/**/*.js",
    "static/js/*.js",
    "annotation/**/*.py",
    "platform/accounts/*.py",
)


TRANSLATED = re.compile(r'{%\s*trans(?:late)? "([^"]*)"[^%]*%}')


def tidy(text: str) -> str:
    text = TRANSLATED.sub(r"\1", text)
    return " ".join(re.sub(r"{%.*?%}|{{.*?}}|<[^>]*>|\$\{.*?\}", " ", text).replace("’", "'").split())


@pytest.fixture(scope="module")
def pages() -> str:
    """As they are written (some words stand in attributes), and again without markup and what varies."""
    written = [path.read_text(encoding="utf-8") for place in PLACES for path in ROOT.glob(place)]
    return " ".join([*written, *map(tidy, written)])


def text_of(guide: str) -> str:
    return (ROOT / "docs" / guide).read_text(encoding="utf-8")


@pytest.mark.parametrize("guide", GUIDES)
def test_what_a_guide_quotes_stands_on_a_page(pages, guide):
    quoted = {words for words in WORDS.findall(text_of(guide)) if words[0].isupper()}
    assert len(quoted) > 20
    assert sorted(words for words in quoted if tidy(words) not in pages) == []


@pytest.mark.parametrize("guide", GUIDES)
def test_each_picture_is_there_and_small_and_made_by_the_script(guide):
    script = (ROOT / "scripts" / "pictures" / "guides.py").read_text(encoding="utf-8")
    for name in PICTURE.findall(text_of(guide)):
        path = ROOT / "docs" / name
        assert path.stat().st_size < LARGEST, name
        assert f'"{path.stem}"' in script, name


def test_no_picture_is_there_that_nobody_shows():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    shown = " ".join(page.read_text(encoding="utf-8") for page in pages)
    pictures = [path.name for path in (ROOT / "docs" / "images").iterdir()]
    assert sorted(name for name in pictures if f"images/{name}" not in shown) == []
