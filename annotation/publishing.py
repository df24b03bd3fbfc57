"""What comes of a finished run for campaigns: completions that were asked for become tasks."""

from __future__ import annotations

from typing import Any

from annotation.models import Campaign
from annotation.services.completions import ingest
from registry.models import Artifact, ModelVersion
from runs.models import Run
from runs.publishing import publishes


@publishes("generate")
@publishes("ask")
def take_in(run: Run, artifact: Artifact, manifest: dict[str, Any]) -> None:
    """Completions of a run that no campaign asked for stay a dataset."""
    if "campaign" not in run.context:
        return
    campaign = Campaign.objects.select_for_update().get(pk=run.context["campaign"])
    model = ModelVersion.objects.filter(artifact__used_by__run=run, artifact__used_by__name="model").first()
    ingest(campaign, dataset=artifact.dataset, model=model)
