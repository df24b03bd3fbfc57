"""Completions are hostile: whatever a model wrote shows as text, and nothing of it acts, points or fetches."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.rendering import LONGEST_MARKDOWN, TAGS, as_html

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<style>*{display:none}</style>",
    "<iframe src='https://evil.example'></iframe>",
    "<svg><script>alert(1)</script></svg>",
    "<a href='javascript:alert(1)'>press</a>",
    "[press](javascript:alert(1))",
    "[press](https://evil.example)",
    "![seen](https://evil.example/pixel.png)",
    "<https://evil.example>",
    "[ref]: https://evil.example\n[ref]",
    "<form action=https://evil.example><input name=password></form>",
    "<p class='btn primary' id='judgement' style='position:fixed'>Submit</p>",
    "<!-- <b>",
    "</div></article></main><h1>Steadyhand</h1>",
    "`<script>alert(1)</script>`",
    "~~~html\n<script>alert(1)</script>\n~~~",
]


def tags_of(html: str) -> set[str]:
    return set(re.findall(r"<\s*/?\s*([a-zA-Z0-9]+)", html))


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_hostile_becomes_more_than_text(text):
    html = as_html(text)
    assert tags_of(html) <= TAGS
    assert not re.search(r"<[^>]*\s(href|src|on\w+|style|id|name|action)\s*=", html)


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_whatever_is_written_only_known_elements_come_of_it(text):
    assert tags_of(as_html(text)) <= TAGS


def test_the_words_of_links_and_images_stay():
    assert as_html("see [the rules](https://e.example) and ![a cat](https://e.example/cat.png)") == (
        "<p>see the rules and !a cat</p>\n"
    )


def test_what_markdown_means_is_shown():
    html = as_html("## Plan\n\n1. **one**\n2. `two`\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nline\nbroken")
    assert '<h3 class="middle">Plan</h3>' in html
    assert "<strong>one</strong>" in html
    assert "<td>2</td>" in html
    assert "line<br>" in html


def test_headings_are_of_one_rank_below_the_pages_own():
    assert tags_of(as_html("# a\n\n###### b\n\nc\n===")) == {"h3"}


def test_a_list_goes_on_at_its_number():
    assert '<ol start="3">' in as_html("3. three\n4. four")


def test_a_blank_text_comes_to_nothing():
    assert as_html("") == as_html("  \n ") == ""


def test_a_huge_text_is_shown_as_written_and_at_once():
    text = "*<b>" * LONGEST_MARKDOWN
    began = time.monotonic()
    html = as_html(text)
    assert time.monotonic() - began < 1
    assert html == '<p class="plain">' + "*&lt;b&gt;" * LONGEST_MARKDOWN + "</p>"


@pytest.mark.parametrize("piece", ["[", "*a ", "> ", "`", "![[", "_a_ **b", "|a", "- ", "[a](<"])
def test_no_text_keeps_the_server_busy_for_long(piece):
    began = time.monotonic()
    as_html((piece * LONGEST_MARKDOWN)[:LONGEST_MARKDOWN])
    assert time.monotonic() - began < 5
