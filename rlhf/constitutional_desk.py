"""What is decided at the gate of a constitutional run, from its page."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_POST

from accounts.access import requires, signed_in
from accounts.models import Capability
from accounts.numbers import whole
from rlhf.models import ConstitutionalRun
from rlhf.services.constitutional.gate import close, go_through, send_rest_to_people


@require_POST
@requires(Capability.MANAGE)
def run_through(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Lets the feedback through, or goes on with people's rankings alone."""
    new = go_through(found(pk), user=signed_in(request), people_alone=request.POST.get("learn_from") == "people")
    assert new.preferences is not None
    messages.success(request, gettext("It learns from %(dataset)s.") % {"dataset": new.preferences.name})
    return redirect("constitutional_run", pk)


@require_POST
@requires(Capability.MANAGE)
def run_people(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    sent = send_rest_to_people(found(pk), user=signed_in(request))
    told = ngettext("%(num)s more pair goes to people.", "%(num)s more pairs go to people.", sent)
    messages.success(request, told % {"num": whole(sent)})
    return redirect("constitutional_run", pk)


@require_POST
@requires(Capability.MANAGE)
def run_close(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    close(found(pk), user=signed_in(request))
    return redirect("constitutional_run", pk)


def found(pk: uuid.UUID) -> ConstitutionalRun:
    return get_object_or_404(ConstitutionalRun, pk=pk)
