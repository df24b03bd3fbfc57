"""A policy's weights as files that a vLLM server takes over: safetensors, of a whole model or of an adapter."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import save_file
from torch import Tensor

from training import contract
from training.mechanics import adapters, models

WEIGHTS = "model.safetensors"
POLICY_ADAPTER = "default"  # peft's name of the one that a model begins with; a reward model's may lie beside it


def write_model(policy: Any, tokenizer: Any, folder: Path, *, dtype: torch.dtype) -> None:
    """A folder to be served: the model without adapters, untied (`plain_weights`), and its tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = plain_model(policy)
    plain.config.save_pretrained(folder)
    path = folder / "config.json"
    config = json.loads(path.read_text()) | {"tie_word_embeddings": False, "dtype": str(dtype).removeprefix("torch.")}
    contract.write_atomically(path, json.dumps(config, indent=2))
    tokenizer.save_pretrained(folder)
    write_weights(policy, folder, dtype=dtype)


def write_weights(policy: Any, folder: Path, *, dtype: torch.dtype) -> None:
    """In place of those before, by a rename: a server may still hold the file that it has read."""
    stage = folder / f".{WEIGHTS}"
    save_file(plain_weights(plain_model(policy), dtype=dtype), stage, metadata={"format": "pt"})
    stage.replace(folder / WEIGHTS)


def plain_model(policy: Any) -> Any:
    return policy.get_base_model() if isinstance(policy, PeftModel) else policy


def plain_weights(model: Any, *, dtype: torch.dtype) -> dict[str, Tensor]:
    """By the names of a model without adapters, each of them a tensor of its own.

    Input and output embeddings that are one matrix become two: vLLM 0.32 prepares the output's for its processor once, and
    where they are tied, reloading changes the input's alone. It says that all is well and samples from half a model.
    """
    found = {}
    for name, weight in model.state_dict().items():
        if ".lora_" not in name:
            kept = weight.to(dtype) if weight.is_floating_point() else weight
            found[name.replace(".base_layer.", ".")] = kept.detach().to("cpu", copy=True).contiguous()
    return found


def write_adapter(policy: PeftModel, folder: Path) -> None:
    """The policy's own adapter alone, under a fresh name: vLLM keeps what it has read from a path."""
    shutil.rmtree(folder, ignore_errors=True)
    policy.save_pretrained(str(folder), selected_adapters=[POLICY_ADAPTER])
    models.forget_base_path(folder / adapters.ADAPTER_CONFIG)
