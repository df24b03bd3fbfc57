"""What the demo queues when it starts: first what raters wait for, then the models from zero."""

from __future__ import annotations

from collections.abc import Iterator

from accounts.models import Role, User
from annotation.services.completions import request_completions
from registry.models import ModelVersion
from rlhf.demo import steps
from runs.models import Priority, Run

CAMPAIGN = "Everyday questions"
NUM_PROMPTS = 32  # their completions are there in about a minute on two cores


def prepare() -> Iterator[str]:
    """Yields a line for each thing that it has done; what was done by an earlier call is left alone."""
    admin = User.objects.get(username="admin")
    raters = User.objects.filter(role=Role.RATER, is_simulated=False, is_active=True)
    importing = steps.chat_model(admin)
    prompts = steps.read_prompts("prompts.jsonl")[:NUM_PROMPTS]
    campaign = steps.campaign_of(CAMPAIGN, rows=prompts, raters=raters, user=admin, overlap=2)
    if not Run.objects.filter(method="generate", context__campaign=str(campaign.pk)).exists():
        model = ModelVersion.objects.filter(name=steps.CHAT_MODEL).first()
        request_completions(campaign, model=model, after=importing, user=admin, priority=Priority.PEOPLE_WAIT)
        yield "Queued: import the chat model, then four completions for each prompt"
    steps.prompts_dataset(admin)
    data = steps.in_house_data(admin)
    steps.in_house_models(admin, data=data, preset="demo")
    yield "Queued: a tokenizer, a base model and an SFT model from zero"
