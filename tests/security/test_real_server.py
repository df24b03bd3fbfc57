"""The ASGI server as it is run: a browser's handshake from our own pages is let in, any other is not."""

from __future__ import annotations

import base64
import http.client
import os
import re
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.accounts.people import PASSWORD
from tests.security.walk import addresses
from tests.web_server import WebServer, web_server

pytestmark = pytest.mark.slow

TOPIC = "nothing"  # no app declares it: nobody may follow it


@dataclass(frozen=True, slots=True)
class Server:
    web: WebServer
    cookie: str  # of an admin who is logged in

    @property
    def host(self) -> str:
        return self.web.host

    @property
    def port(self) -> int:
        return self.web.port


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    with web_server(tmp_path_factory.mktemp("home")) as web:
        yield Server(web, logged_in(web.port))


def ask(
    port: int, method: str, path: str, *, body: str | None = None, **headers: str
) -> tuple[int, list[tuple[str, str]], str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(
        method, path, body=body, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    answer = connection.getresponse()
    return answer.status, answer.getheaders(), answer.read().decode(errors="replace")


def logged_in(port: int) -> str:
    _, headers, page = ask(port, "GET", "/login/")
    csrf = cookies_of(headers)["csrftoken"]
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page).group(1)
    body = f"username=grace&password={PASSWORD.replace(' ', '+')}&csrfmiddlewaretoken={token}"
    status, headers, _ = ask(
        port, "POST", "/login/", body=body, Cookie=f"csrftoken={csrf}", Content_Type="application/x-www-form-urlencoded"
    )
    assert status == 302
    return f"sessionid={cookies_of(headers)['sessionid']}"


def cookies_of(headers: list[tuple[str, str]]) -> dict[str, str]:
    return dict(value.split(";")[0].split("=", 1) for name, value in headers if name.lower() == "set-cookie")


def handshake(
    server: Server, *, origin: str | None, cookie: str, topics: str = "runs", host: str = ""
) -> tuple[int, socket.socket]:
    lines = [
        f"GET /ws/hints/?topics={topics} HTTP/1.1", f"Host: {host or server.host}", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        *([f"Origin: {origin}"] if origin is not None else []), *([f"Cookie: {cookie}"] if cookie else []),
    ]  # fmt: skip
    wire = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    wire.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    return int(wire.recv(4096).split(b" ")[1]), wire


def status_of(server: Server, **options: str | None) -> int:
    status, wire = handshake(server, **options)
    wire.close()
    return status


def test_our_own_page_is_let_in(server):
    assert status_of(server, origin=f"http://{server.host}", cookie=server.cookie) == 101


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", None, "http://127.0.0.1.evil.example", "http://evil.example/127.0.0.1", "file://"],
)
def test_any_other_origin_is_refused_even_with_the_cookie(server, origin):
    assert status_of(server, origin=origin, cookie=server.cookie) == 403


def test_a_stranger_is_refused(server):
    assert status_of(server, origin=f"http://{server.host}", cookie="") == 403


def test_a_forged_session_is_refused(server):
    assert status_of(server, origin=f"http://{server.host}", cookie="sessionid=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa") == 403


def test_an_undeclared_topic_is_refused(server):
    assert status_of(server, origin=f"http://{server.host}", cookie=server.cookie, topics=TOPIC) == 403


@pytest.mark.parametrize("size", [10, 1_000_000, 30_000_000])
def test_a_page_that_sends_anything_is_cut_off_and_the_server_lives(server, size):
    status, wire = handshake(server, origin=f"http://{server.host}", cookie=server.cookie)
    assert status == 101
    before = resident_of(server.web.process.pid)
    try:
        wire.sendall(b"\x81\xff" + struct.pack("!Q", size) + b"\0\0\0\0")
        for _ in range(size // 100_000 + 1):
            wire.sendall(b"x" * min(size, 100_000))
        assert wire.recv(4096)[:1] in (b"\x88", b"")  # a close frame, or the end
    except (BrokenPipeError, ConnectionResetError):
        pass  # it hung up before we were done
    wire.close()
    assert resident_of(server.web.process.pid) - before < 20_000_000
    assert ask(server.port, "GET", "/login/")[0] == 200


def resident_of(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_no_address_opens_to_a_stranger_over_asgi_either(server):
    for address in addresses():
        if address.is_public:
            continue
        for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
            status, headers, _ = ask(server.port, method, address.path, body="" if method != "GET" else None)
            assert status in (302, 401, 403), (method, address.route, status)
            assert status != 302 or dict(headers)["Location"].startswith("/login/")


def test_another_host_is_refused_over_asgi_either(server):
    assert ask(server.port, "GET", "/login/", Host="evil.example")[0] == 400


def test_static_files_do_not_lead_out_of_their_folder(server):
    for path in (
        "/static/../manage.py",
        "/static/%2e%2e/%2e%2e/etc/passwd",
        "/static/..%2fconfig/settings.py",
        "/static//etc/passwd",
    ):
        status, _, text = ask(server.port, "GET", path)
        assert status in (302, 400, 403, 404) and "import" not in text and "root:" not in text, path
