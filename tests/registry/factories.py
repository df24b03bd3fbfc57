"""Rows, folders and models as small as they can be and still be whole."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from registry.models import Artifact, ModelVersion
from registry.services.artifacts import store_folder
from registry.services.models import register_model
from registry.services.schemas import RANKINGS, conversation_sha256


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def prompt(question: str) -> dict[str, Any]:
    return {"id": question, "messages": [turn("user", question)]}


def preference_row(question: str, *, number: int, simulated: bool = True) -> dict[str, Any]:
    asked = [turn("user", question)]
    return {
        "prompt": asked, "chosen": [turn("assistant", f"Good {number}")], "rejected": [turn("assistant", f"Bad {number}")],
        "id": f"c{number}", "group_id": conversation_sha256(asked), "prompt_id": question, "ranking_id": f"r{number}",
        "rater": f"rater-{number % 2}", "margin": 1.0, "weight": 0.5, "simulated": simulated,
    }  # fmt: skip


def preference_files(splits: dict[str, list[dict[str, Any]]]) -> Callable[[Path], None]:
    """The rankings behind preference rows, as a snapshot writes them beside the rows."""

    def write(folder: Path) -> None:
        (folder / "rankings").mkdir()
        for split, rows in splits.items():
            rankings = [
                {
                    "group_id": row["group_id"], "ranking_id": row["ranking_id"], "prompt": row["prompt"],
                    "completions": [
                        {"id": "a", "text": row["chosen"][0]["content"]},
                        {"id": "b", "text": row["rejected"][0]["content"]},
                    ],
                    "tiers": [["a"], ["b"]], "strengths": [2], "rater": row["rater"], "seconds": 12.5,
                    "simulated": row["simulated"], "all_bad": False, "cannot_rank": "",
                    "texts": [
                        {"id": name, "left_out": False, "flags": "", "ratings": "{}", "better_than": ""} for name in "ab"
                    ],
                }
                for row in rows
            ]  # fmt: skip
            path = folder / "rankings" / f"{split}-00000-of-00001.parquet"
            pq.write_table(pa.Table.from_pylist(rankings, schema=RANKINGS), path)

    return write


def safetensors(path: Path) -> Path:
    """One tensor of two float32 zeros."""
    table = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    path.write_bytes(struct.pack("<Q", len(table)) + table + bytes(8))
    return path


def model_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    safetensors(folder / "model.safetensors")
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_text("{}")
    (folder / "README.md").write_text("A model.")
    (folder / "LICENSE").write_text("MIT")
    return folder


def adapter_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    safetensors(folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text("{}")
    return folder


def model_artifact(tmp_path: Path, name: str, *, adapter: bool = False) -> Artifact:
    folder = (adapter_folder if adapter else model_folder)(tmp_path / "made" / name)
    return store_folder(folder, kind="model")


def a_model(tmp_path: Path, name: str, *, role: str = "sft", **fields: Any) -> ModelVersion:
    artifact = model_artifact(tmp_path, name, adapter=fields.get("base") is not None)
    return register_model(name, role=role, artifact=artifact, user=None, **fields)
