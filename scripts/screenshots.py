"""Takes all pictures of docs/images: those of the guides from a home made for them, those of runs from what stands in yours.

    STEADYHAND_HOME=var python scripts/screenshots.py [--out docs/images] [--all]

The first takes two minutes and trains nothing. The second needs `make demo` before, or a loop's home, and is left out without.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def python(*arguments: str, home: Path) -> None:
    environment = {
        **os.environ,
        "STEADYHAND_HOME": str(home),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "platform")]),
    }
    subprocess.run([sys.executable, *arguments], check=True, env=environment, cwd=ROOT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--all", action="store_true", help="of runs also dark pictures, and as on a phone")
    options = parser.parse_args()
    out = str(options.out.resolve())
    with tempfile.TemporaryDirectory(prefix="steadyhand-pictures-") as folder:
        home = Path(folder)
        python("manage.py", "migrate", "--verbosity", "0", home=home)
        python("-m", "scripts.pictures.stage", home=home)
        python("-m", "scripts.pictures.guides", "--out", out, home=home)
    yours = Path(os.environ.get("STEADYHAND_HOME", ROOT / "var"))
    if (yours / "db.sqlite3").exists() or "STEADYHAND_DATABASE_URL" in os.environ:
        python("-m", "scripts.pictures.loop", "--out", out, *(["--all"] if options.all else []), home=yours)
    else:
        print(f"No pictures of runs: there is no database in {yours}.")  # noqa: T201 - a script


if __name__ == "__main__":
    main()
