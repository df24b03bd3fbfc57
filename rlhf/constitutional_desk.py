"""What is decided at the gate of a constitutional run, and asked of people afterwards, from its page."""

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
from annotation.forms import tell
from annotation.services.campaigns import BadCampaign
from rlhf.constitutional_form import VotesForm
from rlhf.constitutional_views import run_page
from rlhf.models import ConstitutionalRun
from rlhf.services.constitutional.gate import close, go_through, send_rest_to_people
from rlhf.services.constitutional.votes import BadVotes, open_votes


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
def run_votes(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Opens the campaign of blind votes."""
    form = VotesForm(request.POST)
    if form.is_valid():
        try:
            campaign = open_votes(found(pk), **form.cleaned_data, user=signed_in(request))
        except (BadVotes, BadCampaign) as error:  # what else is wrong is no matter of the form
            tell(form, error)
        else:
            messages.success(
                request, gettext("Raters find %(campaign)s on their home page.") % {"campaign": campaign.name}
            )
            return redirect("constitutional_run", pk)
    return run_page(request, pk, votes_form=form, status=400)


@require_POST
@requires(Capability.MANAGE)
def run_close(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    close(found(pk), user=signed_in(request))
    return redirect("constitutional_run", pk)


def found(pk: uuid.UUID) -> ConstitutionalRun:
    return get_object_or_404(ConstitutionalRun, pk=pk)
