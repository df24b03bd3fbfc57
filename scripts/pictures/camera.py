"""A server of this home for the time, a browser, and pictures taken with it: light or dark, wide or as on a phone, as WebP."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # playwright has a loop in this thread; nothing else runs in it
django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.core.management import call_command  # noqa: E402
from playwright.sync_api import Browser, Page, sync_playwright  # noqa: E402

from accounts.models import User  # noqa: E402
from rlhf.demo.processes import free_port  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE = (360, 740)
# A canvas writes WebP, in a third of the bytes of PNG; no library of pictures is needed for that.
TO_WEBP = """async (png) => {
  const image = new Image();
  image.src = "data:image/png;base64," + png;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("2d").drawImage(image, 0, 0);
  return canvas.toDataURL("image/webp", 0.88).split(",")[1];
}"""


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture: of whose page, after what was done there, and of which part of it (None: what is in view)."""

    name: str
    who: str
    path: str
    do: Callable[[Page], None] | None = None
    part: str | None = None
    size: tuple[int, int] = (1280, 860)
    scheme: str = "light"
    is_png: bool = False


@contextmanager
def served() -> Iterator[str]:
    call_command("collectstatic", interactive=False, clear=True, verbosity=0)
    port = free_port(18800)
    command = [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "-v", "0", "config.asgi:application"]
    server = subprocess.Popen(command, cwd=ROOT)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{url}/login/", timeout=5)  # noqa: S310 - our own address
                break
            except OSError:
                time.sleep(0.5)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=30)


def session_of(name: str) -> str:
    """A session of hers, as if she had logged in: ten minutes long."""
    user = User.objects.get(username=name)
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[-1]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.set_expiry(600)
    session.create()
    return str(session.session_key)


def take(browser: Browser, shot: Shot, *, url: str, out: Path) -> int:
    """Writes the picture, and says how many bytes it has."""
    context = browser.new_context(
        color_scheme=shot.scheme,  # type: ignore[arg-type]
        viewport={"width": shot.size[0], "height": shot.size[1]},
        device_scale_factor=2 if shot.size == PHONE else 1,
        locale="en-GB",
    )
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session_of(shot.who), "url": url}])
    page = context.new_page()
    page.set_default_timeout(15_000)
    page.goto(url + shot.path, wait_until="load")
    page.wait_for_timeout(1000)  # curves are drawn, and drafts taken up, after the page is there
    if shot.do:
        shot.do(page)
        page.wait_for_timeout(600)
    png = page.locator(shot.part).first.screenshot() if shot.part else page.screenshot()
    picture = (
        png if shot.is_png else base64.b64decode(context.new_page().evaluate(TO_WEBP, base64.b64encode(png).decode()))
    )
    (out / f"{shot.name}{'.png' if shot.is_png else '.webp'}").write_bytes(picture)
    context.close()
    return len(picture)


def take_all(shots: list[Shot], *, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with served() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for shot in shots:
            size = take(browser, shot, url=url, out=out)
            print(f"{shot.name}, {size / 1000:.0f} kB")  # noqa: T201 - a script
        browser.close()
