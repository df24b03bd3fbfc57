"""Headers on every page, and markup that lives under the strictest policy: no inline script, no inline style."""

from __future__ import annotations

import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from accounts.models import Role
from tests.accounts.people import client_of, person
from tests.security.walk import addresses

TEMPLATES = sorted((settings.BASE_DIR / "templates").rglob("*.html"))
SCRIPTS = sorted(path for path in (settings.BASE_DIR / "static").rglob("*.js") if "vendor" not in path.parts)


@pytest.fixture
def clients(db) -> list[Client]:
    return [client_of(person(role)) for role in Role.values] + [Client()]


@pytest.mark.parametrize("address", addresses(), ids=lambda address: address.route)
def test_every_answer_carries_the_headers_and_obeys_them(clients, address):
    for client in clients:
        answer = client.get(address.path)
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["X-Frame-Options"] == "DENY"
        assert answer["Referrer-Policy"] == "same-origin"
        policy = directives(answer["Content-Security-Policy"])
        assert "Content-Security-Policy-Report-Only" not in answer
        assert (
            policy["default-src"] == policy["object-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        )
        assert policy["style-src"] == policy["form-action"] == "'self'"
        assert re.fullmatch(r"'self'( 'nonce-[^']+')?", policy["script-src"])
        if answer.get("Content-Type", "").startswith("text/html"):
            assert inline_in(answer.content.decode()) == []


def directives(policy: str) -> dict[str, str]:
    return {name: value for name, _, value in (part.strip().partition(" ") for part in policy.split(";"))}


class Inline(HTMLParser):
    """Collects whatever the policy would refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.found += [f"<{tag} {name}>" for name in given if name == "style" or name.startswith(("on", "hx-on"))]
        if tag == "style":
            self.found.append("<style>")
        if tag == "script" and "src" not in given and given.get("type") != "application/json":
            self.found.append("<script> without src")
        self.found += [
            f"{name}={value}" for name, value in attrs if value and value.strip().startswith(("javascript:", "js:"))
        ]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_template_has_inline_script_or_style(template):
    assert inline_in(re.sub(r"{%.*?%}|{#.*?#}", "", template.read_text(), flags=re.S)) == []


def inline_in(html: str) -> list[str]:
    parser = Inline()
    parser.feed(html)
    return parser.found


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_script_makes_markup_or_code_out_of_text(script):
    told = re.findall(
        r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|new Function)\b\s*[=(+]", script.read_text()
    )
    assert told == []


def test_templates_mark_nothing_safe_but_help_of_our_own_forms():
    marked = {
        (path.name, found)
        for path in TEMPLATES
        for found in re.findall(r"{{ *([\w.]+)\|(?:[\w:'\"]+\|)*safe(?:seq)? *}}|autoescape off", path.read_text())
    }
    assert marked == {("field.html", "field.help_text")}


def test_what_is_shown_of_a_name_is_text_and_never_markup(db):
    grace = person(Role.ADMIN)
    person(Role.RATER, name="<img src=x onerror=alert(1)>")
    page = client_of(grace).get("/people/").content.decode()
    assert "<img" not in page and "&lt;img src=x" in page


def test_pages_that_carry_a_secret_are_not_stored(db):
    client = client_of(person(Role.ADMIN))
    for path in ("/people/", "/tokens/", "/password/"):
        assert "no-store" in client.get(path)["Cache-Control"], path


def test_the_frame_of_a_page_turns_off_what_htmx_would_evaluate(db):
    page = Client().get("/login/").content.decode()
    assert (
        '"allowEval": false' in page
        and '"allowScriptTags": false' in page
        and '"includeIndicatorStyles": false' in page
    )


def test_the_static_files_we_serve_of_others_are_the_ones_we_looked_at():
    vendor = Path(settings.BASE_DIR) / "static" / "vendor"
    for line in (vendor / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == digest, name
