"""Code in a text, coloured on the server: a few classes and no style, in the languages that people ask models for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from typing import ClassVar

from django.utils.html import escape
from pygments.lexer import Lexer, RegexLexer, words
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Keyword, Literal, Name, Number, Operator, String, Text, _TokenType
from pygments.util import ClassNotFound

# The lexers are piles of regular expressions: these were tried with code that is meant to keep them busy, others weren't.
LANGUAGES = {
    "bash", "sh", "shell", "zsh", "css", "diff", "docker", "dockerfile", "go", "golang", "haskell", "hs", "html", "ini",
    "javascript", "js", "json", "jsx", "lua", "php", "python", "py", "python3", "r",
    "ruby", "rb", "rust", "rs", "sql", "swift", "tex", "latex", "toml", "ts", "typescript", "xml", "yaml", "yml",
}  # fmt: skip
C_FAMILY = {"c", "c++", "cpp", "h", "hpp", "c#", "cs", "csharp", "objective-c", "objc", "java", "kotlin", "scala"}
C_WORDS = (
    "abstract", "async", "auto", "await", "base", "bool", "break", "byte", "case", "catch", "char", "class", "const",
    "constexpr", "continue", "decimal", "def", "default", "delete", "do", "double", "else", "enum", "explicit",
    "extends", "extern", "false", "final", "float", "for", "foreach", "friend", "fun", "goto", "if", "implements",
    "import", "in", "inline", "instanceof", "int", "interface", "internal", "lazy", "long", "match", "mutable",
    "namespace", "new", "noexcept", "null", "nullptr", "object", "operator", "out", "override", "package", "private",
    "protected", "public", "readonly", "record", "ref", "register", "return", "sealed", "short", "signed", "sizeof",
    "static", "string", "struct", "super", "switch", "template", "this", "throw", "throws", "trait", "true", "try",
    "typedef", "typename", "union", "unsigned", "using", "val", "var", "virtual", "void", "volatile", "when", "while",
    "yield",
)  # fmt: skip
LONGEST_CODE = 6_000  # characters of code that are coloured in one text; what is longer is shown plain
# Lines and gaps of a length that nobody writes are where those expressions take the square of it: shown plain, too.
STRANGE = re.compile(r"[^\n]{401}|\s{101}")

# The first that a token is of counts.
CLASSES: tuple[tuple[_TokenType, str], ...] = (
    (Comment, "hl-note"),
    (String, "hl-string"),
    (Number, "hl-number"),
    (Literal, "hl-string"),
    (Keyword, "hl-word"),
    (Operator.Word, "hl-word"),
    (Name.Tag, "hl-word"),
    (Name.Function, "hl-name"),
    (Name.Class, "hl-name"),
    (Name.Decorator, "hl-name"),
    (Name.Attribute, "hl-name"),
    (Name.Builtin, "hl-name"),
    (Name.Exception, "hl-name"),
)
CLASS_NAMES = {name for _, name in CLASSES}


def highlighted(code: str, *, language: str) -> str:
    """HTML of `code` with spans of `CLASS_NAMES`; without any where the language is not known here."""
    lexer = lexer_of(language)
    if lexer is None or len(code) > LONGEST_CODE or STRANGE.search(code):
        return escape(code)
    return "".join(
        f'<span class="{name}">{escape(text)}</span>' if name else escape(text) for name, text in pieces(lexer, code)
    )


class CFamilyLexer(RegexLexer):  # type: ignore[misc]  # the library has no types
    """C and its kin by their words alone: the library's own lexers take seconds for a page of blank lines."""

    tokens: ClassVar = {
        "root": [
            (r"\s+", Text),
            (r"//[^\n]*", Comment),
            (r"/\*[^*]*(?:\*(?!/)[^*]*)*(?:\*/)?", Comment),
            (r'"(?:[^"\\\n]|\\.)*"?', String),
            (r"'(?:[^'\\\n]|\\.)*'?", String),
            (r"#[a-z]+", Keyword),
            (words(C_WORDS, suffix=r"\b"), Keyword),
            (r"[A-Za-z_]\w*(?=\()", Name.Function),
            (r"[A-Za-z_]\w*", Name),
            (r"\d[\w.]*", Number),
            (r"[^\w\s]", Text),
            (r".", Text),
        ]
    }


def lexer_of(language: str) -> Lexer | None:
    if language.lower() in C_FAMILY:
        return CFamilyLexer(stripnl=False, ensurenl=False)
    if language.lower() not in LANGUAGES:
        return None
    try:
        return get_lexer_by_name(language.lower(), stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


def pieces(lexer: Lexer, code: str) -> Iterator[tuple[str, str]]:
    """(class or "", text), with neighbours of one class in one piece."""
    named = ((class_of(kind), text) for kind, text in lexer.get_tokens(code))
    for name, group in groupby(named, key=lambda piece: piece[0]):
        yield name, "".join(text for _, text in group)


def class_of(kind: _TokenType) -> str:
    return next((name for parent, name in CLASSES if kind in parent), "")
