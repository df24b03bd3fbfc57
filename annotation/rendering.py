"""Texts that people judge, as HTML: Markdown, sanitised by an allow-list. A completion is hostile input.

What a text comes to depends on the text alone, never on how busy the server is: raters of one task see the same. So the
work is bounded by counting steps, not by a clock.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import nh3
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from annotation.formulas import CELL_CLASSES, formulas
from annotation.highlighting import CLASS_NAMES, LONGEST_CODE, highlighted
from annotation.leaving import is_address, is_way_out, way_out

LONGEST_MARKDOWN = 50_000  # characters; a longer text is shown as it is written, since parsing it may take seconds
MOST_STEPS = 9_000  # places where the parser looks for what may begin there; prose has one or two a line
BLOCK_STEPS = 3  # what a paragraph, a list item or a table takes besides its words
LINK_STEPS = 4  # what may be a link or an image
MOST_CELLS = 3_000  # of tables, which are read whole before their words are
MOST_LINKS = 200  # addresses that can be pressed in one text; the rest stand there as words

# No image and no link but to our own page about an address: both would tell a stranger who reads. Their words stay.
WORDS = {
    "a", "p", "br", "hr", "strong", "em", "s", "code", "pre", "span", "blockquote", "ul", "ol", "li", "h3",
    "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip
# Of MathML what shows a formula, and nothing that acts, points or holds other markup (maction, semantics, annotation-xml).
MATHS = {
    "math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "mfrac", "msqrt", "mroot", "msub", "msup", "msubsup", "munder",
    "mover", "munderover", "mmultiscripts", "mprescripts", "mtable", "mtr", "mtd", "mpadded", "mphantom", "menclose",
}  # fmt: skip
TAGS = WORDS | MATHS
ALIGNED = {"left", "center", "right"}
CLASSES = {
    "a": {"address"},
    "h3": {"large", "middle", "small"},
    "p": {"plain"},
    "span": {"formula", *CLASS_NAMES},
    "th": ALIGNED,
    "td": ALIGNED,
    "mtd": set(CELL_CLASSES.values()),
}
ATTRIBUTES = {
    "a": {"href"},
    "ol": {"start"},
    "mfrac": {"linethickness"},
    "mspace": {"width"},
    "mo": {"lspace", "rspace", "minsize", "maxsize"},
    "mpadded": {"width", "lspace"},
}
TRUTH = {"true", "false"}
VALUES = {
    "math": {"display": {"block"}},
    "mi": {"mathvariant": {"normal"}},
    "mo": dict.fromkeys(("stretchy", "symmetric", "largeop", "movablelimits", "separator", "fence"), TRUTH),
    "mover": {"accent": TRUTH},
    "munder": {"accentunder": TRUTH},
    "munderover": {"accent": TRUTH, "accentunder": TRUTH},
    "mrow": {"displaystyle": TRUTH, "scriptlevel": {"0", "1", "2"}},
    "mfrac": {"displaystyle": TRUTH, "scriptlevel": {"0", "1", "2"}},
    "mtable": {"displaystyle": TRUTH, "scriptlevel": {"0", "1", "2"}},
    "menclose": {"notation": {"box", "updiagonalstrike", "downdiagonalstrike", "horizontalstrike"}},
}
LENGTH = re.compile(r"0|-?\d(\.\d+)?em")
NUMBER = re.compile(r"\d{1,9}")


class TooMuch(Exception):
    """A text asks for more steps than any that is meant to be read."""


def count_inline(state: StateInline, silent: bool) -> bool:
    """No rule: it comes first at each place of a line, and counts."""
    return spend(state.env, LINK_STEPS if state.src[state.pos] in "<[" else 1)


def count_block(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    return spend(state.env, BLOCK_STEPS)


def spend(env: EnvType, steps: int) -> bool:
    env["steps"] = env.get("steps", 0) + steps
    if env["steps"] > MOST_STEPS:
        raise TooMuch
    return False


# How what was read is written


def heading(_: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
    """All headings of a text are of one rank below the page's own, however it numbers them; their size still differs."""
    size = {"h1": "large", "h2": "middle"}.get(tokens[at].tag, "small")
    return f'<h3 class="{size}">' if tokens[at].nesting == 1 else "</h3>\n"


def cell(_: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
    side = str(tokens[at].attrs.get("style", "")).removeprefix("text-align:")
    return f'<{tokens[at].tag} class="{side}">' if side in ALIGNED else f"<{tokens[at].tag}>"


def image(renderer: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
    words = renderer.renderInlineAsText(tokens[at].children, options, env).strip()
    return escape(f"[image: {words}]" if words else "[image]")


def fence(_: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
    token = tokens[at]
    language = (token.info.split() or [""])[0]
    env["code"] = env.get("code", 0) + len(token.content)
    code = highlighted(token.content, language=language) if env["code"] <= LONGEST_CODE else escape(token.content)
    return f"<pre><code>{code}</code></pre>\n"


def link_open(_: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
    """The words of a link stay words; behind them its whole address is what one presses, so that none says it is another."""
    env["link"] = address = str(tokens[at].attrs["href"])
    env["links"] = env.get("links", 0) + 1
    env["link_opens"] = env["links"] <= MOST_LINKS and is_address(address)
    env["link_is_bare"] = tokens[at + 1].content == address and tokens[at + 2].type == "link_close"
    return anchor(address, env) if env["link_is_bare"] else ""


def link_close(_: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
    address = env["link"]
    end = "</a>" if env["link_opens"] else ""
    return end if env["link_is_bare"] else f" ({anchor(address, env)}{escape(address)}{end})"


def anchor(address: str, env: EnvType) -> str:
    return f'<a class="address" href="{escape(way_out(address))}">' if env["link_opens"] else ""


def reader() -> MarkdownIt:
    made = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"]).use(formulas)
    made.inline.ruler.before("text", "count", count_inline)
    made.block.ruler.before("table", "count", count_block)
    rules = {
        "heading_open": heading, "heading_close": heading, "th_open": cell, "td_open": cell, "image": image,
        "fence": fence, "link_open": link_open, "link_close": link_close,
    }  # fmt: skip
    for name, rule in rules.items():
        made.add_render_rule(name, rule)
    return made


# What of it is kept


def kept(tag: str, name: str, value: str) -> str | None:
    """An attribute's value where it is one that we write; None drops the attribute."""
    if name == "href":
        return value if is_way_out(value) else None
    if tag == "ol":
        return value if NUMBER.fullmatch(value) else None
    if name in ATTRIBUTES.get(tag, ()):
        return value if LENGTH.fullmatch(value) else None
    return value


_markdown = reader()
CLEANER = nh3.Cleaner(
    tags=TAGS,
    attributes=ATTRIBUTES,
    tag_attribute_values=VALUES,
    allowed_classes=CLASSES,
    attribute_filter=kept,
    set_tag_attribute_values={"a": {"target": "_blank"}},  # the task stays open behind it
    link_rel="noopener noreferrer nofollow",
)


def as_html(text: str) -> SafeString:
    """Safe HTML of Markdown `text`: no script, no style, no image, no link but to our page about it; nothing is fetched."""
    if len(text) > LONGEST_MARKDOWN or text.count("|") > MOST_CELLS:
        return as_written(text)
    try:
        rendered = _markdown.render(text, {})
    except TooMuch:
        return as_written(text)
    return mark_safe(CLEANER.clean(rendered))  # noqa: S308 - sanitised here


def as_written(text: str) -> SafeString:
    return format_html('<p class="plain">{}</p>', text)
