"""The same people as in the tests of accounts."""

from tests.accounts.conftest import ada, grace, quick_hashing, rex

__all__ = ["ada", "grace", "quick_hashing", "rex"]
