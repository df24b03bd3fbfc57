"""Ada annotates, Rita reviews, Rex researches, Grace runs the place."""

from __future__ import annotations

import pytest

from accounts.models import Role, User
from tests.accounts.people import person


@pytest.fixture
def ada(db) -> User:
    return person(Role.RATER)


@pytest.fixture
def rex(db) -> User:
    return person(Role.RESEARCHER)


@pytest.fixture
def grace(db) -> User:
    return person(Role.ADMIN)
