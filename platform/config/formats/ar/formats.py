"""Arabic numbers, written in Latin digits as everywhere on our pages: with the signs that belong to these."""

from __future__ import annotations

DECIMAL_SEPARATOR = "."
THOUSAND_SEPARATOR = ","
NUMBER_GROUPING = 3
