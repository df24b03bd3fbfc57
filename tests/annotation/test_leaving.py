"""The page between a text and an address that it names: it opens for what we signed, and says where one goes."""

from __future__ import annotations

import html
import re

import pytest
from django.core.signing import Signer
from django.urls import reverse

from annotation.leaving import way_out
from annotation.rendering import as_html
from tests.accounts.people import client_of


def test_a_link_of_a_text_leads_to_a_page_that_shows_the_address_and_goes_nowhere_by_itself(ada, db):
    href = html.unescape(re.search(r'href="([^"]+)"', as_html("[x](http://e.example/a?b=1&c=2#d)"))[1])
    answer = client_of(ada).get(href)
    page = answer.content.decode()
    assert answer.status_code == 200
    assert 'href="http://e.example/a?b=1&amp;c=2#d" rel="noopener noreferrer nofollow"' in page
    assert "this address is not encrypted" in page
    assert "refresh" not in page.lower()


@pytest.mark.parametrize(
    "to",
    [
        "",
        "https://evil.example",
        "https://evil.example:AAAA",
        Signer().sign("https://evil.example"),  # signed here, for another purpose
        Signer(salt="annotation.leaving").sign("javascript:stolen()"),
        Signer(salt="annotation.leaving").sign("//evil.example"),
    ],
    ids=["nothing", "unsigned", "badly signed", "signed for another purpose", "a script", "no scheme"],
)
def test_other_addresses_are_not_vouched_for(ada, db, to):
    answer = client_of(ada).get(reverse("leaving"), {"to": to})
    assert answer.status_code == 404
    assert "evil.example" not in answer.content.decode()


def test_a_signed_address_that_was_changed_is_refused(ada, db):
    assert client_of(ada).get(way_out("https://good.example").replace("good", "evil")).status_code == 404


def test_a_stranger_is_sent_to_log_in(client, db):
    assert client.get(way_out("https://good.example")).status_code == 302
