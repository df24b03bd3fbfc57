"""How work is given out, changed from a campaign's page: its rules, which tasks go first, a rater's limit and group."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_POST

from accounts.access import requires, signed_in
from accounts.errors import UserError
from accounts.models import Capability, User
from accounts.numbers import whole
from annotation.campaign_deeds import done
from annotation.models import Campaign
from annotation.rule_forms import LimitForm, PriorityForm, RulesForm
from annotation.services.rater_groups import put_in_group
from annotation.services.rules import change_rules, set_limit, set_priority


@require_POST
@requires(Capability.MANAGE)
def campaign_rules(request: HttpRequest, slug: str) -> HttpResponse:
    campaign = get_object_or_404(Campaign, slug=slug)
    form = RulesForm(request.POST)

    def change() -> str:
        change_rules(campaign, user=signed_in(request), **form.cleaned_data)
        return gettext("These rules are in force for every task that is given out from now on.")

    return done(request, campaign, form, name="rules_form", do=change)


@require_POST
@requires(Capability.MANAGE)
def campaign_priority(request: HttpRequest, slug: str) -> HttpResponse:
    campaign = get_object_or_404(Campaign, slug=slug)
    form = PriorityForm(request.POST)

    def move() -> str:
        priority = form.cleaned_data["priority"]
        moved = set_priority(campaign, of=form.cleaned_data["ids"], priority=priority, user=signed_in(request))
        return ngettext(
            "%(num)s task now with priority %(priority)s.", "%(num)s tasks now with priority %(priority)s.", moved
        ) % {"num": whole(moved), "priority": priority}

    return done(request, campaign, form, name="priority_form", do=move)


@require_POST
@requires(Capability.MANAGE)
def campaign_rater_limit(request: HttpRequest, slug: str, username: str) -> HttpResponse:
    campaign = get_object_or_404(Campaign, slug=slug)
    rater = get_object_or_404(User, username=username, memberships__campaign=campaign)
    form = LimitForm(request.POST)
    if not form.is_valid():
        raise UserError(gettext("A limit is a whole number, or nothing."), code="invalid")
    most = form.cleaned_data["most_rankings"]
    set_limit(campaign, rater=rater, most=most, user=signed_in(request))
    if most:
        told = ngettext("%(rater)s may rank %(num)s task here.", "%(rater)s may rank %(num)s tasks here.", most)
    else:
        told = gettext("%(rater)s has no limit of her own.")
    messages.success(request, told % {"rater": rater.username, "num": whole(most or 0)})
    return redirect("campaign", slug)


@require_POST
@requires(Capability.MANAGE)
def campaign_rater_group(request: HttpRequest, slug: str, username: str) -> HttpResponse:
    campaign = get_object_or_404(Campaign, slug=slug)
    rater = get_object_or_404(User, username=username, memberships__campaign=campaign)
    group = put_in_group(campaign, rater=rater, group=request.POST.get("group", ""), user=signed_in(request)).group
    told = gettext("%(rater)s is in the group %(group)s.") if group else gettext("%(rater)s is in no group.")
    messages.success(request, told % {"rater": rater.username, "group": group})
    return redirect("campaign", slug)
