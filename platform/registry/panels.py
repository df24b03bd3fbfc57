"""What the home page says of models and datasets: which model goes by which name, and what was frozen or trained last."""

from __future__ import annotations

from accounts.home import Panel, panel
from accounts.models import Capability, User
from registry.models import Alias, DatasetVersion, ModelVersion

MOST = 6


@panel(Capability.STUDY, order=40)
def models_and_datasets(user: User) -> Panel:
    context = {
        "aliases": list(Alias.objects.select_related("model").order_by("name")[: 2 * MOST]),
        "models": list(ModelVersion.objects.order_by("-created_at", "pk")[:MOST]),
        "datasets": list(DatasetVersion.objects.order_by("-created_at", "pk")[:MOST]),
    }
    return Panel("registry/panel.html", context)
