"""Where people may go: panels and navigation by capability, and pages of long lists."""

from __future__ import annotations

import pytest
from django.test import RequestFactory
from django.urls import reverse
from django.utils import timezone

from accounts import home
from accounts.context import PLACES
from accounts.models import Capability, Role, User
from accounts.paging import BadCursor, page_of
from tests.accounts.people import client_of, person


@pytest.fixture
def no_panels(monkeypatch):
    monkeypatch.setattr(home, "_entries", [])


def test_panels_come_in_order_to_those_who_may_see_them(no_panels, ada, grace):
    home.panel(Capability.SIGN_IN, order=20)(lambda user: home.Panel("second.html", {}))
    home.panel(Capability.SIGN_IN, order=10)(lambda user: home.Panel("first.html", {}))
    home.panel(Capability.MANAGE, order=5)(lambda user: home.Panel("admin.html", {}))
    home.panel(Capability.SIGN_IN, order=1)(lambda user: None)

    assert [panel.template for panel in home.panels_for(ada)] == ["first.html", "second.html"]
    assert [panel.template for panel in home.panels_for(grace)] == ["admin.html", "first.html", "second.html"]


def test_a_home_without_panels_says_so(no_panels, ada):
    assert "Nothing waits for you" in client_of(ada).get("/").content.decode()


@pytest.mark.parametrize("role", Role.values)
def test_the_home_page_opens_for_every_role(db, role):
    assert client_of(person(role)).get("/").status_code == 200


@pytest.mark.parametrize("role", Role.values)
def test_every_place_in_the_navigation_opens(db, role):
    client = client_of(person(role))
    page = client.get("/").content.decode()
    for place in PLACES:
        address = reverse(place.url_name)
        is_offered = f'href="{address}"' in page.split("</nav>")[0]
        assert is_offered == User(role=role).can(place.capability), place
        if is_offered:
            assert client.get(address, follow=True).status_code == 200, place


def test_the_navigation_names_where_one_is(grace):
    assert f'href="{reverse("people")}" aria-current="page"' in client_of(grace).get("/people/").content.decode()


def test_pages_lose_nothing_while_rows_are_added(db):
    for number in range(5):
        person(Role.RATER, name=f"b{number}")
    first = page_of(User.objects.all(), RequestFactory().get("/people/?role=rater"), by="username", size=3)
    person(Role.RATER, name="a-newcomer")
    second = page_of(User.objects.all(), RequestFactory().get(first.next_url), by="username", size=3)

    assert [user.username for user in (*first.items, *second.items)] == ["b0", "b1", "b2", "b3", "b4"]
    assert (first.first_url, second.first_url, second.next_url) == ("", "/people/?role=rater", "")


def test_rows_that_share_a_moment_are_all_on_one_page_or_another(db):
    moment = timezone.now()
    made = {person(Role.RATER, name=f"b{number}").pk for number in range(5)}
    User.objects.update(date_joined=moment)
    seen, address = [], "/people/"
    while address:
        page = page_of(User.objects.all(), RequestFactory().get(address), by="-date_joined", size=2)
        seen += [user.pk for user in page.items]
        address = page.next_url
    assert seen == sorted(made, reverse=True)


@pytest.mark.parametrize("cursor", ["x%00y~1", "1", "~", "1~x", "2026-13-45T00:00~1", "%00~1"])
@pytest.mark.parametrize("by", ["-pk", "-date_joined"])
def test_a_forged_cursor_is_told_and_not_a_crash(db, cursor, by):
    with pytest.raises(BadCursor):
        page_of(User.objects.all(), RequestFactory().get(f"/people/?after={cursor}"), by=by)
