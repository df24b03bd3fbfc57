"""The process of a vLLM server: found, started on a socket of its own, asked over HTTP, and ended with the run.

It listens on a Unix socket in a folder that only this user may enter, on no port: vLLM's endpoints that load weights ask for
no key, so whoever reaches them can change what is sampled.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import httpx2

from training.context import Stopped
from training.contract import Failure
from training.mechanics.generation.vllm import keeper

PYTHON = "STEADYHAND_VLLM"  # names the python of an environment that has vLLM
LOG = "vllm.log"
SOCKET = "http.sock"
MODULE = "vllm.entrypoints.openai.api_server"
LOOK = "import importlib.util, sys; sys.exit(importlib.util.find_spec('vllm') is None)"
CLOSING_S = 15.0
LOOK_S, HEALTH_S = 0.2, 2.0  # between looks at whether to stop, and at whether a quiet server lives
DYING_S = 5.0  # from an error that kills an engine to its server's word that it is dead

# Nothing is fetched and nobody is told. Endpoints that load weights exist in its "development mode" alone.
TOLD = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_SERVER_DEV_MODE": "1",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
    "VLLM_HOST_IP": "127.0.0.1",  # its own processes talk to each other; to nobody else
}
NOT_PASSED_ON = (
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "VLLM_API_KEY",
)  # the first three lead into another environment


def find_python() -> str:
    """The python that has vLLM: what `STEADYHAND_VLLM` names, else our own. Raises `Failure("no_vllm")`."""
    named = os.environ.get(PYTHON, "")
    python = named or sys.executable
    try:
        found = subprocess.run([python, "-c", LOOK], env=environment(), cwd="/", capture_output=True, timeout=60)
        has_it = found.returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        has_it = False
    if has_it:
        return python
    raise Failure(
        "no_vllm",
        f"The recipe samples with vLLM, and {named or 'the environment of this worker'} has none.",
        advice=f"Install the extra vllm into an environment of its own, set {PYTHON} to its python where the workers start, "
        "and start them again; or turn vllm off in the recipe.",
    )


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in NOT_PASSED_ON} | TOLD


class Server:
    """One server with its keeper, from construction to `close`.

    `timeout_s` is how long it may take to start, or do nothing. Raises `Stopped`, and `Failure("vllm_start")`.
    """

    def __init__(
        self,
        python: str,
        model: Path,
        options: list[str],
        *,
        log: Path,
        at_once: int,
        timeout_s: float,
        stop_requested: Callable[[], bool],
    ) -> None:
        self.log, self.timeout_s, self.stop_requested = log, timeout_s, stop_requested
        # Not in the run's folder: a socket's path may have 107 letters.
        folder = tempfile.mkdtemp(prefix="steadyhand-vllm-")
        socket = str(Path(folder, SOCKET))
        command = [python, "-m", MODULE, "--model", str(model), "--uds", socket, *options]
        with log.open("wb") as written:
            self._process = subprocess.Popen(
                [sys.executable, "-S", keeper.__file__, folder, *command],
                stdin=subprocess.PIPE, stdout=written, stderr=subprocess.STDOUT, start_new_session=True,
                env=environment() | {"TMPDIR": folder},
            )  # fmt: skip
        # Without the environment, which might name a proxy; without time limits, for `next_of` has an eye on the clock.
        transport = httpx2.HTTPTransport(uds=socket, limits=httpx2.Limits(max_connections=None))
        self._client = httpx2.Client(transport=transport, base_url="http://vllm", trust_env=False, timeout=None)
        self._pool = ThreadPoolExecutor(at_once)
        self._is_closed = False
        try:
            self.wait_until_ready()
        except BaseException:
            self.close()
            raise

    def wait_until_ready(self) -> None:
        until = time.monotonic() + self.timeout_s
        while self.health() != 200:
            if self.stop_requested():
                raise Stopped
            code = self.exit_code()
            if code is not None or time.monotonic() > until:
                how = f"ended with code {code}" if code is not None else f"was not ready within {self.timeout_s:g} s"
                raise Failure("vllm_start", f"The vLLM server did not start: it {how}.", advice=self.last_words())
            time.sleep(LOOK_S)

    def ask_all(self, path: str, bodies: list[dict[str, Any]], *, at: str) -> list[httpx2.Response]:
        """What it answers to each, in their order; `at` says in a failure what it was doing.

        Raises `Stopped`, and `Failure` ("vllm_died", "vllm_hangs", "vllm_refused"): one sentence, whatever went wrong. The
        server must be closed then, for others of the requests may still be under way.
        """
        done: SimpleQueue[Future[httpx2.Response]] = SimpleQueue()
        asked = [self._pool.submit(self.post, path, body) for body in bodies]
        for future in asked:
            future.add_done_callback(done.put)
        for _ in asked:
            self.next_of(done, at=at).result()
        return [future.result() for future in asked]

    def next_of(self, done: SimpleQueue[Future[httpx2.Response]], *, at: str) -> Future[httpx2.Response]:
        """A server whose engine has died first waits for its connections to close, which wait for their answers: so a
        quiet one is asked how it is, on another connection."""
        began = asked_at = time.monotonic()
        while not self.stop_requested():
            with suppress(Empty):
                return done.get(timeout=LOOK_S)
            now = time.monotonic()
            if now - began > self.timeout_s:
                raise self.hangs(at)
            if now - asked_at > HEALTH_S:
                if not self.is_alive():
                    raise self.died()
                asked_at = time.monotonic()
        raise Stopped

    def post(self, path: str, body: dict[str, Any]) -> httpx2.Response:
        try:
            response = self._client.post(path, json=body)
        except httpx2.TransportError as error:
            raise self.trouble(type(error).__name__) from error
        if response.status_code >= 400:
            raise self.trouble(f"{response.status_code} {response.text[:300]}")
        return response

    def trouble(self, problem: str) -> Failure:
        """Of an error that may have killed its engine: that is known in a moment."""
        until = time.monotonic() + DYING_S
        while time.monotonic() < until:
            if not self.is_alive():
                return self.died()
            time.sleep(LOOK_S)
        return Failure("vllm_refused", f"The vLLM server refused a request: {problem}", advice=self.last_words())

    def is_alive(self) -> bool:
        return self.exit_code() is None and self.health() in (200, None)

    def health(self) -> int | None:
        """The status that it answers with, 0 where nobody listens, none where it takes too long."""
        try:
            return self._client.get("/health", timeout=HEALTH_S).status_code
        except httpx2.TimeoutException:
            return None
        except httpx2.TransportError:
            return 0

    def died(self) -> Failure:
        return Failure("vllm_died", "The vLLM server died during the run.", advice=self.last_words())

    def hangs(self, at: str) -> Failure:
        return Failure(
            "vllm_hangs", f"The vLLM server hangs: it was {at}, and nothing came for {self.timeout_s:g} s.",
            advice=f"Resume the run, which starts a new server, or raise timeout_s. {self.last_words()}",
        )  # fmt: skip

    def last_words(self) -> str:
        """An error of its log, the first rather than the last: what follows it are its consequences."""
        lines = self.log.read_text(errors="replace").splitlines()
        errors = [line.strip() for line in lines if "Error: " in line]
        said = (errors[:1] or [line.strip() for line in lines if line.strip()][-1:] or ["nothing"])[0]
        return f"Its log, {self.log.name} in the run's folder, says: {said[-300:]}"

    def exit_code(self) -> int | None:
        """Left unreaped, so that the number of its group stays its own until `close`."""
        done = None
        with suppress(ChildProcessError):  # `close` has reaped it
            done = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return self._process.returncode if done is None else done.si_status

    def close(self) -> None:
        """Ends it and all that it started; politely first, so that it frees shared memory."""
        if self._is_closed:
            return
        self._is_closed = True
        assert self._process.stdin is not None
        self._process.stdin.close()  # the keeper takes this for our death, and ends the rest
        until = time.monotonic() + CLOSING_S
        while self.exit_code() is None and time.monotonic() < until:
            time.sleep(0.05)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._pool.shutdown(cancel_futures=True)  # whoever waited for an answer has been told
        self._client.close()
