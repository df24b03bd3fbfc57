r"""LaTeX in Markdown: `$..$`, `$$..$$`, `\(..\)` and `\[..\]` become MathML on the server, or stay as they were written.

The converter is native code that recurses, so that a formula deep enough would end the whole process. What may nest is
counted before it sees the formula (`MOST_MARKS`), definitions are refused (they multiply), and lengths that would throw
words out of their place are refused after it. A formula refused for whatever reason is shown as its source.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.utils.html import escape
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from math_core import LatexError, LatexToMathML

LONGEST = 2_000  # characters of one formula
MOST_MARKS = 400  # commands and braces: each may be a level, of 3 kB of stack at most, where a thread has 8 MB
MOST_BRACKETS = 12  # that open: the converter takes twice as long for each one more that is never closed
MOST_EXPANSIONS = 20  # of the converter's own short forms, \textcolor and the like
LONGEST_ROW = 40_000  # characters of the formulas of one text

DEFINES = re.compile(r"\\(?:g?def|let|global|(?:re)?newcommand|providecommand)(?![a-zA-Z])")
# Every command in l is taken for an opening bracket that isn't known to be none; \bigl and its like make one of anything.
OPENS = re.compile(
    r"[(\[]|\\\{|\\[bB]igg?[lmr]?(?![a-zA-Z])|\\ulcorner|"
    r"\\l(?!(?:ambda|og|im|imits|dots|eq|e|eqslant|eft|n|g|l|t|or|and|not|esssim|hd|iminf|imsup|(?:eft|ong)[a-z]*arrow"
    r")(?![a-zA-Z]))[a-zA-Z]"
)
FAR = re.compile(r'="-?(?!\d(?:\.\d+)?em")[\d.]+[a-z%]+"')  # any length but one of less than ten em
CELL = re.compile(r'<mtd style="([^"]*)"')
PROSE = re.compile(r"[^\W\d_]{2,}[,.;:]?\s+[^\W\d_]{2,}|^[\d.,]+\s+[^\W\d_]{2,}")
WRITTEN = re.compile(r"[\\^_={}<>]")

# What a cell's inline style asks for, as a class: the Content-Security-Policy takes no inline style.
CELL_CLASSES = {
    "text-align: left": "left",
    "text-align: right": "right",
    "border-top": "ruled-top",
    "border-bottom": "ruled-bottom",
    "border-left": "ruled-left",
    "border-right": "ruled-right",
    "width: 50%": "margin",
}

_converter = LatexToMathML(fancy_error=False, max_expansions=MOST_EXPANSIONS)


@dataclass(frozen=True, slots=True)
class Fence:
    """How a formula begins and ends, and whether it stands on a line of its own."""

    opens: str
    closes: str
    is_display: bool


FENCES = (
    Fence("$$", "$$", True),
    Fence("$", "$", False),
    Fence("\\[", "\\]", True),
    Fence("\\(", "\\)", False),
)


def as_mathml(latex: str, *, is_display: bool) -> str | None:
    """MathML of a formula, not sanitised yet; None where it can't be read or asks for too much."""
    if len(latex) > LONGEST or DEFINES.search(latex) or latex.count("{") + latex.count("\\") > MOST_MARKS:
        return None
    if (
        len(OPENS.findall(latex)) > MOST_BRACKETS
    ):  # whether they are closed too is not asked: a closer may come too early
        return None
    try:
        mathml = _converter.convert_with_local_state(latex, displaystyle=is_display)
    except LatexError:
        return None
    return None if FAR.search(mathml) else CELL.sub(cell_of, mathml)


def cell_of(found: re.Match[str]) -> str:
    return f'<mtd class="{" ".join(name for style, name in CELL_CLASSES.items() if style in found[1])}"'


def is_money(latex: str) -> bool:
    """Whether what stands between two dollar signs is prose: `$5 a month, or 6$`."""
    return not WRITTEN.search(latex) and PROSE.search(latex) is not None


# Markdown's side


def inline_formula(state: StateInline, silent: bool) -> bool:
    start = state.pos
    fence = next((fence for fence in FENCES if state.src.startswith(fence.opens, start)), None)
    if fence is None:
        return False
    begin = start + len(fence.opens)
    end = state.src.find(fence.closes, begin, min(state.posMax, begin + LONGEST + len(fence.closes)))
    if end < 0:
        return False
    latex = state.src[begin:end]
    after = end + len(fence.closes)
    if not latex.strip() or (fence.opens == "$" and not is_fenced_by_dollars(state.src, start, end)):
        return False
    if not silent:
        push(state, latex, fence)
    state.pos = after
    return True


def is_fenced_by_dollars(src: str, start: int, end: int) -> bool:
    """Whether these two signs are no money: they touch what is between them, and no word or figure from outside."""
    latex = src[start + 1 : end]
    before, after = src[start - 1 : start], src[end + 1 : end + 2]
    touches = not latex[0].isspace() and not latex[-1].isspace() and latex[-1] != "\\"
    return touches and not before.isalnum() and not after.isalnum() and after != "$" and not is_money(latex)


def block_formula(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """A display formula over whole lines, where lines of it would else begin lists or headings."""
    start = state.bMarks[start_line] + state.tShift[start_line]
    fence = next((f for f in FENCES if f.is_display and state.src.startswith(f.opens, start)), None)
    if fence is None or state.is_code_block(start_line):
        return False
    begin = start + len(fence.opens)
    end = state.src.find(fence.closes, begin, min(state.eMarks[end_line - 1], begin + LONGEST) + len(fence.closes))
    if end < 0:
        return False
    last = start_line
    while state.eMarks[last] < end:
        last += 1
        if last >= end_line or state.sCount[last] < state.blkIndent or state.isEmpty(last):
            return False
    if state.src[end + len(fence.closes) : state.eMarks[last]].strip():
        return False
    if not silent:
        lines = state.getLines(start_line, last + 1, state.blkIndent, False).strip()
        push(state, lines.removeprefix(fence.opens).removesuffix(fence.closes), fence, is_block=True)
        state.line = last + 1
    return True


def push(state: StateInline | StateBlock, latex: str, fence: Fence, *, is_block: bool = False) -> None:
    token = state.push("formula_block" if is_block else "formula", "", 0)
    token.content = latex
    token.markup = fence.opens
    token.block = is_block


def render_formula(renderer: RendererHTML, tokens: list[Token], at: int, options: OptionsDict, env: EnvType) -> str:
    token = tokens[at]
    fence = next(fence for fence in FENCES if fence.opens == token.markup)
    env["formulas"] = env.get("formulas", 0) + len(token.content)
    is_short = env["formulas"] <= LONGEST_ROW
    mathml = as_mathml(token.content, is_display=fence.is_display) if is_short else None
    if mathml is None:
        source = escape(f"{fence.opens}{token.content}{fence.closes}")
        return f'<p class="plain">{source}</p>\n' if token.block else source
    shown = f'<span class="formula">{mathml}</span>' if fence.is_display else mathml
    return f"<p>{shown}</p>\n" if token.block else shown


def formulas(markdown: MarkdownIt) -> None:
    """The plugin: `MarkdownIt().use(formulas)`."""
    markdown.inline.ruler.before("escape", "formula", inline_formula)
    markdown.block.ruler.before(
        "fence", "formula_block", block_formula, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    markdown.add_render_rule("formula", render_formula)
    markdown.add_render_rule("formula_block", render_formula)
