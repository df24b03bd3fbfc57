"""Numbers on pages are written as the reader's language writes them."""

from __future__ import annotations

import pytest
from django.utils.translation import override

from accounts.numbers import digits, whole


@pytest.mark.parametrize(
    ("language", "thousands", "fraction"),
    [("en", "1,234", "0.1235"), ("de", "1.234", "0,1235"), ("ar", "1,234", "0.1235")],
)
def test_signs_of_numbers_are_those_of_the_language(language, thousands, fraction):
    with override(language):
        assert whole(1234) == thousands
        assert digits(0.12345) == fraction
