"""Every address of every app against every role: what opens is what docs/permissions.md says, and nothing is undeclared.

After a change that is meant: STEADYHAND_WRITE=1 pytest tests/security/test_permissions.py -k documentation
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from rest_framework.test import force_authenticate
from rest_framework.views import APIView

from accounts.access import PUBLIC
from accounts.middleware import DenyByDefault
from accounts.models import Role, User
from tests.accounts.people import client_of, person
from tests.security.walk import Address, addresses, holders

TABLE = Path(__file__).parents[2] / "docs" / "permissions.md"
ADDRESSES = addresses()
OPEN_TO_ANYBODY = {
    "/login/",
    "/logout/",
    "/language/",  # the words on the door
    "/words/<str:language>.js",
    "/join/<str:token>/",  # lets in who has the token of an invitation
}
REFUSED = {401, 403}

HEAD = """# Who may open what

Written by `STEADYHAND_WRITE=1 pytest tests/security/test_permissions.py -k documentation` from the addresses
themselves, and compared with them by the same test: an address that isn't here, or asks for something else, fails.
What one finds behind an address is narrowed further to what is one's own (a rater's campaigns, one's tokens).

| address | asks for | rater | reviewer | researcher | admin |
|---|---|---|---|---|---|
"""


def test_the_table_in_the_documentation_is_true():
    text = HEAD + "".join(row(address) for address in ADDRESSES)
    if os.environ.get("STEADYHAND_WRITE"):
        TABLE.write_text(text)
    assert TABLE.read_text() == text, "docs/permissions.md says otherwise: see the first lines of this file"


def row(address: Address) -> str:
    asked = f"{address.read}" if address.read == address.write else f"{address.read} / {address.write}"
    reads, writes = holders(address.read), holders(address.write)
    if address.read == address.write:
        cells = ["yes" if role in reads else "–" for role in Role.values]
    else:
        cells = ["read, write" if role in writes else "read" if role in reads else "–" for role in Role.values]
    return f"| `{address.route}` | {asked} | {' | '.join(cells)} |\n"


def test_every_address_says_for_whom_it_is():
    assert [address.route for address in ADDRESSES if address.read is None or address.write is None] == []


def test_only_the_door_is_open_to_anybody():
    assert {address.route for address in ADDRESSES if PUBLIC in (address.read, address.write)} == OPEN_TO_ANYBODY


@pytest.mark.parametrize("address", ADDRESSES, ids=lambda address: address.route)
def test_strangers_get_nowhere(db, address):
    for method in methods(address):
        answer = Client().generic(method, address.path)
        if address.is_public:
            assert answer.status_code not in REFUSED
        elif address.is_api:
            assert answer.status_code == 401, method
        else:
            assert (answer.status_code, answer["Location"].split("?")[0]) == (302, reverse(settings.LOGIN_URL)), method


@pytest.mark.parametrize("role", Role.values)
@pytest.mark.parametrize("address", ADDRESSES, ids=lambda address: address.route)
def test_each_role_gets_as_far_as_the_table_says(db, address, role):
    client = client_of(person(role))
    for method in methods(address):
        may = role in holders(address.read if method in ("GET", "HEAD") else address.write)
        if may and method not in ("GET", "HEAD"):
            continue  # what writing does is its own tests' matter
        assert is_refused(client.generic(method, address.path)) != may, method


def methods(address: Address) -> tuple[str, ...]:
    return ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE") if address.is_api else ("GET", "HEAD", "POST")


def is_refused(answer: HttpResponse) -> bool:
    return answer.status_code in REFUSED


def test_an_undeclared_view_is_open_to_nobody(rf, db):
    def forgotten(request):
        raise AssertionError("it was called")

    for role in Role.values:
        request = rf.get("/forgotten/", headers={"Accept": "application/json"})
        request.user = User(username="x", role=role)
        answer = DenyByDefault(forgotten).process_view(request, forgotten, (), {})
        assert answer.status_code == 403


def test_an_undeclared_api_view_is_open_to_nobody(rf, db):
    class Forgotten(APIView):
        def get(self, request):
            raise AssertionError("it was called")

    for role in Role.values:
        request = rf.get("/forgotten/")
        force_authenticate(request, user=person(role))
        assert Forgotten.as_view()(request).status_code == 403
