"""Pages of constitutional runs: all of them, one with its gate and its report, and the form that plans and launches one."""

from __future__ import annotations

import uuid

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from accounts.access import requires, signed_in
from accounts.errors import UserError
from accounts.models import Capability
from accounts.paging import page_of
from annotation.forms import tell
from rlhf.constitutional_form import ConstitutionalForm, VotesForm
from rlhf.constitutional_pages import gate_of, report_page
from rlhf.constitutional_status import status_of, statuses_of
from rlhf.constitutional_votes import cards_of
from rlhf.models import ConstitutionalRun
from rlhf.services.constitutional.estimates import estimates_of, probe, total_of
from rlhf.services.constitutional.plan import Plan
from rlhf.services.constitutional.report import ANSWERS
from rlhf.services.constitutional.start import start_constitutional
from rlhf.services.constitutional.votes import votes_of
from runs.estimates import cost_of

NAMED = ("constitution", "model", "feedback", "red_team", "helpful", "human", "campaign", "preferences", "votes",
         "decided_by")  # fmt: skip
PAGE = 30
ESTIMATED = "estimated"  # in the address of a form whose stages were tried


@require_GET
@requires(Capability.STUDY)
def run_list(request: HttpRequest) -> HttpResponse:
    page = page_of(
        ConstitutionalRun.objects.select_related("constitution", "model", "campaign"),
        request,
        by="-created_at",
        size=PAGE,
    )
    entries = list(zip(page.items, statuses_of(page.items), strict=True))
    return render(request, "rlhf/constitutional_runs.html", {"page": page, "entries": entries})


@require_GET
@requires(Capability.STUDY)
def run_detail(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    return run_page(request, pk, votes_form=VotesForm())


def run_page(request: HttpRequest, pk: uuid.UUID, *, votes_form: VotesForm, status: int = 200) -> HttpResponse:
    new = get_object_or_404(ConstitutionalRun.objects.select_related(*NAMED), pk=pk)
    how_far = status_of(new)
    answered = {
        one.stage for one in (*how_far.before, *how_far.behind) if one.run is not None and one.run.state == "succeeded"
    }
    context = {
        "constitutional": new,
        "plan": Plan.of(new.plan),
        "status": how_far,
        "gate": gate_of(new, how_far),
        "report": report_page(new),
        "cards": cards_of(votes_of(new)),
        "campaign": new.votes,
        "votes_form": votes_form if new.votes is None and answered.issuperset(ANSWERS) else None,
    }
    is_live = bool(request.headers.get("HX-Request"))
    template = "rlhf/constitutional_live.html" if is_live else "rlhf/constitutional_run.html"
    return render(request, template, context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Capability.MANAGE)
def run_new(request: HttpRequest) -> HttpResponse:
    """Plans one, tries what can be tried (`Estimate`), and starts it."""
    if request.method != "POST":
        filled = ESTIMATED in request.GET
        return form_page(
            request, ConstitutionalForm(request.GET) if filled else ConstitutionalForm(initial=request.GET.dict())
        )
    form = ConstitutionalForm(request.POST)
    if not form.is_valid():
        return form_page(request, form, status=400)
    try:
        if "estimate" in request.POST:
            probe(form.makings(), user=signed_in(request))
            return redirect(f"{reverse('constitutional_new')}?{as_query(request.POST)}#estimate")
        new = start_constitutional(
            form.cleaned_data["name"], **form.makings(), raters=form.cleaned_data["raters"], user=signed_in(request)
        )
        return redirect("constitutional_run", new.pk)
    except UserError as error:
        tell(form, error)
        return form_page(request, form, status=error.status)


def form_page(request: HttpRequest, form: ConstitutionalForm, *, status: int = 200) -> HttpResponse:
    """With what its stages would take, where they were asked about and the form holds together."""
    context: dict[str, object] = {"form": form}
    if ESTIMATED in request.GET and form.is_valid():
        estimates = estimates_of(form.makings())
        total = total_of(estimates)
        context |= {"estimates": estimates, "total": total, "price": cost_of(total.seconds)}
    template = "rlhf/constitutional_new.html"
    if request.headers.get("HX-Request"):
        template = "rlhf/constitutional_estimate.html"
    return render(request, template, context, status=status)


def as_query(given: QueryDict) -> str:
    """What was filled in, as an address that can be read again, kept, and sent to somebody."""
    kept = given.copy()
    for name in ("csrfmiddlewaretoken", "estimate"):
        kept.pop(name, None)
    kept[ESTIMATED] = "yes"
    return kept.urlencode()
