"""The audit page: what was done, by whom, to what; and whether the chain of it is whole."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.access import requires
from accounts.models import Capability
from accounts.paging import page_of
from audit.models import AuditEvent
from audit.services import first_broken_link

# What may be asked for, and what it means to the database; nothing else of an address reaches a query.
FILTERS = {
    "action": "action__startswith",
    "person": "actor__username",
    "target": "target_type__startswith",
    "id": "target_id",
}


@requires(Capability.MANAGE)
def audit(request: HttpRequest) -> HttpResponse:
    asked = {name: request.GET.get(name, "").strip()[:120] for name in FILTERS}
    lookups: dict[str, Any] = {FILTERS[name]: value for name, value in asked.items() if value}
    page = page_of(AuditEvent.objects.select_related("actor").filter(**lookups), request, by="-pk")
    return render(request, "audit/audit.html", {"page": page, "asked": asked, "is_filtered": bool(lookups)})


@requires(Capability.MANAGE)
def check(request: HttpRequest) -> HttpResponse:
    """Reads the whole chain, so only when somebody asks for it."""
    broken = first_broken_link()
    return render(request, "audit/check.html", {"broken": broken, "num_events": AuditEvent.objects.count()})
