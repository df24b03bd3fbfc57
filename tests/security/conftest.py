"""The same people as in the tests of accounts."""

from tests.accounts.conftest import ada, grace, rex

__all__ = ["ada", "grace", "rex"]
