"""Runs of tests in two processes: several of them one after the other in the same two, which start as forks and at once."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from tests.training import tiny
from training import __main__ as program
from training import contract
from training.processes import run_together
from training.ranks import Ranks
from training.recipes import RECIPES
from training.recipes.parallel import Parallel

FOLDERS = "folders.json"
STRATEGIES = ("ddp", "fsdp")


def in_two(recipe: dict[str, Any], strategy: str = "ddp") -> dict[str, Any]:
    return recipe | {"parallel": {"processes": 2, "strategy": strategy}}


def finish_all(folder: Path, run_dirs: list[Path]) -> int:
    """Each by the strategy of its recipe, in one pair of processes."""
    torch.set_num_threads(1)
    folder.mkdir()
    (folder / FOLDERS).write_text(json.dumps([str(run_dir) for run_dir in run_dirs]))
    return run_together(folder, each, Parallel(processes=2))


def each(folder: Path, ranks: Ranks) -> int:
    codes = []
    for run_dir in map(Path, json.loads((folder / FOLDERS).read_text())):
        spec = contract.read_spec(run_dir)
        recipe: Any = RECIPES[spec.method].model_validate(spec.recipe)
        codes.append(program.work(run_dir, replace(ranks, is_cut=recipe.parallel.strategy == "fsdp")))
        ranks.wait()
    return max(codes)


def gap(one: Path, other: Path, name: str) -> float:
    """The largest difference of a curve between two runs that have told it at the same steps."""
    first, second = tiny.curve(one, name), tiny.curve(other, name)
    assert first.keys() == second.keys()
    assert first
    return max(abs(first[step] - second[step]) for step in first)


def apart(one: Path, other: Path) -> float:
    """The largest difference between two outputs' weights."""
    first, second = (load_file(next((run_dir / contract.OUTPUT).glob("*.safetensors"))) for run_dir in (one, other))
    assert first.keys() == second.keys()
    return max((first[name] - second[name]).abs().max().item() for name in first)


def begun(run_dir: Path, name: str, recipe: dict[str, Any], *, step: int) -> Path:
    """What another run had done by a checkpoint, to be gone on with under another recipe."""
    spec = contract.read_spec(run_dir)
    folder = tiny.make_run(run_dir.with_name(name), spec.method, recipe, spec.inputs)
    checkpoint = f"checkpoints/checkpoint-{step}"
    shutil.copytree(run_dir / checkpoint, folder / checkpoint)
    return folder
