"""The folder of messages with several processes at both ends: every message arrives, whole, and once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from kombu import Connection
from kombu.exceptions import ContentDisallowed
from kombu.serialization import registry

from config import broker

ROOT = Path(__file__).resolve().parents[2]
CODE = """
import json, sys
sys.path.append(sys.argv[1])
from kombu import Connection
from config import broker
broker.install()
folder, role, number = sys.argv[2], sys.argv[3], int(sys.argv[4])
with Connection("filesystem://", transport_options=json.loads(folder)) as connection:
    queue = connection.SimpleQueue("rings")
    if role == "put":
        for i in range(number):
            queue.put({"id": f"{sys.argv[5]}-{i}"})
    else:
        taken = []
        while True:
            try:
                message = queue.get(timeout=2)
            except queue.Empty:
                break
            taken.append(message.payload["id"])
            message.ack()
        print(json.dumps(taken))
"""


def options(folder: Path) -> dict[str, object]:
    return {
        "data_folder_in": str(folder / "messages"), "data_folder_out": str(folder / "messages"),
        "control_folder": str(folder / "control"), "processed_folder": str(folder / "processed"), "polling_interval": 0.01,
    }  # fmt: skip


@pytest.mark.slow(seconds=3)
def test_four_writers_and_three_readers_lose_and_double_nothing(tmp_path):
    def start(role: str, name: str) -> subprocess.Popen[str]:
        arguments = [str(ROOT / "platform"), json.dumps(options(tmp_path)), role, "150", name]
        return subprocess.Popen([sys.executable, "-c", CODE, *arguments], stdout=subprocess.PIPE, text=True)

    readers = [start("get", f"r{i}") for i in range(3)]
    writers = [start("put", f"w{i}") for i in range(4)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0, 0]
    taken = [json.loads(reader.communicate(timeout=60)[0]) for reader in readers]
    assert sorted(name for names in taken for name in names) == sorted(
        f"w{i}-{n}" for i in range(4) for n in range(150)
    )
    assert not list((tmp_path / "processed").iterdir())


def test_messages_come_in_the_order_in_which_they_were_put(tmp_path):
    broker.install()
    with Connection("filesystem://", transport_options=options(tmp_path)) as connection:
        queue = connection.SimpleQueue("rings")
        for i in range(20):
            queue.put(i)
        assert [queue.get(timeout=1).payload for _ in range(20)] == list(range(20))


class Trap:
    """Unpickled, it touches a file: what a stranger would have us run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


def test_a_pickle_on_the_queue_is_never_opened(tmp_path):
    broker.install()
    sprung = tmp_path / "sprung"
    with Connection("filesystem://localhost", transport_options=options(tmp_path)) as connection:
        rings = connection.SimpleQueue("strangers")
        registry.enable("pickle")
        try:
            rings.put(Trap(sprung), serializer="pickle")
        finally:
            registry.disable("pickle")
        with pytest.raises(ContentDisallowed):
            rings.get(timeout=5).decode()
    assert settings.CELERY_ACCEPT_CONTENT == ["json"]
    assert not sprung.exists()
