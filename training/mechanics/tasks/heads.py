"""Heads of tasks on pretrained models: standard classes of transformers on a trunk that is loaded for itself, and checked.

The trunk is loaded apart from its head, and its weights are laid into the task's class. To load the class itself from the
folder of a language model is a trap: `LlamaForQuestionAnswering` and Qwen's call their trunk `transformer` where the
language model calls it `model` (transformers 5.23), so nothing fits, every weight is drawn anew, and a warning is all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import SafetensorError
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from training import contract
from training.contract import Failure, Input
from training.mechanics import models
from training.mechanics.adapters import refuse_missing
from training.mechanics.naming import first_line, named
from training.recipes.finetune import TaskName
from training.recipes.lora import LoRA

TASK = "task.json"
CLASSES: dict[TaskName, Any] = {
    "classification": AutoModelForSequenceClassification,
    "entities": AutoModelForTokenClassification,
    "answers": AutoModelForQuestionAnswering,
}
DROPOUT = re.compile(r"(dropout(_prob)?|_pdrop)$")  # as transformers' configurations call it
ADAPTERS: dict[TaskName, str] = {"classification": "SEQ_CLS", "entities": "TOKEN_CLS", "answers": "QUESTION_ANS"}


@dataclass(frozen=True, slots=True)
class TaskRule:
    """How a task model is to be read: what its outputs are called, and how texts are laid before it.

    `names`: labels of a classification, tags of entities, none of answers. `has_none`: some questions have no answer.
    """

    task: TaskName
    names: tuple[str, ...]
    max_length: int
    stride: int = 0
    max_answer: int = 64
    has_none: bool = False


def write_rule(folder: Path, rule: TaskRule) -> None:
    contract.write_atomically(folder / TASK, json.dumps(asdict(rule), ensure_ascii=False, indent=1))


def read_rule(given: Input) -> TaskRule:
    """Raises `Failure("no_task")` for a model that was not fine-tuned on a task here."""
    try:
        raw = json.loads(Path(given.path, TASK).read_text())
        return TaskRule(**{**raw, "names": tuple(raw["names"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Failure(
            "no_task",
            f"{named(given)} has no readable {TASK}, which tells what its outputs mean.",
            advice="Choose a model that was fine-tuned on a task here.",
        ) from error


def is_task_model(given: Input) -> bool:
    return Path(given.path, TASK).is_file()


def fresh(
    given: Input, rule: TaskRule, *, dtype: torch.dtype, pad: int, dropout: float | None = None
) -> tuple[Any, list[str]]:
    """The pretrained model with a head of the task, drawn from torch's random state, and the names of what was drawn.

    `dropout` is set wherever its class knows one.
    Raises `Failure("no_task_head")` where its class has none for the task.
    """
    trunk, drawn = load_trunk(given, dtype=dtype)
    config = trunk.config
    config.pad_token_id = pad  # where a classifier on a causal model looks for the end of a text
    if dropout is not None:
        config.update({name: dropout for name in config.to_dict() if DROPOUT.search(name)})
    if rule.names:
        config.id2label = dict(enumerate(rule.names))
        config.label2id = {name: i for i, name in enumerate(rule.names)}
    try:
        model = CLASSES[rule.task].from_config(config)
    except (ValueError, AttributeError) as error:
        raise Failure(
            "no_task_head",
            f"A model of class {type(trunk).__name__} has no head for {rule.task}: {first_line(error)}",
            advice="Choose a Llama, Qwen, GPT-2, BERT or ModernBERT, or another task.",
        ) from error
    prefix = model.base_model_prefix
    inside = getattr(model, prefix)
    missing, _ = inside.load_state_dict(trunk.state_dict(), strict=False)  # BERT's pooler is not in every class
    if missing:
        raise Failure("bad_model", f"{named(given)} lacks weights that its class has, such as {missing[0]}.")
    kept = {f"{prefix}.{name}" for name in trunk.state_dict().keys() - drawn}
    names = {name.rpartition(".")[0] for name, _ in model.named_parameters() if name not in kept}
    return model.to(dtype), sorted(names)


def load_trunk(given: Input, *, dtype: torch.dtype) -> tuple[Any, set[str]]:
    """A model without its head, an adapter merged into it, and the names of weights that the folder does not hold."""
    if given.base is not None:
        return models.load(AutoModelForCausalLM, given, dtype=dtype).base_model, set()
    try:
        trunk, told = AutoModel.from_pretrained(
            given.path, dtype=dtype, use_safetensors=True, trust_remote_code=False, local_files_only=True,
            output_loading_info=True,
        )  # fmt: skip
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise Failure("bad_model", f"{named(given)} can't be loaded: {first_line(error)}") from error
    drawn = set(told["missing_keys"])
    if any(not name.startswith("pooler.") for name in drawn):
        raise Failure(
            "bad_model",
            f"{named(given)} lacks weights that its class has, such as {min(drawn)}.",
            advice="Import or train the model again: its files are not those of its class.",
        )
    return trunk, drawn


def load_task_model(given: Input, *, dtype: torch.dtype, pad: int) -> tuple[Any, TaskRule]:
    """A trained task model on the CPU, an adapter merged into its base. Raises `Failure`."""
    rule = read_rule(given)
    if given.base is None:
        return models.load(CLASSES[rule.task], given, dtype=dtype), rule
    *below, top = given.below
    stack = Input(top, given.kind, given.sha256, given.name, base=below[0] if below else None, between=tuple(below[1:]))
    model, _ = fresh(stack, rule, dtype=dtype, pad=pad)  # what is drawn here stands in the adapter, and is laid over it
    refuse_missing(Path(given.path), given=given)
    try:
        return PeftModel.from_pretrained(model, given.path).merge_and_unload(), rule
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise Failure("bad_model", f"{named(given)} can't be loaded: {first_line(error)}") from error


def add_adapter(model: Any, lora: LoRA, *, task: TaskName, drawn: Sequence[str]) -> Any:
    """A fresh adapter on the trunk's linear layers; what was drawn is trained whole and belongs to the adapter."""
    config = LoraConfig(
        r=lora.r, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules="all-linear",
        exclude_modules=list(drawn), task_type=ADAPTERS[task], modules_to_save=list(drawn),
    )  # fmt: skip
    adapted = get_peft_model(model, config)
    for weight in adapted.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()  # a step of 1e-4 is lost in bfloat16
    return adapted
