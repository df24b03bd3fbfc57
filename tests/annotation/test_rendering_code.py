"""Code is coloured by classes alone, in the languages that are known; whatever its colour, it reads as it was written."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation.highlighting import C_FAMILY, CLASS_NAMES, LANGUAGES, LONGEST_CODE, highlighted, lexer_of
from annotation.rendering import as_html


def words_of(markup: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", markup))


def test_code_is_coloured_by_what_it_is():
    shown = as_html("```python\ndef add(a):  # sums\n    return a + 1.5 if a else 'none'\n```")
    for name, text in [("word", "def"), ("name", "add"), ("note", "# sums"), ("number", "1.5"), ("string", "'none'")]:
        assert f'<span class="hl-{name}">{html.escape(text, quote=False)}</span>' in shown.replace("&#x27;", "'")


@pytest.mark.parametrize("language", ["", "klingon", "../../etc/passwd", "python3.11", "<script>", "PYTHONN"])
def test_an_unknown_language_is_shown_plain(language):
    assert as_html(f"```{language}\nif x < 1:\n```") == "<pre><code>if x &lt; 1:\n</code></pre>\n"


def test_the_name_of_a_language_is_known_in_capitals_too():
    assert "hl-word" in as_html("```Python\ndef f(): ...\n```")


def test_a_list_of_languages_that_are_all_there():
    assert [name for name in sorted(LANGUAGES | C_FAMILY) if lexer_of(name) is None] == []


CODE = st.one_of(
    st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r"), max_size=200),
    st.lists(
        st.sampled_from(
            ["<b>", "&amp;", '"', "'", "\\", "/*", "*/", "//", "#", "\n", " ", "def f(", "<!--", "{", "}", "x"]
        )
    ).map("".join),
)


ONCE_EACH = sorted({type(lexer_of(name)): name for name in sorted(LANGUAGES | C_FAMILY)}.values())


@pytest.mark.parametrize("language", ONCE_EACH)
def test_no_sign_of_the_code_is_lost_or_becomes_markup(language):
    @settings(max_examples=25, deadline=None)
    @given(CODE)
    def check(code):
        shown = highlighted(code, language=language)
        assert words_of(shown) == code
        assert set(re.findall(r"<[^>]*>", shown)) <= {"</span>", *(f'<span class="{name}">' for name in CLASS_NAMES)}

    check()


def test_very_long_code_and_lines_that_nobody_writes_are_shown_plain():
    assert "<span" not in as_html("```c\n" + "int x;\n" * LONGEST_CODE + "```")
    assert "<span" not in as_html("```c\nint x; " + "y" * 500 + "\n```")
    assert "<span" not in as_html("```c\nint x;" + "\n" * 200 + "int y;\n```")


def test_what_is_coloured_of_one_text_has_an_end_however_it_is_divided():
    block = "```c\n" + "int x;\n" * 100 + "```\n\n"
    coloured = as_html(block * 20).count('<span class="hl-word">int</span>')
    assert 700 <= coloured <= LONGEST_CODE // len("int x;\n")
