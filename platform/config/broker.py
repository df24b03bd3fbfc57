"""The broker that needs no server: kombu's folder of messages, made safe for several processes.

Stock kombu creates a message and then writes it, so that a reader may take it empty; names it by a clock that starts
anew at every boot; and moves what it takes through the folder for temporary files, which copies (and can double)
a message where that is another file system. Here each step is one rename inside one file system.
"""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps, loads


class Channel(filesystem.Channel):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.messages = Path(self.data_folder_out)
        self.taken = Path(self.processed_folder)
        for folder in (self.messages, self.taken, self.control_folder):
            folder.mkdir(parents=True, exist_ok=True)

    def _put(self, queue: str, payload: dict[str, Any], **kwargs: Any) -> None:  # type: ignore[override]
        name = f"{time.time_ns():020d}_{uuid.uuid4()}.{queue}.msg"
        stage = self.messages / f".{name}"
        stage.write_text(dumps(payload))
        stage.replace(self.messages / name)

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        for name in sorted(os.listdir(self.messages)):  # noqa: PTH208  (names are enough, ten times a second)
            if name.startswith(".") or name.partition(".")[2] != f"{queue}.msg":
                continue
            taken = self.taken / name
            try:
                (self.messages / name).rename(taken)
            except FileNotFoundError:
                continue  # another consumer was first
            payload = taken.read_bytes()
            taken.unlink()
            return loads(bytes_to_str(payload))
        raise Empty

    def _queue_bind(self, exchange: str, *args: Any) -> None:
        file: Path = self._exchange_file(exchange)  # type: ignore[attr-defined]  # newer than the stubs
        if not file.exists():
            # Two processes that start at once would each create it, the second over what the first wrote.
            stage = self.control_folder / f".{uuid.uuid4()}"
            stage.write_text("[]")
            try:
                file.hardlink_to(stage)
            except FileExistsError:
                pass
            finally:
                stage.unlink()
        super()._queue_bind(exchange, *args)


class Transport(filesystem.Transport):
    Channel = Channel


def install() -> None:
    """Lets `filesystem://` mean this transport."""
    TRANSPORT_ALIASES["filesystem"] = f"{__name__}:Transport"
