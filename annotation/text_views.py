"""Pages about the texts of a task: two of them side by side, and the way to an address that one of them names."""

from __future__ import annotations

import uuid
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.access import requires, signed_in
from accounts.errors import NotFound
from accounts.models import Capability
from annotation.comparison import comparison_page
from annotation.leaving import where_to
from annotation.models import Assignment, AssignmentState


@require_safe
@never_cache
@requires(Capability.RANK)
def rank_compare(request: HttpRequest, slug: str, assignment_id: uuid.UUID) -> HttpResponse:
    """Two texts of a task of one's own, with what differs marked; for htmx without the frame of the page."""
    own = Assignment.objects.filter(rater=signed_in(request), task__campaign__slug=slug)
    shown = own.exclude(state=AssignmentState.SKIPPED).select_related("task__campaign")
    assignment = get_object_or_404(shown, pk=assignment_id)
    left, right = request.GET.get("left", "a"), request.GET.get("right", "b")
    if left == right or not {left, right} <= set(assignment.letters()):
        raise NotFound(gettext("These are not two texts of this task."), code="no_such_text")
    page = comparison_page(assignment, left=left, right=right)
    template = "annotation/compare_panel.html" if "HX-Request" in request.headers else "annotation/compare.html"
    return render(request, template, {"page": page, "campaign": assignment.task.campaign})


@require_safe
@never_cache
@requires(Capability.SIGN_IN)
def leaving(request: HttpRequest) -> HttpResponse:
    """Says where a link of a text leads, and lets one go there or stay."""
    address = where_to(request.GET.get("to", ""))
    parts = urlsplit(address)
    context = {"address": address, "host": parts.hostname, "is_open": parts.scheme == "http"}
    return render(request, "annotation/leaving.html", context)
