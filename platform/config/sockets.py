"""The websocket addresses of all apps."""

from __future__ import annotations

from typing import Any

from accounts import sockets as accounts_sockets

routes: list[Any] = [*accounts_sockets.routes]
