"""The ASGI application: pages and API over HTTP, hints over websockets."""

from __future__ import annotations

import gc
import os

gc.disable()  # until all is loaded
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django  # noqa: E402

django.setup(set_prefix=False)  # before the imports below: they need the app registry

from config import env  # noqa: E402
from config.handler import Handler  # noqa: E402

pages = Handler(threads=env.WEB_REQUESTS)

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402

from config.gate import Gate  # noqa: E402
from config.keeper import keep_open  # noqa: E402
from config.sockets import routes  # noqa: E402

kept = keep_open()
http = Gate(pages, at_once=env.WEB_REQUESTS, waiting=env.WEB_WAITING)
application = ProtocolTypeRouter(
    {"http": http, "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(routes)))}
)

# What is loaded by now stays for good: no collection of garbage need look through it again.
gc.collect()
gc.freeze()
gc.enable()
