"""Takes the pictures of docs/images from what stands in this home: `make demo` first, or a loop's home.

    STEADYHAND_HOME=var python scripts/screenshots.py [--out docs/images]

Serves the home on a free port for the time, signs in by a session of its own, and leaves nothing behind but pictures.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # playwright has a loop in this thread; nothing else runs in it

import django  # noqa: E402

django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.core.management import call_command  # noqa: E402
from playwright.sync_api import Browser, sync_playwright  # noqa: E402

from accounts.models import Role, User  # noqa: E402
from annotation.models import Campaign  # noqa: E402
from registry.models import ModelVersion  # noqa: E402
from rlhf.demo.processes import free_port  # noqa: E402
from rlhf.models import Round  # noqa: E402
from runs.models import Run, RunState  # noqa: E402

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTH, HEIGHT = 1280, 860
PHONE = (360, 740)


@dataclass(frozen=True, slots=True)
class Picture:
    """`keys` are typed before it is taken, so that a page is shown in use."""

    name: str
    path: str
    role: str
    keys: str = ""


def pictures() -> list[Picture]:
    """Of what there is in this home; what it lacks is left out."""
    found = [Picture("home", "/", Role.ADMIN), Picture("runs", "/runs/", Role.ADMIN)]
    campaign = Campaign.objects.filter(tasks__isnull=False).first()
    if campaign is not None:
        found.append(Picture("campaign", f"/campaigns/{campaign.slug}/", Role.ADMIN))
        found.append(Picture("rank", f"/rank/{campaign.slug}/", Role.RATER, keys="b>a=d>>c"))
    for method in ("pretrain", "ppo", "dpo", "reward"):
        run = Run.objects.filter(method=method, state=RunState.SUCCEEDED).order_by("-created_at").first()
        if run is not None:
            found.append(Picture(f"run-{method}", f"/runs/{run.pk}/", Role.ADMIN))
    policy = ModelVersion.objects.filter(role="policy").order_by("-created_at").first()
    if policy is not None:
        found.append(Picture("lineage", f"/lineage/model/{policy.pk}/", Role.RESEARCHER))
    turn = Round.objects.first()
    if turn is not None:
        found.append(Picture("round", f"/rounds/{turn.pk}/", Role.ADMIN))
    return found


@contextmanager
def served() -> Iterator[str]:
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


def session_of(role: str) -> str:
    """A session of somebody with this role; of raters, one who is no program and has work."""
    people = User.objects.filter(role=role, is_active=True, is_simulated=False)
    user = people.filter(memberships__is_active=True).first() or people.first()
    if user is None:
        sys.exit(f"There is nobody with the role {role} in {settings.STEADYHAND_HOME}.")
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.set_expiry(600)
    session.create()
    return str(session.session_key)


def take(browser: Browser, picture: Picture, *, url: str, out: Path, scheme: str, size: tuple[int, int]) -> None:
    context = browser.new_context(
        color_scheme=scheme,  # type: ignore[arg-type]
        viewport={"width": size[0], "height": size[1]},
        device_scale_factor=2 if size == PHONE else 1,
    )
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session_of(picture.role), "url": url}])
    page = context.new_page()
    page.goto(url + picture.path, wait_until="load")
    page.wait_for_timeout(1200)  # curves are drawn after the page is there
    for key in picture.keys:
        page.keyboard.press(key)
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(400)
    suffix = ("-dark" if scheme == "dark" else "") + ("-phone" if size == PHONE else "")
    page.screenshot(path=out / f"{picture.name}{suffix}.png")
    context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--all", action="store_true", help="also dark, and as on a phone")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    call_command("collectstatic", interactive=False, clear=True, verbosity=0)
    looks = [("light", (WIDTH, HEIGHT))]
    if options.all:
        looks += [("dark", (WIDTH, HEIGHT)), ("light", PHONE), ("dark", PHONE)]
    with served() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for picture in pictures():
            for scheme, size in looks:
                take(browser, picture, url=url, out=options.out, scheme=scheme, size=size)
                print(f"{picture.name}, {scheme}, {size[0]} px")  # noqa: T201 - a script
        browser.close()


if __name__ == "__main__":
    main()
