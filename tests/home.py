"""Gives the tests a home of their own. Loaded by `-p`, before settings are read: a running product's home is never touched.

And lets garbage be, of which reading tests makes little, until they are read. What is there by then stays: each run of
training collects garbage at its start, and took a tenth of a second and more to look through all modules.
"""

from __future__ import annotations

import gc
import os
import tempfile
from pathlib import Path

import pytest

gc.disable()

_folder = tempfile.TemporaryDirectory(prefix="steadyhand-tests-")
HOME = _folder.name
(Path(HOME) / "static").mkdir()  # where whitenoise looks

for name in [name for name in os.environ if name.startswith("STEADYHAND_")]:
    if name in ("STEADYHAND_DATA", "STEADYHAND_VLLM"):
        continue  # what the machine has
    # The first two tell tests to write down anew what they hold, the last to take their full size.
    if name not in ("STEADYHAND_GOLDEN", "STEADYHAND_WRITE", "STEADYHAND_FULL"):
        del os.environ[name]
os.environ["STEADYHAND_HOME"] = HOME
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # Playwright's synchronous API runs a loop of its own


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    gc.collect()
    gc.freeze()
    gc.enable()
