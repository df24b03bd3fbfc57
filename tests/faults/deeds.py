"""A program: raters', clocks' and admins' deeds in any order, on the database of this environment and a build of choice.

    python -m tests.faults.deeds EXAMPLES [MUTANT]

Prints nothing and ends with 0 where all that must hold held; else with the deeds that broke it.
"""

from __future__ import annotations

import sys

import django

django.setup()

from hypothesis import HealthCheck, Phase, settings  # noqa: E402
from hypothesis.stateful import run_state_machine_as_test  # noqa: E402

from tests.annotation.test_any_order_of_deeds import Deeds  # noqa: E402
from tests.faults.mutants import MUTANTS  # noqa: E402

if __name__ == "__main__":
    if len(sys.argv) > 2:
        MUTANTS[sys.argv[2]]()
    run_state_machine_as_test(
        Deeds,
        settings=settings(
            max_examples=int(sys.argv[1]), stateful_step_count=40, deadline=None, derandomize=True, database=None,
            suppress_health_check=list(HealthCheck), phases=[Phase.generate],
        ),
    )  # fmt: skip
