"""What speaks against a policy's taking a name: people who prefer the model that it was trained from."""

from __future__ import annotations

from django.utils.translation import gettext

from registry.models import ModelVersion
from registry.objections import objection
from rlhf.services.alarm import RewardHacking, reference_of, watch


@objection
def people_prefer_the_reference(model: ModelVersion) -> RewardHacking | None:
    reference = reference_of(model)
    if reference is None or not watch(model, reference=reference).is_alarm:
        return None
    return RewardHacking(
        gettext("People prefer %(reference)s to %(name)s, although its reward is higher: confirm that it is meant.")
        % {"reference": reference.name, "name": model.name}
    )
