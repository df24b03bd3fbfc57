"""What can be done with an estimate: start the run that it is of, or probe once more."""

from __future__ import annotations

import uuid

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from accounts.access import requires
from accounts.models import Capability
from runs.launch_views import person
from runs.models import Run
from runs.services.estimate import estimate_anew, start_estimated


@require_POST
@requires(Capability.MANAGE)
def start(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    return redirect("run", start_estimated(get_object_or_404(Run, pk=run_id), user=person(request)).pk)


@require_POST
@requires(Capability.MANAGE)
def anew(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    return redirect("run", estimate_anew(get_object_or_404(Run, pk=run_id), user=person(request)).pk)
