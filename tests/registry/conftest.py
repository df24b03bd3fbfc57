"""People and small datasets for the tests of the registry."""

from __future__ import annotations

import pytest

from accounts.models import Role, User
from registry.models import DatasetVersion
from registry.services.datasets import freeze_dataset
from tests.registry.factories import preference_files, preference_row, prompt


@pytest.fixture
def rex(db) -> User:
    return User.objects.create(username="rex", role=Role.RESEARCHER)


@pytest.fixture
def grace(db) -> User:
    return User.objects.create(username="grace", role=Role.ADMIN)


@pytest.fixture
def prompts(rex) -> DatasetVersion:
    splits = {"train": [prompt("Why?"), prompt("How?")], "test": [prompt("Who?")]}
    return freeze_dataset("questions", kind="prompts", splits=splits, user=rex)


@pytest.fixture
def preferences(rex) -> DatasetVersion:
    """Three rankings of two prompts for training and one held out, made by simulated raters."""
    splits = {
        "train": [preference_row("Why?", number=1), preference_row("Why?", number=2), preference_row("How?", number=3)],
        "test": [preference_row("Who?", number=4)],
    }
    return freeze_dataset(
        "harbour-1", kind="preference", splits=splits, user=rex, card="Rankings of the harbour campaign.", licence="mit",
        query={"campaign": "harbour", "campaign_name": "Harbour", "num_rankings": 4, "num_raters": 2},
        extra_files=preference_files(splits),
    )  # fmt: skip
