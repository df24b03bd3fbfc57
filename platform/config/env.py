"""What the environment may say: every variable, typed, read once, refused at start where it is wrong."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shlex
import sys
from pathlib import Path

import environ

ROOT = Path(__file__).resolve().parents[2]

read = environ.FileAwareEnv()  # SECRET may also come as SECRET_FILE

HOME = Path(read.str("STEADYHAND_HOME", default=str(ROOT / "var"))).resolve()
DEBUG: bool = read.bool("STEADYHAND_DEBUG", default=False)
ALLOWED_HOSTS: list[str] = read.list("STEADYHAND_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
if "*" in ALLOWED_HOSTS:
    # The origin of a websocket is checked against this list: a star would let any site listen in.
    raise environ.ImproperlyConfigured("STEADYHAND_HOSTS must name its hosts; * would let any site connect.")
HTTPS: bool = read.bool("STEADYHAND_HTTPS", default=False)
DATABASE_URL: str = read.str("STEADYHAND_DATABASE_URL", default=f"sqlite:///{HOME / 'db.sqlite3'}")
REDIS_URL: str = read.str("STEADYHAND_REDIS_URL", default="")
RUN_TIMES: dict[str, float] = {
    "heartbeat_s": read.float("STEADYHAND_HEARTBEAT_S", default=5.0),
    "lease_s": read.float("STEADYHAND_LEASE_S", default=60.0),
    "cancel_grace_s": read.float("STEADYHAND_CANCEL_GRACE_S", default=30.0),
    "stall_s": read.float("STEADYHAND_STALL_S", default=3600.0),
}
# What starts a training process; its last argument is the run's folder. For several GPUs:
# accelerate launch -m training run
TRAINING_COMMAND: list[str] = shlex.split(
    read.str("STEADYHAND_TRAINING_COMMAND", default=f"{shlex.quote(sys.executable)} -m training run")
)
# Hints reach other processes by Redis or by the SQLite database; with neither, one process serves all pages.
_HINTS_TRAVEL = bool(REDIS_URL) or DATABASE_URL.startswith("sqlite")
WEB_PROCESSES: int = read.int(
    "STEADYHAND_WEB_PROCESSES", default=min(4, len(os.sched_getaffinity(0))) if _HINTS_TRAVEL else 1
)
WEB_REQUESTS: int = read.int("STEADYHAND_WEB_REQUESTS", default=4)  # that one web process works on at once ...
WEB_WAITING: int = read.int("STEADYHAND_WEB_WAITING", default=500)  # ... and that wait before the next is refused
# What an hour of the machine that trains costs, for estimates: "2.40 EUR". Without a currency it is a bare number.
PRICE_PER_HOUR: str = read.str("STEADYHAND_PRICE_PER_HOUR", default="")
if PRICE_PER_HOUR and not re.fullmatch(r"\d{1,6}(\.\d{1,4})?( [A-Z]{3})?", PRICE_PER_HOUR):
    raise environ.ImproperlyConfigured("STEADYHAND_PRICE_PER_HOUR must be a price such as 2.40 EUR.")
TRAINING_THREADS: int = read.int("STEADYHAND_TRAINING_THREADS", default=len(os.sched_getaffinity(0)))


def secret_key() -> str:
    """The key from STEADYHAND_SECRET_KEY (or ..._FILE), else one made once for this home; a weak one is refused."""
    given: str = read.str("STEADYHAND_SECRET_KEY", default="")
    if not given:
        given = _made_key(HOME / "secret.key")
    if len(given) < 40 or len(set(given)) < 10:
        raise environ.ImproperlyConfigured(
            "STEADYHAND_SECRET_KEY must have at least 40 characters, 10 of them different."
        )
    return given


def _made_key(path: Path) -> str:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        stage = path.with_name(f".{path.name}.{os.getpid()}")
        stage.touch(mode=0o600)
        stage.write_text(secrets.token_urlsafe(50))
        with contextlib.suppress(FileExistsError):  # of several processes that start at once, one makes the key
            os.link(stage, path)
        stage.unlink()
    return path.read_text()
