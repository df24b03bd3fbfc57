"""What is checked of files from outside before any library reads them: nothing here trusts a byte of theirs."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from safetensors import SafetensorError, safe_open
from transformers import CONFIG_MAPPING

from training.contract import Failure, Input
from training.mechanics.adapters import ADAPTER_CONFIG
from training.mechanics.models import refuse_masked, refuse_pickles
from training.mechanics.naming import first_line

GGUF_MAGIC = b"GGUF"
PICKLE_MAGIC = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))
ZIP_MAGIC = b"PK\x03\x04"  # what torch.save writes: a zip of pickles
CONFIGS = ("config.json", "tokenizer_config.json", "generation_config.json")
INDEX = "model.safetensors.index.json"

# GGUF value types: the size of a fixed one in bytes; strings and arrays carry their length.
FIXED = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY = 8, 9
MOST_DIMENSIONS = 4


@dataclass(frozen=True, slots=True)
class Found:
    """A model from outside: a folder, or one GGUF file in it, and how many parameters its weights have."""

    folder: Path
    gguf: str | None
    num_parameters: int


def find_model(upload: Path) -> Found:
    """Raises `Failure` for whatever must not, or can't, be loaded."""
    refuse_links(upload)
    refuse_pickles(upload)
    refuse_hidden_pickles(upload)
    folder = upload
    while len(entries := sorted(folder.iterdir())) == 1 and entries[0].is_dir():
        folder = entries[0]
    files = [path for path in entries if path.is_file()]
    ggufs = [path for path in files if path.suffix.lower() == ".gguf" or head_of(path, 4) == GGUF_MAGIC]
    if len(ggufs) > 1:
        raise Failure("several_models", f"There are {len(ggufs)} GGUF files; a model is one.", advice="Upload one.")
    if ggufs:
        return Found(folder, ggufs[0].name, check_gguf(ggufs[0]))
    return Found(folder, None, check_folder(folder))


