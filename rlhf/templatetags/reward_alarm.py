"""The reward-hacking alarm on a model's page, which knows no rounds."""

from __future__ import annotations

from typing import Any

from django import template

from registry.models import ModelVersion
from rlhf.services.alarm import reference_of, watch

register = template.Library()


@register.inclusion_tag("rlhf/watch.html")
def reward_alarm(model: ModelVersion) -> dict[str, Any]:
    """Whether people agree with the reward of a policy; nothing for a model of another role."""
    reference = reference_of(model)
    return {"reference": reference, "watch": watch(model, reference=reference) if reference is not None else None}
