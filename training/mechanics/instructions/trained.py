"""What of a model is fine-tuned: all of it, low-rank adapters (on a base of 4 bits, too), or virtual tokens before the text.

QLoRA as Dettmers et al. 2023 have it: the base in NF4 with double quantisation, arithmetic in bfloat16, a paged optimiser.
Virtual tokens (prompt tuning, Lester et al. 2021; prefix tuning, Li & Liang 2021) begin as what real words are: the first
tokens of the training data, as embeddings, or as the keys and values that the model makes of them.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from peft import PeftModel, PrefixTuningConfig, PromptTuningConfig, get_peft_model, prepare_model_for_kbit_training
from torch import Tensor
from transformers import BitsAndBytesConfig, DynamicCache
from transformers.utils.import_utils import is_bitsandbytes_available

from training.context import RunContext
from training.contract import Failure
from training.mechanics import models
from training.mechanics.instructions.talks import Example
from training.mechanics.naming import named
from training.mechanics.randomness import seed_everything
from training.recipes.lora import LoRA
from training.recipes.sft import SftRecipe


def load_trained(context: RunContext, recipe: SftRecipe, *, train: list[Example]) -> Any:
    """The model with what the recipe trains of it; new weights follow from the run's seed alone. Raises `Failure`."""
    given = context.input("model")
    if recipe.adapter == "none":
        return models.load_causal(given, dtype=torch.float32)
    if recipe.adapter == "qlora":
        model = load_quantised(context)
    else:
        # A trained matrix needs float32; a frozen one does not, and costs half the time and memory in bfloat16.
        model = models.load_causal(given, dtype=torch.bfloat16 if recipe.bf16 else torch.float32)
    seed_everything(context.spec.seed + recipe.seed)
    if recipe.adapter in ("lora", "qlora"):
        return models.add_lora(model, recipe.lora or LoRA(), task="causal")
    ids = [token for example in train for token in example.input_ids][: recipe.virtual_tokens]
    ids *= math.ceil(recipe.virtual_tokens / len(ids))
    return add_virtual(model, ids[: recipe.virtual_tokens], kind=recipe.adapter)


def trainer_settings(recipe: SftRecipe) -> dict[str, Any]:
    """Keywords of a `TrainingArguments` that follow from what is trained."""
    if recipe.adapter == "qlora":
        return {"optim": "paged_adamw_32bit"}
    if recipe.adapter == "prefix":
        return {"activation_checkpointing": False}  # transformers drops a layer's keys and values with its activations
    return {}


# QLoRA


def load_quantised(context: RunContext) -> Any:
    """Raises `Failure("no_qlora")` where it can't be done, `Failure("not_full")` for a base that is no full model."""
    if not (torch.cuda.is_available() and is_bitsandbytes_available()):
        raise Failure(
            "no_qlora",
            "QLoRA needs an NVIDIA GPU and the package bitsandbytes, and this machine lacks "
            + ("the package." if torch.cuda.is_available() else "the GPU."),
            advice="Choose the adapter lora, or a machine with a GPU and `pip install steadyhand[qlora]`.",
        )
    given = context.input("model")
    if given.base is not None:
        raise Failure(
            "not_full",
            f"{named(given)} is an adapter: QLoRA reads its base in 4 bits, into which no adapter can be merged.",
            advice="Merge it first, by a run of the method merge, or choose the adapter lora.",
        )
    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    model = models.load_causal(given, dtype=torch.bfloat16, quantization_config=config, device_map={"": 0})
    return prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)  # the trainer switches that on


# Virtual tokens


def add_virtual(model: Any, ids: list[int], *, kind: str) -> Any:
    """Raises `Failure("unsupported_model")`."""
    config: Any = PromptTuningConfig if kind == "prompt" else PrefixTuningConfig
    tuned: Any = get_peft_model(model, config(task_type="CAUSAL_LM", num_virtual_tokens=len(ids)))
    begin = embeddings(model, ids) if kind == "prompt" else keys_and_values(model, ids)
    weight = tuned.prompt_encoder["default"].embedding.weight
    if weight.shape != begin.shape:
        raise Failure(
            "unsupported_model",
            f"Models of the kind {model.config.model_type} can't be prefix-tuned: their keys are of another size.",
            advice="Choose the adapter prompt or lora.",
        )
    with torch.no_grad():
        weight.copy_(begin)
    assert isinstance(tuned, PeftModel)
    return tuned


@torch.no_grad()
def embeddings(model: Any, ids: list[int]) -> Tensor:
    """Of P tokens, width D: (P, D) in float32."""
    found: Tensor = model.get_input_embeddings()(torch.tensor(ids, device=model.device)).float()
    return found


@torch.no_grad()
def keys_and_values(model: Any, ids: list[int]) -> Tensor:
    """Of P tokens, as peft lays them out: (P, layers x [keys, values] x heads x width) in float32."""
    cache: Any = DynamicCache()
    model(input_ids=torch.tensor([ids], device=model.device), past_key_values=cache, use_cache=True)
    both = [torch.stack([layer.keys[0], layer.values[0]]) for layer in cache.layers]
    return torch.stack(both).float().permute(3, 0, 1, 2, 4).flatten(1)
