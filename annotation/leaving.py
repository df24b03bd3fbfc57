"""Addresses that stand in texts: reached by way of a page of ours that says where one goes. Only what we signed gets there."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

from django.core.signing import BadSignature, Signer
from django.urls import reverse
from django.utils.translation import gettext

from accounts.errors import NotFound

SCHEMES = ("http", "https")
LONGEST_ADDRESS = 2_000

_signer = Signer(salt="annotation.leaving")


def is_address(address: str) -> bool:
    """Whether it leads to a page somewhere: http or https, with a host, and no name or password before it."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    is_whole = parts.scheme in SCHEMES and bool(parts.hostname) and "@" not in parts.netloc
    return is_whole and len(address) <= LONGEST_ADDRESS


def way_out(address: str) -> str:
    """Our page about an address of a text."""
    return f"{reverse('leaving')}?{urlencode({'to': _signer.sign(address)})}"


def is_way_out(href: str) -> bool:
    return href.startswith(f"{reverse('leaving')}?to=")


def where_to(signed: str) -> str:
    """The address that `way_out` signed. Raises `NotFound` for any other: the page vouches for no stranger's link."""
    try:
        address = _signer.unsign(signed)
    except BadSignature as error:
        raise NotFound(gettext("This link was not made here, or was cut short."), code="no_such_link") from error
    if not is_address(address):
        raise NotFound(gettext("This is no address of a page."), code="no_such_link")
    return address
