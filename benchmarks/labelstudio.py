"""Raters at work over HTTP, here and in Label Studio: tasks ranked a second by one and by sixteen, and the wait for the next.

Each side has its own server on SQLite, as it comes: ours as `make demo` starts it, Label Studio's as `label-studio start` does.
Raters are real users with API tokens and a connection each; a cycle is one task asked for and submitted, a ranking of four
texts. The sides take turns, each round in a project of 1,000 tasks of its own, so that a slow minute meets both.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
import venv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import bench
from benchmarks.http_raters import Connection, Seen, at_work

VERSION = "1.23.2"
ROOT = Path(__file__).resolve().parents[1]
TASKS, RATERS, AT_LEAST = 1000, (1, 16), 20.0
ROUNDS = int(os.environ.get("STEADYHAND_BENCH_ROUNDS", "3"))
SECONDS = float(os.environ.get("STEADYHAND_BENCH_SECONDS", "20"))
STARTS_WITHIN_S = 180


@dataclass(frozen=True, slots=True)
class Side:
    """A server with raters and a project for each round."""

    name: str
    port: int
    tokens: list[str]
    projects: dict[str, Any]

    def rater(self, project: str) -> OurRater | TheirRater:
        kind = OurRater if self.name == "steadyhand" else TheirRater
        return kind(self.projects[project])


@dataclass(frozen=True, slots=True)
class OurRater:
    slug: str

    def next(self, connection: Connection) -> tuple[int, Any]:
        return connection.ask("POST", f"/api/v1/annotation/campaigns/{self.slug}/next/", {})

    def submit(self, connection: Connection, task: Any) -> int:
        body = {"client_uuid": str(uuid.uuid4()), "tiers": [[text["letter"]] for text in task["texts"]], "seconds": 1}
        return connection.ask("POST", f"/api/v1/annotation/assignments/{task['id']}/rankings/", body)[0]


@dataclass(frozen=True, slots=True)
class TheirRater:
    project: int

    def next(self, connection: Connection) -> tuple[int, Any]:
        return connection.ask("GET", f"/api/projects/{self.project}/next/")

    def submit(self, connection: Connection, task: Any) -> int:
        order = [item["id"] for item in task["data"]["items"]]
        result = {"from_name": "rank", "to_name": "answers", "type": "ranker", "value": {"ranker": {"rank": order}}}
        body = {"result": [result], "lead_time": 1}
        return connection.ask("POST", f"/api/tasks/{task['id']}/annotations/", body)[0]


def main() -> None:
    names = [f"round-{number}-{raters}" for number in range(ROUNDS) for raters in RATERS]
    with ExitStack() as stack:
        sides = [stack.enter_context(open_side(names)) for open_side in (ours, theirs)]
        for side in sides:  # one task each, so that nobody's first import of a module is measured
            at_work(side.port, tokens=side.tokens, rater=side.rater(names[0]), seconds=1)
        found = {(side.name, raters): [] for side in sides for raters in RATERS}
        for number in range(ROUNDS):
            for raters in RATERS:
                for side in sides:
                    seen = at_work(
                        side.port,
                        tokens=side.tokens[:raters],
                        rater=side.rater(f"round-{number}-{raters}"),
                        seconds=SECONDS,
                    )
                    found[side.name, raters].append(seen)
                    print(in_words(side.name, raters, seen), flush=True)
    tell(found)


def in_words(name: str, raters: int, seen: Seen) -> str:
    return (
        f"{name:>12}, {raters:>2} raters: {seen.rate:6.1f} cycles/s over {seen.cycles:,}, next p50 {seen.ms(0.5):,.0f} ms,"
        f" p95 {seen.ms(0.95):,.0f} ms, errors {seen.errors or 'none'}, load {os.getloadavg()[0]:.1f}"
    )


def tell(found: dict[tuple[str, int], list[Seen]]) -> None:
    """The last line: the median over rounds of our rate over theirs, by sixteen raters."""
    ratios = {
        raters: statistics.median(
            a.rate / b.rate for a, b in zip(found["steadyhand", raters], found["label-studio", raters], strict=True)
        )
        for raters in RATERS
    }
    facts = {
        f"{name}, {raters}": {
            "cycles_per_s": round(statistics.median(seen.rate for seen in rounds), 1),
            "next_p50_ms": round(statistics.median(seen.ms(0.5) for seen in rounds)),
            "next_p95_ms": round(statistics.median(seen.ms(0.95) for seen in rounds)),
            "errors": sum(sum(seen.errors.values()) for seen in rounds),
        }
        for (name, raters), rounds in found.items()
    }
    line = {"bench": "labelstudio", "ratio": round(ratios[RATERS[-1]], 2), "at_least": AT_LEAST}
    line |= {"ratio_one_rater": round(ratios[1], 2), "facts": facts}
    print(json.dumps(line | {"machine": bench.machine(), "load": round(os.getloadavg()[0], 1)}))


# Our side


@contextmanager
def ours(names: Sequence[str]) -> Iterator[Side]:
    with tempfile.TemporaryDirectory() as home:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("STEADYHAND_", "DJANGO_"))
        }
        environment |= {
            "STEADYHAND_HOME": home,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "platform")]),
            "DJANGO_SETTINGS_MODULE": "config.settings",
        }
        for command in (["migrate", "--verbosity", "0"], ["collectstatic", "--no-input", "--verbosity", "0"]):
            subprocess.run([sys.executable, "manage.py", *command], check=True, env=environment, cwd=ROOT)
        arranging = [sys.executable, "-m", "benchmarks.labelstudio", "arrange", *names]
        told = json.loads(output_of(arranging, environment))
        port = free_port()
        command = [sys.executable, "-m", "config.server", "-p", str(port)]
        with running(command, environment, port=port):
            yield Side("steadyhand", port, told["tokens"], told["projects"])


def arrange(names: Sequence[str]) -> None:
    """Within our own environment: campaigns of tasks as the services make them, raters, tokens."""
    import django

    django.setup()
    from accounts.models import Role, User
    from accounts.services import create_token
    from annotation.models import CampaignState, Completion
    from annotation.services.campaigns import create_campaign, set_state
    from annotation.services.completions import make_tasks
    from annotation.services.prompts import add_prompts

    people = [User.objects.create(username=f"rater-{i}", role=Role.RATER) for i in range(RATERS[-1])]
    projects = {}
    for name in names:
        campaign = create_campaign(name, k=4, overlap=1, guideline="Be fair.", user=None, raters=people)
        add_prompts(campaign, rows=({"prompt": f"Question {i}?"} for i in range(TASKS)), user=None)
        Completion.objects.bulk_create(
            Completion(prompt=prompt, text=f"Answer {letter}." + " Some more words." * 20)
            for prompt in campaign.prompts.all()
            for letter in "abcd"
        )
        make_tasks(campaign)
        projects[name] = set_state(campaign, to=CampaignState.OPEN, user=None).slug
    tokens = [create_token(person, name="bench", days=1, can_write=True)[1] for person in people]
    print(json.dumps({"projects": projects, "tokens": tokens}))


# Label Studio


@contextmanager
def theirs(names: Sequence[str]) -> Iterator[Side]:
    with ExitStack() as stack:
        home = os.environ.get("STEADYHAND_BENCH_HOME") or stack.enter_context(tempfile.TemporaryDirectory())
        programs = installed(Path(home) / "label-studio")
        data = stack.enter_context(tempfile.TemporaryDirectory())
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "PYTHONPATH"))
        }
        environment |= {"LABEL_STUDIO_BASE_DATA_DIR": data, "COLLECT_ANALYTICS": "false", "SENTRY_DSN": ""}
        program = Path(__file__).with_name("labelstudio_arrange.py")
        told = json.loads(output_of([programs / "python", "-P", program, RATERS[-1], TASKS, *names], environment))
        port = free_port()
        command = [programs / "label-studio", "start", "--no-browser", "--port", port, "--data-dir", data]
        stack.enter_context(running([str(word) for word in command], environment, port=port))
        yield Side("label-studio", port, told["tokens"], told["projects"])


def installed(folder: Path) -> Path:
    """The programs of Label Studio in a virtual environment of its own, made where it is not there yet."""
    programs = folder / "bin"
    if not (programs / "label-studio").exists():
        print(f"Installing label-studio=={VERSION} into {folder}", flush=True)
        venv.create(folder, with_pip=True)
        subprocess.run([programs / "pip", "install", "-q", f"label-studio=={VERSION}"], check=True)
    return programs


# Both


def output_of(command: Sequence[Any], environment: dict[str, str]) -> str:
    """The last line that it prints."""
    words = [str(word) for word in command]
    done = subprocess.run(words, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr[-4000:])
    return done.stdout.strip().splitlines()[-1]


@contextmanager
def running(command: Sequence[str], environment: dict[str, str], *, port: int) -> Iterator[None]:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=environment, cwd=ROOT, **quiet) as process:
        try:
            until = time.monotonic() + STARTS_WITHIN_S
            while not answers(port):
                if time.monotonic() > until or process.poll() is not None:
                    sys.exit(f"{command[0]} did not start")
                time.sleep(0.2)
            yield
        finally:
            process.terminate()
            process.wait(30)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    arrange(sys.argv[2:]) if sys.argv[1:2] == ["arrange"] else main()
