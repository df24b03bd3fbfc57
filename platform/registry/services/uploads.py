"""Models from outside, checked before anything reads them: safetensors or GGUF, and nothing that could run code."""

from __future__ import annotations

import json
import os
import shutil
import stat
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext

from accounts.errors import NotFound, UserError
from registry.models import Artifact, ArtifactKind
from registry.services.artifacts import new_stage, store_folder, told_if_full
from registry.services.names import check_file_name

MOST_BYTES = 200 * 2**30
MOST_FILES = 200
MOST_HEADER = 100 * 2**20  # bytes of JSON that a safetensors file may begin with; the library has the same bound
MOST_TEXT = 200 * 2**20  # bytes of a JSON or text file
PICKLED = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".npy", ".npz", ".joblib", ".h5", ".msgpack"}
TEXT = {".json", ".txt", ".md", ".jinja"}
TAKEN = TEXT | {".safetensors", ".gguf", ".model"}  # .model: the pieces of a SentencePiece tokenizer
ABOUT = ("LICENSE", "LICENCE", "NOTICE", ".gitattributes")  # begin names of files that no one loads
GGUF = b"GGUF"
PIECE = b"\n"  # the tag of the first piece in a SentencePiece model
ARCHIVE = (b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"7z\xbc\xaf", b"\x89HDF", b"\x93NUM")
# Protocols 2 to 5 begin with \x80 and their number; the older ones with the opcodes that build an object.
PICKLE = (*(bytes([0x80, protocol]) for protocol in range(2, 6)), b"c__", b"cos\n", b"cposix", b"(dp", b"(lp", b"(i")
TOKENIZERS = ({"tokenizer.json"}, {"tokenizer.model"}, {"vocab.json", "merges.txt"})


class BadUpload(UserError):
    code = "bad_upload"


class PickleRefused(BadUpload):
    code = "pickle_refused"


@contextmanager
def received(files: Sequence[UploadedFile[Any]]) -> Iterator[Path]:
    """The files on disk, in a folder that is gone afterwards. Raises `BadName`, `DiskFull`."""
    folder = Path(settings.UPLOADS_DIR) / str(uuid.uuid4())
    names = [check_file_name(file.name or "") for file in files]
    try:
        with told_if_full(gettext("uploads")):
            folder.mkdir(parents=True)
            for name, file in zip(names, files, strict=True):
                with (folder / name).open("xb") as target:
                    target.writelines(file.chunks())
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def stage_upload(path: Path) -> Artifact:
    """Stores a model folder or one GGUF file as an artifact of kind upload, for a run of `import_model` to read.

    Raises `NotFound`, `PickleRefused`, `BadUpload`, `DiskFull`; nothing is kept then.
    """
    if not os.path.lexists(path):
        raise NotFound(gettext("There is no file or folder at %(path)s.") % {"path": path}, code="no_file")
    files = model_files(path) if path.is_dir() and not path.is_symlink() else gguf_alone(path)
    with new_stage() as stage:
        folder = stage / "upload"
        folder.mkdir()
        for file in files:
            shutil.copyfile(file, folder / file.name, follow_symlinks=False)
        return store_folder(folder, kind=ArtifactKind.UPLOAD, move=True)


def gguf_alone(path: Path) -> list[Path]:
    refuse_hostile(path)
    if path.suffix.lower() != ".gguf":
        raise BadUpload(
            gettext("%(name)s is no GGUF file. Offer one, or a folder with config.json and safetensors.")
            % {"name": path.name}
        )
    refuse_large([path], name=path.name)
    return [path]


