"""Adapters in folders: which kind one is, how it is put on what it was trained on, and which can never be merged.

A model may be a stack: a base, an adapter that SFT has trained on it, another that DPO has trained on those two. It is put
together from below, each adapter merged before the next is put on, as it was when that one was trained.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from peft import PeftConfig, PeftModel, TaskType

from training.contract import Failure, Input
from training.mechanics.naming import named

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER = "adapter_model.safetensors"

VIRTUAL = {"PROMPT_TUNING": "prompt", "PREFIX_TUNING": "prefix"}


def kind_of(folder: Path) -> str:
    """As peft calls it, such as "LORA"; "" where the folder holds no readable adapter."""
    try:
        return str(json.loads((folder / ADAPTER_CONFIG).read_text())["peft_type"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def refuse_virtual(given: Input) -> None:
    """Raises `Failure("virtual_tokens")` for a model of prompt or prefix tuning, which nothing can be trained on."""
    kinds = [kind_of(Path(folder)) for folder in given.folders]
    virtual = next((VIRTUAL[kind] for kind in kinds if kind in VIRTUAL), None)
    if virtual:
        raise Failure(
            "virtual_tokens",
            f"{named(given)} is a {virtual} adapter: its virtual tokens stand before every text and can't be merged into "
            "weights, so it answers and is evaluated, and nothing else is made of it.",
            advice="Take the model that it was trained on, or a LoRA adapter.",
        )


def put_on(model: Any, folder: Path, *, given: Input) -> Any:
    """The model with the adapter merged into it, or, for virtual tokens, wrapped in it. Raises `Failure("no_adapter")`."""
    refuse_missing(folder, given=given)
    config = PeftConfig.from_pretrained(str(folder))
    if not model.can_generate() and config.task_type == TaskType.CAUSAL_LM:
        config.task_type = None  # a reward model on what SFT has learned: the weights fit, peft's wrapper would not
    found = PeftModel.from_pretrained(model, str(folder), config=config)
    return found if config.is_prompt_learning else found.merge_and_unload()


def refuse_missing(folder: Path, *, given: Input) -> None:
    """Raises `Failure("no_adapter")`."""
    if not (folder / ADAPTER).is_file():  # peft would look for a pickle next
        raise Failure("no_adapter", f"{named(given)} has no {ADAPTER}.")
