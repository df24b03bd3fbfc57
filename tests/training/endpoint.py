"""A real OpenAI-compatible server on this machine, which answers what it is asked and can be told to be in trouble."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-not-to-be-told-to-anyone"


@dataclass(slots=True)
class Asked:
    """A request as it came, and how it was answered."""

    at: float
    path: str
    authorization: str | None
    body: dict[str, Any]
    status: int

    @property
    def words(self) -> str:
        return str(self.body["messages"][-1]["content"])


@dataclass(slots=True)
class Server:
    url: str = ""
    key: str = ""
    asked: list[Asked] = field(default_factory=list)
    trouble: list[int] = field(default_factory=list)  # statuses of the next answers
    down_after: int | None = None  # good answers, after which there are none
    at_most: int = 100  # completions an answer, whatever `n` was
    takes_s: float = 0.0
    gives_logprobs: bool = True
    says: Any = None  # instead of completions
    replies: Callable[[str], str] | None = None  # to the last words, instead of saying them again
    under_way: int = 0
    lock: Any = field(default_factory=threading.Lock)

    def settle(self) -> None:
        """Returns once nothing is asked any more: what a killed client had sent is still answered after its end."""
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            if self.under_way:
                until = time.monotonic() + 0.3
            time.sleep(0.01)

    @property
    def answered(self) -> list[Asked]:
        return [one for one in self.asked if one.status == 200]

    def status(self, authorization: str | None) -> int:
        if self.key and authorization != f"Bearer {self.key}":
            return 401
        if self.trouble:
            return self.trouble.pop(0)
        return 503 if self.down_after is not None and len(self.answered) >= self.down_after else 200

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        words = body["messages"][-1]["content"]
        said = [f"{words} / {body['seed']} / {i}" for i in range(min(self.at_most, body["n"]))]
        choices = [self.choice(self.replies(words) if self.replies else text, body) for text in said]
        usage = {"prompt_tokens": len(words), "completion_tokens": 3 * len(choices)}
        return {"object": "chat.completion", "choices": choices, "usage": usage}

    def choice(self, text: str, body: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        if body.get("logprobs") and self.gives_logprobs:
            found["logprobs"] = {"content": [{"token": "t", "logprob": -0.5} for _ in range(3)]}
        return found


@contextmanager
def serving(of: type[Server] = Server, **told: Any) -> Iterator[Server]:
    server = of(**told)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            with server.lock:
                server.under_way += 1
            try:
                self.respond()
            finally:  # a client that was killed may have sent half a request
                with server.lock:
                    server.under_way -= 1

        def respond(self) -> None:
            at = time.monotonic()
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            time.sleep(server.takes_s)
            with server.lock:
                status = server.status(self.headers["Authorization"])
                server.asked.append(Asked(at, self.path, self.headers["Authorization"], body, status))
            refused = {"error": {"message": f"No, {self.headers['Authorization']}."}}
            payload = json.dumps((server.says or server.answer(body)) if status == 200 else refused).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_port}/v1"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
