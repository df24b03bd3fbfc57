"""Models and datasets by the name that a person gives: in the API, where a page would show them to choose from."""

from __future__ import annotations

from django.utils.translation import gettext

from accounts.errors import NotFound
from registry.models import DatasetVersion, ModelVersion


def model_called(name: str) -> ModelVersion:
    """Raises `NotFound`."""
    model = ModelVersion.objects.select_related("artifact").filter(name=name).first()
    if model is None:
        raise NotFound(gettext("There is no model called %(name)s.") % {"name": name}, code="no_model")
    return model


def dataset_called(name: str) -> DatasetVersion:
    """Raises `NotFound`."""
    dataset = DatasetVersion.objects.select_related("artifact").filter(name=name).first()
    if dataset is None:
        raise NotFound(gettext("There is no dataset called %(name)s.") % {"name": name}, code="no_dataset")
    return dataset
