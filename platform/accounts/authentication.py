"""How a program says who it is: by a token, at the cost of one query a request."""

from __future__ import annotations

from django.utils import timezone
from drf_spectacular.contrib.knox_auth_token import KnoxTokenScheme
from knox.auth import TokenAuthentication

from accounts.models import ApiToken


class TokenOnly(TokenAuthentication):  # type: ignore[misc]  # knox has no types
    """Knox as it is, but for looking through the owner's other tokens at each request to delete those that are over."""

    def _cleanup_token(self, auth_token: ApiToken) -> bool:
        """Whether this one is over; it is refused then, and stays to be seen in the list of tokens."""
        return auth_token.expiry is not None and auth_token.expiry < timezone.now()


class TokenScheme(KnoxTokenScheme):  # type: ignore[no-untyped-call]  # how the schema tells of it
    target_class = "accounts.authentication.TokenOnly"
