"""LaTeX is shown as mathematics where it can be read, as its source where it can't, and money stays money."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation.formulas import LONGEST, MOST_MARKS, as_mathml
from annotation.rendering import as_html
from tests.annotation.markup import elements

FRACTION = "<math><mfrac><mi>a</mi><mi>b</mi></mfrac></math>"


@pytest.mark.parametrize("text", [r"$\frac{a}{b}$", r"\(\frac{a}{b}\)", r"\( \frac ab \)"])
def test_a_formula_in_a_line_becomes_mathml(text):
    assert as_html(f"so {text}.") == f"<p>so {FRACTION}.</p>\n"


@pytest.mark.parametrize("text", ["$$x$$", r"\[x\]", "$$\nx\n$$", "\\[\n x\n\\]"])
def test_a_formula_on_lines_of_its_own_is_displayed(text):
    shown = '<p><span class="formula"><math display="block"><mi>x</mi></math></span></p>\n'
    assert as_html(f"before\n\n{text}\n\nafter") == f"<p>before</p>\n{shown}<p>after</p>\n"


def test_a_displayed_formula_ends_the_paragraph_before_it():
    assert as_html("so\n$$\na\n- b\n$$\nthen").count("<p>") == 3


def test_lines_of_a_formula_begin_no_list_and_no_quotation():
    names = {element.name for element in elements(as_html("$$\na\n- b\n> c\n# d\n+ e\n$$"))}
    assert not names & {"ul", "blockquote", "h3"}


def test_formulas_stand_in_lists_quotations_and_tables():
    assert "<math" in as_html("> $$\n> x\n> $$")
    assert "<math" in as_html("- so\n  $$\n  x\n  $$")
    assert "<td>" + FRACTION in as_html("| a |\n|---|\n| $\\frac ab$ |")


@pytest.mark.parametrize(
    "text",
    [
        "$5 and $6",
        "It costs $5-$6.",
        "from $5 to 6$ a piece",
        "$20 per seat and the other is 30$",
        "US$5 and CA$6",
        "$HOME/$USER and $PATH",
        "a $ b $ c",
        r"\$5 and \$6$",
        "$$$",
        "$ $",
        "`$x$`",
    ],
)
def test_money_and_names_stay_as_they_are(text):
    assert "<math" not in as_html(text)


@pytest.mark.parametrize(
    "latex",
    [
        r"\frac{1",
        r"\unheardof{x}",
        r"\left( x",
        r"\begin{matrix} 1",
        "x_1_2",
        r"\href{javascript:stolen()}{x}",
        r"\hspace{100em}x",
        r"\newcommand{\a}{\a\a}\a",
        r"\def\a{xxxxxxxxxx}\a",
        r"\let\a\frac",
        "{" * (MOST_MARKS + 1),
        "x" * (LONGEST + 1),
    ],
)
def test_a_formula_that_cant_be_read_or_asks_for_too_much_is_its_source(latex):
    assert as_mathml(latex, is_display=False) is None
    html = as_html(f"so $${latex}$$")
    assert "<math" not in html
    assert latex.replace("\\_", "_")[:12].split("{")[0] in html


def test_the_source_of_a_formula_that_cant_be_read_keeps_its_signs():
    assert as_html(r"so $\frac{1$ and **on**") == "<p>so $\\frac{1$ and <strong>on</strong></p>\n"
    assert as_html("$$\n\\frac{1\n$$") == '<p class="plain">$$\n\\frac{1\n$$</p>\n'


@pytest.mark.parametrize(
    ("latex", "name"),
    [
        (r"\sum_{i=1}^n x_i", "munderover"),
        (r"\sqrt[3]{x}", "mroot"),
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", "mtable"),
        (r"\mathbb{E}_{x \sim D}\left[\log \pi_\theta(y \mid x)\right]", "msub"),
        (r"\boxed{42}", "menclose"),
        (r"\begin{align*}a&=b\\c&=d\end{align*}", "mtr"),
        (r"\underbrace{x}_{n} \to \vec{v}", "munder"),
    ],
)
def test_what_people_and_models_write_is_shown(latex, name):
    assert name in {element.name for element in elements(as_html(f"$${latex}$$"))}


def test_the_columns_of_an_alignment_keep_their_sides():
    html = as_html(r"$$\begin{aligned}a&=b\end{aligned}$$")
    assert '<mtd class="right"><mi>a</mi>' in html
    assert '<mtd class="left"><mo>=</mo>' in html


NESTS = ["{", r"\frac{", r"\frac ", r"\hat ", r"\hat{", "x^{", "x_{", r"\sqrt{", r"\sqrt[", r"\left(", r"\mathrm{", r"\text{",
         r"\overset{", r"\begin{matrix}", r"\color{red}", r"\displaystyle ", r"\boxed{", r"{a\over ", "'", "^", "_", "[", "&",
         r"\not ", r"\underbrace{", r"\operatorname{", "}", "]", r"\right)", r"\end{matrix}", "x", r"\\"]  # fmt: skip


def on_a_small_stack(latex: str) -> None:
    """The converter is native and recurses: too deep a formula ends the process, this one with all its tests."""
    kilobytes = 1024  # threads of a server have eight times that
    before = threading.stack_size(kilobytes * 1024)
    try:
        thread = threading.Thread(target=as_mathml, args=(latex,), kwargs={"is_display": True})
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()


@pytest.mark.parametrize("opens", NESTS)
def test_no_nesting_ends_the_process(opens):
    count = min(MOST_MARKS // max(opens.count("{") + opens.count("\\"), 1), LONGEST // (len(opens) + 1) - 1)
    for inner in ("x", ""):
        on_a_small_stack(opens * count + inner + ("}" if "{" in opens else "") * count)
        on_a_small_stack(opens * count + inner)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(NESTS), max_size=400).map("".join))
def test_no_mixture_of_nestings_ends_the_process(latex):
    on_a_small_stack(latex[:LONGEST])
