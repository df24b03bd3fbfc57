"""Pages of invitations: an admin makes and revokes links; whoever has one becomes a rater by it."""

from __future__ import annotations

from axes.helpers import get_client_ip_address
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access import public, requires, signed_in
from accounts.errors import UserError
from accounts.models import Capability
from accounts.paging import page_of
from accounts.services import BadPerson, NameTaken
from annotation.forms import InvitationForm, JoinForm, tell
from annotation.models import Campaign, Invitation
from annotation.services.invitations import Joined, NotInvited, invitation_of, invite, join, join_as_new, knock, revoke

PAGE = 20


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@requires(Capability.MANAGE)
def campaign_invitations(request: HttpRequest, slug: str) -> HttpResponse:
    """A link is shown once, on the answer to the form that made it."""
    campaign = get_object_or_404(Campaign, slug=slug)
    form = InvitationForm(request.POST if request.method == "POST" else None)
    link = ""
    if request.method == "POST" and form.is_valid():
        try:
            _, token = invite(campaign, **form.cleaned_data, user=signed_in(request))
        except UserError as error:
            tell(form, error)
        else:
            link = request.build_absolute_uri(reverse("join", args=[token]))
            form = InvitationForm()
    rows = campaign.invitations.select_related("created_by").prefetch_related("users")
    context = {
        "campaign": campaign, "form": form, "link": link, "page": page_of(rows, request, by="-created_at", size=PAGE),
        "now": timezone.now(),
    }  # fmt: skip
    return render(request, "annotation/invitations.html", context, status=400 if form.errors else 200)


@require_POST
@requires(Capability.MANAGE)
def campaign_invitation_revoke(request: HttpRequest, slug: str, invitation_id: int) -> HttpResponse:
    invitation = get_object_or_404(Invitation.objects.select_related("campaign"), pk=invitation_id, campaign__slug=slug)
    if revoke(invitation, user=signed_in(request)):
        messages.success(request, gettext("The link lets nobody in any more. Who has joined by it stays."))
    return redirect("campaign_invitations", slug)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@public
def join_by_link(request: HttpRequest, token: str) -> HttpResponse:
    """Who is logged in joins; who is not makes an account, or logs in first."""
    if request.method == "POST":
        knock(address_of(request))
    try:
        invitation = invitation_of(token)
    except NotInvited:
        if request.method != "POST":
            knock(address_of(request))
        raise
    if request.user.is_authenticated:
        if request.method == "POST":
            return welcome(request, join(token, user=signed_in(request)))
        return render(request, "annotation/join.html", {"invitation": invitation})
    form = JoinForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        name, secret = form.cleaned_data["username"], form.cleaned_data["password"]
        try:
            joined = join_as_new(token, username=name, password=secret)
        except NameTaken as error:
            form.add_error("username", error.sentence)
        except BadPerson as error:
            form.add_error("password", error.sentence)
        else:
            login(request, joined.user, backend=settings.AUTHENTICATION_BACKENDS[-1])
            return welcome(request, joined)
    context = {"invitation": invitation, "form": form}
    return render(request, "annotation/join.html", context, status=400 if form.errors else 200)


def welcome(request: HttpRequest, joined: Joined) -> HttpResponse:
    messages.success(request, gettext("You are a rater of %(name)s.") % {"name": joined.campaign.name})
    return redirect("rank", joined.campaign.slug)


def address_of(request: HttpRequest) -> str:
    """As the throttle of the login sees it."""
    return str(get_client_ip_address(request) or "")
