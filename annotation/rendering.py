"""Texts that people judge, as HTML: Markdown, sanitised by an allow-list. A completion is hostile input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import nh3
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token

# No link and no image: one leads away from the desk, the other tells a stranger who reads. Their words stay.
TAGS = {
    "p", "br", "hr", "strong", "em", "s", "code", "pre", "blockquote", "ul", "ol", "li", "h3",
    "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip
SIZES = {"h3": {"large", "middle", "small"}}
ATTRIBUTES = {"ol": {"start"}}
LONGEST_MARKDOWN = 50_000  # characters; a longer text is shown as it is written, since parsing it may take seconds

_markdown = (
    MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"]).disable("image")
)


def heading(_: Any, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    """All headings of a text are of one rank below the page's own, however it numbers them; their size still differs."""
    size = {"h1": "large", "h2": "middle"}.get(tokens[at].tag, "small")
    return f'<h3 class="{size}">' if tokens[at].nesting == 1 else "</h3>\n"


_markdown.add_render_rule("heading_open", heading)
_markdown.add_render_rule("heading_close", heading)


def as_html(text: str) -> SafeString:
    """Safe HTML of Markdown `text`: no script, no style, no link, no image, nothing fetched from anywhere."""
    if len(text) > LONGEST_MARKDOWN:
        return format_html('<p class="plain">{}</p>', text)
    cleaned = nh3.clean(_markdown.render(text), tags=TAGS, attributes=ATTRIBUTES, allowed_classes=SIZES)
    return mark_safe(cleaned)  # noqa: S308 - sanitised here
