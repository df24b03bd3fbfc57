"""A disk that keeps only what was synced: the real server on the real SQLite, whose fsyncs are watched.

Whenever SQLite syncs a file, the file as it then is goes to a second folder. What that folder holds at any moment is what
a power cut at that moment leaves. A page that was written and never synced is not in it. `kill -9` proves nothing of the
kind: the kernel still writes what a dead process had given it.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import sqlite3  # noqa: F401 - loads the library that is patched
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KEPT = "STEADYHAND_TEST_KEPT"  # the folder of what was synced; an environment variable of this program alone
OK = 0
XOPEN, XSYNC = 40, 40  # offsets in sqlite3_vfs and in sqlite3_io_methods, on machines of 64 bits
METHODS = 19 * 8  # bytes of sqlite3_io_methods, version 3

Open = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p
)  # fmt: skip
Sync = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)

_alive: list[object] = []  # what SQLite holds pointers to
_paths: dict[int, Path] = {}  # of open files, by their address
_tables: dict[int, int] = {}  # a table of methods -> ours, which syncs in its way


def library() -> ctypes.CDLL | None:
    """The very library that Python's sqlite3 uses; None where that is built into Python."""
    with Path("/proc/self/maps").open() as maps:
        found = {line.split()[-1] for line in maps if "libsqlite3.so" in line}
    return ctypes.CDLL(found.pop()) if len(found) == 1 else None


def watch() -> None:
    """Watches every file that SQLite opens in this process from now on."""
    kept = Path(os.environ[KEPT])
    loaded = library()
    assert loaded is not None
    loaded.sqlite3_vfs_find.restype = ctypes.c_void_p
    vfs = loaded.sqlite3_vfs_find(None)
    place = ctypes.c_void_p.from_address(vfs + XOPEN)
    opened = Open(place.value or 0)

    def open_watched(this: int, name: int | None, file: int, flags: int, out: int) -> int:
        # A pointer, handed on as it is: SQLite reads the name there for as long as the file is open.
        done: int = opened(this, name, file, flags, out)
        if done == OK and name:
            _paths[file] = Path(os.fsdecode(ctypes.string_at(name)))
            methods = ctypes.c_void_p.from_address(file)
            methods.value = table_for(methods.value or 0, kept)
        return done

    mine = Open(open_watched)
    _alive.append(mine)
    place.value = ctypes.cast(mine, ctypes.c_void_p).value


def table_for(methods: int, kept: Path) -> int:
    if methods in _tables.values():
        return methods
    if methods not in _tables:
        table = ctypes.create_string_buffer(ctypes.string_at(methods, METHODS), METHODS)
        place = ctypes.c_void_p.from_address(ctypes.addressof(table) + XSYNC)
        synced = Sync(place.value or 0)

        def sync_and_keep(file: int, flags: int) -> int:
            done: int = synced(file, flags)
            if done == OK:
                keep(_paths[file], kept)
            return done

        mine = Sync(sync_and_keep)
        place.value = ctypes.cast(mine, ctypes.c_void_p).value
        _alive.extend([table, mine, synced])
        _tables[methods] = ctypes.addressof(table)
    return _tables[methods]


def keep(path: Path, kept: Path) -> None:
    stage = kept / f".{path.name}.{os.getpid()}"
    with locked(kept):
        shutil.copyfile(path, stage)
        stage.rename(kept / path.name)


def cut(kept: Path, to: Path) -> None:
    """What a power cut now would leave, as a folder of its own."""
    to.mkdir()
    with locked(kept):
        for path in kept.iterdir():
            if not path.name.startswith("."):
                shutil.copyfile(path, to / path.name)


@contextmanager
def locked(kept: Path) -> Iterator[None]:
    with (kept / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
