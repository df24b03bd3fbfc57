"""A look before fine-tuning, from the page that starts it: by one button, with the inputs that stand there."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts.access import requires
from accounts.models import Capability
from runs.launch_views import chosen_inputs, person
from runs.preflight import newest_preflight
from runs.services.start import start_run
from training.recipes import RECIPES

SHARED = ("max_length", "seed")  # fields that mean the same to both methods


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Capability.MANAGE)
def preflight(request: HttpRequest) -> HttpResponse:
    """GET is the part of the page that shows the newest look at `model` and `instructions`; POST starts one."""
    if request.method != "POST":
        return render(request, "runs/before.html", {"before": newest_preflight(request.GET)})
    recipe, preset = RECIPES["preflight"], request.POST.get("preset", "")
    run = start_run(
        "preflight",
        recipe={name: request.POST[name] for name in SHARED if request.POST.get(name)},
        inputs=chosen_inputs(recipe, request.POST),
        user=person(request),
        preset=preset if preset in recipe.presets else "",
    )
    return redirect("run", run.pk)
