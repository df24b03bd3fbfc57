"""What comes of runs for campaigns: completions become tasks, AI feedback rankings; what a run asks is put to raters."""

from __future__ import annotations

from typing import Any

from annotation.models import Campaign
from annotation.services import votes
from annotation.services.ai_judgements import take_judgements
from annotation.services.completions import ingest
from registry.models import Artifact, ModelVersion
from runs.audience import REGISTERED, Audience
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


@publishes("judge")
def take_feedback(run: Run, artifact: Artifact, manifest: dict[str, Any]) -> None:
    """Judgements of a run that no campaign asked for stay a report."""
    if "campaign" in run.context:
        campaign = Campaign.objects.select_for_update().get(pk=run.context["campaign"])
        take_judgements(campaign, run=run, artifact=artifact)


REGISTERED.append(Audience(votes.groups, votes.check, votes.attend))
