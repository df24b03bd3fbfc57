"""What a form on a campaign's page does: it is done and said so, or the page comes back with the form and what is wrong."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts.errors import UserError
from annotation.forms import tell
from annotation.models import Campaign

Show = Callable[..., HttpResponse]


def done_on(
    page: str, show: Show, request: HttpRequest, campaign: Campaign, form: Form, *, name: str, do: Callable[[], str]
) -> HttpResponse:
    """`do` gives the sentence about what it did; `page` is the URL's name, and `show` draws it with the form by its `name`."""
    status = 400
    if form.is_valid():
        try:
            messages.success(request, do())
        except UserError as error:
            tell(form, error)
            status = error.status
        else:
            return redirect(page, campaign.slug)
    return show(request, campaign, status=status, **{name: form})
