"""What comes of runs for constitutional runs: once the pairs of their answers are there, they are judged."""

from __future__ import annotations

from typing import Any

from registry.models import Artifact
from rlhf.models import CaiStage, ConstitutionalRun
from rlhf.services.constitutional.start import ask_for_feedback
from runs.models import Run
from runs.publishing import publishes


@publishes("generate")
def judge_pairs(run: Run, artifact: Artifact, manifest: dict[str, Any]) -> None:
    """Behind the campaign's own hook, which has made tasks of them."""
    new = ConstitutionalRun.objects.filter(stages__run=run, stages__stage=CaiStage.PAIRS).first()
    if new is not None and not new.stages.filter(stage=CaiStage.JUDGE).exists():
        ask_for_feedback(new)
