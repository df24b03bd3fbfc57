"""How a program says who it is: by a token, at the cost of one query a request."""

from __future__ import annotations

import binascii
from hmac import compare_digest
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext
from drf_spectacular.contrib.knox_auth_token import KnoxTokenScheme
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from knox.settings import CONSTANTS
from rest_framework.exceptions import AuthenticationFailed

from accounts.models import ApiToken
from accounts.prepared import prepared


@prepared
def tokens_with(token_key: str) -> QuerySet[ApiToken]:
    """Those that may be the one that begins so."""
    found: QuerySet[ApiToken] = ApiToken.objects.filter(token_key=token_key).select_related("user")
    return found


class TokenOnly(TokenAuthentication):  # type: ignore[misc]  # knox has no types
    """Knox as it is, but for looking through the owner's other tokens at each request to delete those that are over.

    One that is over is refused, and stays to be seen in the list of tokens.
    """

    def authenticate_credentials(self, token: bytes) -> Any:
        try:
            told = token.decode("ascii")
            digest = hash_token(told)
        except (ValueError, TypeError, binascii.Error):
            raise AuthenticationFailed(gettext("There is no such token, or its time is over.")) from None
        for one in tokens_with(told[: CONSTANTS.TOKEN_KEY_LENGTH]):
            is_over = one.expiry is not None and one.expiry < timezone.now()
            if compare_digest(digest, one.digest) and not is_over:
                return self.validate_user(one)
        raise AuthenticationFailed(gettext("There is no such token, or its time is over."))


class TokenScheme(KnoxTokenScheme):  # type: ignore[no-untyped-call]  # how the schema tells of it
    target_class = "accounts.authentication.TokenOnly"
