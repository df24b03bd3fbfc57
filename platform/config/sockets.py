"""The websocket addresses of all apps."""

from __future__ import annotations

from accounts import sockets as accounts_sockets

routes = [*accounts_sockets.routes]
