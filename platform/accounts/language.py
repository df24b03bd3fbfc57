"""The language in which a page speaks: what the person chose, else what her browser asks for."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import translation
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_POST
from django.views.i18n import JavaScriptCatalog

from accounts.access import public
from accounts.errors import NotFound, UserError
from accounts.models import User


class UnknownLanguage(UserError):
    code = "unknown_language"


def language_of(user: User) -> str:
    """What she chose, or "" where she never did or it is offered no more."""
    return user.interface_language if user.interface_language in dict(settings.LANGUAGES) else ""


class Language:
    """Speaks a signed-in person's own language, wherever she logs in; Django's `LocaleMiddleware` has settled the rest."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if isinstance(request.user, User) and (chosen := language_of(request.user)):
            translation.activate(chosen)
            request.LANGUAGE_CODE = translation.get_language()
        response: HttpResponse = self.get_response(request)
        return response


@public
@require_POST
def choose_language(request: HttpRequest) -> HttpResponse:
    """Keeps the choice with the account, and in a cookie for the pages before she logs in; goes back to the page."""
    chosen = request.POST.get("language", "")
    if chosen not in dict(settings.LANGUAGES):
        raise UnknownLanguage(_("This language is not offered here."))
    if isinstance(request.user, User):
        User.objects.filter(pk=request.user.pk).update(interface_language=chosen)
    back = request.headers.get("referer", "")  # the page's own address, which it need not repeat
    if not url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()}, require_https=request.is_secure()):
        back = reverse("home")
    answer = redirect(back)
    answer.set_cookie(
        settings.LANGUAGE_COOKIE_NAME, chosen, max_age=settings.LANGUAGE_COOKIE_AGE, samesite="Lax", httponly=True,
        secure=request.is_secure(),
    )  # fmt: skip
    return answer


@public
@cache_control(max_age=300, public=True)
def words(request: HttpRequest, language: str) -> HttpResponseBase:
    """`gettext` and its kin for scripts, with the words of that language."""
    if language not in dict(settings.LANGUAGES):
        raise NotFound(_("This language is not offered here."))
    with translation.override(language):
        return JavaScriptCatalog.as_view()(request)
