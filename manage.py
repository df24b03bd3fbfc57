#!/usr/bin/env python
"""The command line of Steadyhand: `python manage.py COMMAND`."""

import gc
import os
import sys
from pathlib import Path


def main() -> None:
    gc.set_threshold(50_000)  # looking for garbage among modules while they load took a fifth of a command's start
    # platform/ is a source root, not a package: appended, so that the standard library's `platform` wins.
    root = Path(__file__).resolve().parent
    sys.path[:0] = [str(root)] if str(root) not in sys.path else []
    sys.path.append(str(root / "platform"))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line  # noqa: PLC0415  (needs the path above)

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
