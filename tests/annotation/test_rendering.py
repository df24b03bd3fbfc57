"""Completions are hostile: whatever a model wrote shows as text, and nothing of it acts, points or fetches."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.rendering import CLEANER, MATHS, TAGS, as_html
from tests.annotation.markup import ATTACKS, HTML, MATHML, elements, read_again

HOSTILE = [
    *ATTACKS,
    "[press](javascript:stolen())",
    "[press](data:text/html,<script>stolen()</script>)",
    "[press](vbscript:stolen())",
    "[press](https://evil.example)",
    '[press](https://evil.example "x\' onmouseover=stolen()")',
    "[press](https://evil.example/\"onmouseover='stolen()')",
    "![seen](https://evil.example/pixel.png)",
    "![](https://evil.example/pixel.png)",
    "![<img src=x onerror=stolen()>](x)",
    "[![seen](https://evil.example/pixel.png)](https://evil.example)",
    "<https://evil.example>",
    "[ref]: https://evil.example\n[ref]",
    "`<script>stolen()</script>`",
    "~~~html\n<script>stolen()</script>\n~~~",
    "```html\n</code></pre><script>stolen()</script>\n```",
    "```<script>stolen()</script>\nx\n```",
    "|<script>stolen()</script>|\n|--|\n|<img src=x onerror=stolen()>|",
    r"$\text{<script>stolen()</script>}$",
    r"$\text{</mtext></math><img src=x onerror=stolen()>}$",
    r"$$\href{javascript:stolen()}{x}$$",
    r"$\htmlStyle{position:fixed}{x}$ $\htmlId{judgement}{x}$ $\style{position:fixed}{x}$",
    r"$\class{btn}{x}$ $\data{open=#skip}{x}$",
    "$<script>stolen()</script>$",
    r"\(</math><svg onload=stolen()>\)",
    r"\[ \begin{align} x \label{judgement} \tag{<b>} \end{align} \]",
    r"$\includegraphics{https://evil.example/x.png}$",
]
HARMLESS = {
    "a": {"class", "href", "rel", "target"}, "ol": {"start"}, "h3": {"class"}, "p": {"class"}, "span": {"class"},
    "th": {"class"}, "td": {"class"}, "mtd": {"class"}, "math": {"display"}, "mi": {"mathvariant"},
    "mo": {"lspace", "rspace", "minsize", "maxsize", "stretchy", "symmetric", "largeop", "movablelimits", "fence", "separator"},
    "mspace": {"width"}, "mfrac": {"linethickness", "displaystyle", "scriptlevel"}, "mpadded": {"width", "lspace"},
    "mrow": {"displaystyle", "scriptlevel"}, "mtable": {"displaystyle", "scriptlevel"}, "mover": {"accent"},
    "munder": {"accentunder"}, "munderover": {"accent", "accentunder"}, "menclose": {"notation"},
}  # fmt: skip


def check(html: str) -> None:
    """Nothing but elements of the list in their own namespaces, with attributes that do nothing."""
    for element in elements(html):
        assert element.name in TAGS
        assert element.namespace == (MATHML if element.name in MATHS else HTML)
        assert set(element.attributes) <= HARMLESS.get(element.name, set())
        if element.name == "a" and "href" in element.attributes:
            assert element.attributes["href"].startswith("/leaving/?to=")
            assert element.attributes["rel"] == "noopener noreferrer nofollow"


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_hostile_becomes_more_than_text(text):
    html = as_html(text)
    check(html)
    check(read_again(html))


@pytest.mark.parametrize("html", ATTACKS)
def test_the_allow_list_holds_by_itself_were_markup_ever_let_through(html):
    cleaned = CLEANER.clean(html)
    check(cleaned)
    check(read_again(cleaned))


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_whatever_is_written_only_known_elements_come_of_it(text):
    check(as_html(text))


SCRAPS = ["<", ">", '"', "'", "`", "$", "$$", "\\(", "\\)", "\\[", "\\]", "[", "](", ")", "![", "|", "\n", "\n\n", "- ",
          "> ", "```html\n", "~~~", "\\text{", "\\frac{", "}", "{", "&", "&lt;", "<math>", "<mtext>", "<svg>", "<style>",
          "</math>", "<img src=x onerror=stolen()>", "<!--", "-->", "]]>", "https://evil.example", "javascript:", "x", "\\",
          "\\begin{matrix}", "\\end{matrix}", "^", "_", "\x00", "\ufdd0", "|--|\n"]  # fmt: skip


@given(st.lists(st.sampled_from(SCRAPS), max_size=40).map("".join))
def test_scraps_of_markup_in_any_order_come_to_nothing_more(text):
    html = as_html(text)
    check(html)
    check(read_again(html))


@given(st.lists(st.sampled_from(SCRAPS), max_size=40).map("".join))
def test_scraps_that_the_sanitiser_alone_is_given_come_to_nothing_more(html):
    check(CLEANER.clean(html))


def test_an_image_is_named_and_never_fetched():
    assert as_html("![a *cat*](https://e.example/cat.png) ![](x)") == "<p>[image: a cat] [image]</p>\n"


def test_a_links_words_stay_words_and_its_whole_address_is_what_one_presses():
    html = as_html("see [the rules](https://e.example/a?b=1&c=2) now")
    assert re.fullmatch(
        r'<p>see the rules \(<a class="address" href="/leaving/\?to=[^"]+" target="_blank" '
        r'rel="noopener noreferrer nofollow">https://e.example/a\?b=1&amp;c=2</a>\) now</p>\n',
        html,
    )


def test_words_that_claim_to_be_another_address_are_told_by_the_true_one_behind_them():
    html = as_html("[https://bank.example](https://evil.example)")
    assert "https://bank.example (<a" in html
    assert ">https://evil.example</a>" in html


def test_an_address_in_letters_that_look_alike_is_shown_as_it_is_sent():
    assert ">https://xn--80ak6aa92e.com</a>" in as_html("[apple](https://аррӏе.com)")


def test_an_address_by_itself_stands_there_once():
    assert as_html("<https://e.example>").count(">https://e.example</a>") == 1


@pytest.mark.parametrize(
    "address", ["mailto:a@e.example", "/rank/", "#submit", "ftp://e.example", "https://a:b@e.example"]
)
def test_other_addresses_are_words_only(address):
    assert as_html(f"[x]({address})") == f"<p>x ({address})</p>\n"


def test_what_markdown_means_is_shown():
    html = as_html("## Plan\n\n1. **one**\n2. `two`\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\nline\nbroken")
    assert '<h3 class="middle">Plan</h3>' in html
    assert "<strong>one</strong>" in html
    assert '<td class="right">2</td>' in html
    assert "line<br>" in html


def test_headings_are_of_one_rank_below_the_pages_own():
    assert {element.name for element in elements(as_html("# a\n\n###### b\n\nc\n==="))} == {"h3"}


def test_a_list_goes_on_at_its_number():
    assert '<ol start="3">' in as_html("3. three\n4. four")


def test_a_blank_text_comes_to_nothing():
    assert as_html("") == as_html("  \n ") == ""
