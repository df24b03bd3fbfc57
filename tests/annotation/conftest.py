"""Ada and Bea annotate."""

from __future__ import annotations

import pytest

from accounts.models import User
from annotation.models import Campaign
from tests.annotation.arrange import a_campaign, a_person


@pytest.fixture
def ada(db) -> User:
    return a_person("ada")


@pytest.fixture
def bea(db) -> User:
    return a_person("bea")


@pytest.fixture
def campaign(ada, bea) -> Campaign:
    return a_campaign(raters=[ada, bea])