def model_files(folder: Path) -> list[Path]:
    """The files of a folder that is a model: weights as safetensors, config.json and a tokenizer, or one GGUF file."""
    files = sorted(folder.iterdir())
    if len(files) > MOST_FILES:
        raise BadUpload(
            gettext("%(name)s holds more than %(most)s files: that is no model.")
            % {"name": folder.name, "most": MOST_FILES},
            code="too_many_files",
        )
    for path in files:
        refuse_hostile(path)
    refuse_large(files, name=folder.name)
    names = {path.name for path in files}
    weights = {path.suffix.lower() for path in files} & {".safetensors", ".gguf"}
    if weights == {".gguf"} and sum(path.suffix.lower() == ".gguf" for path in files) == 1:
        return files
    if weights != {".safetensors"} or "config.json" not in names:
        raise BadUpload(
            gettext("%(name)s is no model: it needs config.json and safetensors, or one GGUF file.")
            % {"name": folder.name},
            code="no_model",
        )
    if not any(needed <= names for needed in TOKENIZERS):
        raise BadUpload(
            gettext("%(name)s has no tokenizer: add tokenizer.json.") % {"name": folder.name}, code="no_tokenizer"
        )
    return files


def refuse_large(files: list[Path], *, name: str) -> None:
    size = sum(path.stat().st_size for path in files)
    if size > MOST_BYTES:
        raise BadUpload(
            gettext("%(name)s has %(size)d GiB; at most %(most)d are taken.")
            % {"name": name, "size": round(size / 2**30), "most": MOST_BYTES / 2**30},
            code="too_large",
            status=413,
        )


def refuse_hostile(path: Path) -> None:
    """Raises for links, devices, pickles and programs, by the kind of file, its name and its first bytes."""
    mode = path.lstat().st_mode
    if stat.S_ISDIR(mode):
        raise BadUpload(
            gettext("%(name)s is a folder: a model's files stand side by side.") % {"name": path.name},
            code="not_a_file",
        )
    if not stat.S_ISREG(mode):
        raise BadUpload(
            gettext("%(name)s is a link or a device, and no ordinary file.") % {"name": path.name}, code="not_a_file"
        )
    suffix = path.suffix.lower()
    first = first_bytes(path)
    if suffix in PICKLED or (first.startswith(PICKLE) and suffix != ".safetensors") or first.startswith(ARCHIVE):
        raise PickleRefused(
            gettext(
                "%(name)s is a pickle or an archive, which can run code when it is opened. Offer safetensors or GGUF."
            )
            % {"name": path.name}
        )
    if suffix not in TAKEN and not path.name.startswith(ABOUT):
        raise BadUpload(
            gettext("%(name)s has no place in a model of safetensors: take it out.") % {"name": path.name},
            code="unknown_file",
        )
    if suffix == ".gguf" and not first.startswith(GGUF):
        raise BadUpload(gettext("%(name)s does not begin as a GGUF file does.") % {"name": path.name}, code="not_gguf")
    if suffix == ".model" and not first.startswith(PIECE):
        raise PickleRefused(
            gettext("%(name)s does not begin as a SentencePiece model does.") % {"name": path.name},
            code="not_sentencepiece",
        )
    if suffix == ".safetensors":
        check_safetensors(path)
    if suffix in TEXT:
        check_text(path)


def check_safetensors(path: Path) -> None:
    """Raises `PickleRefused` unless the file is a table of tensors that covers its bytes: eight bytes of length, JSON, data."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        head = file.read(length) if 2 <= length <= min(MOST_HEADER, size - 8) else b""
    try:
        table = json.loads(head)
        ends = [entry["data_offsets"][1] for name, entry in table.items() if name != "__metadata__"]
        is_whole = bool(ends) and max(ends) == size - 8 - length
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        is_whole = False
    if not is_whole:
        raise PickleRefused(
            gettext("%(name)s is called safetensors and is none: its table does not fit its size.")
            % {"name": path.name},
            code="not_safetensors",
        )


def check_text(path: Path) -> None:
    if path.stat().st_size > MOST_TEXT:
        raise BadUpload(
            gettext("%(name)s is larger than %(most)s MiB.") % {"name": path.name, "most": MOST_TEXT // 2**20},
            code="too_large",
            status=413,
        )
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix.lower() == ".json":
            json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadUpload(
            gettext("%(name)s is not what its name says: no readable text or JSON.") % {"name": path.name},
            code="not_text",
        ) from error


def first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(8)