def refuse_links(upload: Path) -> None:
    for path in sorted(upload.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise Failure(
                "link", f"{path.name} is a link or no plain file; a model's folder holds plain files alone.",
                advice="Copy the file itself into the folder.",
            )  # fmt: skip


def refuse_hidden_pickles(upload: Path) -> None:
    for path in sorted(upload.rglob("*")):
        if path.is_file() and head_of(path, 4).startswith((*PICKLE_MAGIC, ZIP_MAGIC)):
            raise Failure(
                "pickle",
                f"{path.name} is a pickle or an archive under another name; loading it could run code.",
                advice="Only safetensors and GGUF are taken.",
            )


def head_of(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size)


# A folder of safetensors


def check_folder(folder: Path) -> int:
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise Failure(
            "no_weights",
            "There are no weights: neither a GGUF file nor safetensors.",
            advice="Upload a model's folder.",
        )
    if (folder / ADAPTER_CONFIG).exists():
        raise Failure(
            "adapter_only", "This is an adapter without its model.", advice="Merge it into its model, then upload that."
        )
    for name in CONFIGS:
        if (folder / name).exists() and "auto_map" in read_json(folder / name):
            raise Failure(
                "remote_code",
                f"{name} asks to run code that came with the model (auto_map); that is never done.",
                advice="Use a model of a class that transformers itself has.",
            )
    check_config(folder / "config.json")
    if not (folder / "tokenizer.json").exists():
        raise Failure("no_tokenizer", "The model has no tokenizer.json.", advice="Add the tokenizer's files.")
    check_index(folder, {path.name for path in weights})
    return sum(count_weights(path) for path in weights)


def read_json(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise Failure("bad_config", f"{path.name} can't be read: {first_line(error)}") from error
    if not isinstance(read, dict):
        raise Failure("bad_config", f"{path.name} holds no object.")
    return read


def check_config(path: Path) -> None:
    kind = read_json(path).get("model_type")
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        raise Failure(
            "unknown_architecture", f"The model is of type {kind!r}, which transformers has no class for.",
            advice="Use a model of a class that transformers itself has.",
        )  # fmt: skip
    refuse_masked(Input(str(path.parent), "model", "", name="The upload"))


def check_index(folder: Path, names: set[str]) -> None:
    """An index may only name the folder's own files: a path in it would be followed."""
    if (folder / INDEX).exists():
        shards = read_json(folder / INDEX).get("weight_map")
        absent = sorted({str(name) for name in shards.values()} - names) if isinstance(shards, dict) else ["a list"]
        if absent:
            raise Failure("missing_weights", f"The index of the weights names {absent[0]!r}, which is not there.")


def count_weights(path: Path) -> int:
    try:
        with safe_open(path, framework="numpy") as file:
            return sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118 (no mapping)
    except SafetensorError as error:
        raise Failure(
            "broken_weights", f"{path.name} is cut short or broken: {first_line(error)}", advice="Upload it again."
        ) from error


# One GGUF file (format: ggml's docs/gguf.md). Its reader loops over whatever lengths the file claims, so we walk first


def check_gguf(path: Path) -> int:
    """Walks the whole header within the file's bounds; the number of parameters. Raises `Failure("broken_gguf")`."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            return Walk(file, size).walk()
    except (ValueError, struct.error, KeyError, OverflowError) as error:
        raise Failure(
            "broken_gguf", f"{path.name} is cut short or broken: {first_line(error)}", advice="Download it again."
        ) from error


@dataclass(slots=True)
class Walk:
    file: BinaryIO
    size: int

    def walk(self) -> int:
        if self.file.read(4) != GGUF_MAGIC:
            raise ValueError("it does not begin as a GGUF file")
        version, num_tensors, num_values = struct.unpack("<IQQ", self.read(20))
        if version not in (2, 3):
            raise ValueError(f"version {version} is not known")
        alignment = 32
        for _ in range(num_values):
            key = self.read(self.number()).decode()
            (kind,) = struct.unpack("<I", self.read(4))
            if key == "general.alignment" and kind == 4:
                (alignment,) = struct.unpack("<I", self.read(4))
            else:
                self.skip_value(kind)
        if not num_tensors or alignment < 1:
            raise ValueError("it holds no weights")
        elements, end = 0, 0
        for _ in range(num_tensors):
            count, behind = self.tensor()
            elements, end = elements + count, max(end, behind)
        begin = -(-self.file.tell() // alignment) * alignment
        if begin + end > self.size:
            raise ValueError(f"its weights end at byte {begin + end:,} of {self.size:,}")
        return elements

    def tensor(self) -> tuple[int, int]:
        """Elements of the next tensor, and where its data ends."""
        self.read(self.number())
        (num_dimensions,) = struct.unpack("<I", self.read(4))
        if num_dimensions > MOST_DIMENSIONS:
            raise ValueError(f"a tensor has {num_dimensions} dimensions")
        count = prod(struct.unpack(f"<{num_dimensions}Q", self.read(8 * num_dimensions)))
        kind, offset = struct.unpack("<IQ", self.read(12))
        block, num_bytes = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
        return count, offset + count // block * num_bytes

    def number(self) -> int:
        (value,) = struct.unpack("<Q", self.read(8))
        return int(value)

    def read(self, count: int) -> bytes:
        self.stay_inside(count)
        return self.file.read(count)

    def stay_inside(self, count: int) -> None:
        if self.file.tell() + count > self.size:
            raise ValueError("a length in its header lies beyond its end")

    def skip(self, count: int) -> None:
        self.stay_inside(count)
        self.file.seek(count, 1)

    def skip_value(self, kind: int, *, depth: int = 0) -> None:
        if kind == STRING:
            self.skip(self.number())
        elif kind == ARRAY:
            if depth:
                raise ValueError("an array of arrays")
            inner, count = struct.unpack("<IQ", self.read(12))
            if inner in FIXED:
                self.skip(FIXED[inner] * count)
            else:
                self.stay_inside(8 * count)  # each takes its length at least
                for _ in range(count):
                    self.skip_value(inner, depth=depth + 1)
        else:
            self.skip(FIXED[kind])
