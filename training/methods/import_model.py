"""A model from outside, checked and stored as safetensors: a folder of safetensors or one GGUF file goes in.

Nothing of the upload is copied: it is read, and what was read is written anew. No code that came with it is run, no
pickle opened, no link followed; all weights must be finite, and the model must answer before it is stored.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, GgufConfig
from transformers.utils import logging as transformers_logging

from training.context import RunContext, Stopped
from training.contract import Failure, Input
from training.mechanics import datasets, models
from training.mechanics.generation import sampling
from training.mechanics.import_checks import Found, find_model
from training.mechanics.naming import first_line
from training.mechanics.reward.score_rule import PLAIN, ScoreRule
from training.recipes.import_model import ImportModelRecipe

QUESTION = "What is the capital of France?"
OPENING = "Once upon a time"
SAMPLE_TOKENS = 48
DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}
UNREADABLE = (OSError, ValueError, KeyError, TypeError, IndexError, RuntimeError, AttributeError, ImportError)


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, ImportModelRecipe)
    transformers_logging.disable_progress_bar()  # the events say it
    tell(context, "checking", 0)
    upload = Path(context.input("upload").path)
    found = find_model(upload)
    refuse_too_big(found, dtype=DTYPES[recipe.dtype])
    tell(context, "reading", 1)
    tokenizer = read_tokenizer(found)
    model = read_model(found, recipe)
    check_weights(model, tokenizer)
    tell(context, "trying", 2)
    try_it(context, recipe, model=model, tokenizer=tokenizer)
    tell(context, "storing", 3)
    tokenizer.padding_side = "right"
    tokenizer.model_max_length = context_of(model) or tokenizer.model_max_length
    models.publish_model(model, tokenizer, context.output)
    if recipe.role_of_model == "reward":
        store_scale(context, found)
    context.progress("importing", 4, 4, unit="phases")
    return {
        "num_parameters": models.count_parameters(model),
        "vocab_size": len(tokenizer),
        "context": context_of(model),
        "has_chat_template": int(bool(tokenizer.chat_template)),
    }


def context_of(model: Any) -> int:
    """Tokens that the model reads at most, by its own account; 0 where it gives none."""
    return int(getattr(model.config.get_text_config(), "max_position_embeddings", 0))


def tell(context: RunContext, what: str, step: int) -> None:
    if context.stop_requested:
        raise Stopped
    context.log(what.capitalize())
    context.progress("importing", step, 4, unit="phases")


def refuse_too_big(found: Found, *, dtype: torch.dtype) -> None:
    """A GGUF file is unpacked in float32, one tensor at a time; twice the stored size has room for that."""
    needed, free = 2 * found.num_parameters * dtype.itemsize, free_memory()
    if needed > free:
        raise Failure(
            "too_big",
            f"The model has {found.num_parameters / 1e9:.1f} billion parameters and takes about {needed / 1e9:.0f} GB "
            f"of memory to import; {free / 1e9:.0f} GB are free.",
            advice="Import it on a larger machine.",
        )


def free_memory() -> int:
    """Bytes, as the kernel estimates them."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


# Reading


def read_tokenizer(found: Found) -> Any:
    if found.gguf is None:
        return models.load_tokenizer(Input(str(found.folder), "model", ""))
    try:
        tokenizer = AutoTokenizer.from_pretrained(found.folder, gguf_file=found.gguf, local_files_only=True)
    except UNREADABLE as error:
        raise Failure("no_tokenizer", f"The tokenizer in {found.gguf} can't be read: {first_line(error)}") from error
    if tokenizer.eos_token_id is None:
        raise Failure("no_end_token", f"The tokenizer in {found.gguf} names no end token.")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def read_model(found: Found, recipe: ImportModelRecipe) -> Any:
    is_reward = recipe.role_of_model == "reward"
    if found.gguf is not None and is_reward:
        raise Failure("no_reward_head", "A GGUF file holds a language model and no reward head.")
    auto: Any = AutoModelForSequenceClassification if is_reward else AutoModelForCausalLM
    more: dict[str, Any] = {"num_labels": score_rule(found).heads} if is_reward else {}
    if found.gguf is not None:
        # Left in blocks, the weights could be neither stored as safetensors nor trained.
        more |= {"gguf_file": found.gguf, "quantization_config": GgufConfig(dequantize=True)}
    else:
        more |= {"use_safetensors": True}
    try:
        model, told = auto.from_pretrained(
            found.folder,
            dtype=DTYPES[recipe.dtype],
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
            **more,
        )
    except UNREADABLE as error:
        raise Failure("bad_model", f"The model can't be loaded: {first_line(error)}") from error
    missing = sorted(told["missing_keys"])
    if missing:
        raise Failure(
            "missing_weights", f"The file lacks {len(missing)} of the model's weights, {missing[0]} among them."
        )
    return model


def check_weights(model: Any, tokenizer: Any) -> None:
    for name, weight in model.named_parameters():
        if not torch.isfinite(weight).all():
            raise Failure(
                "not_finite", f"The weight {name} has values that are not finite.", advice="Download the model again."
            )
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise Failure(
            "tokenizer_differs",
            f"The tokenizer has {len(tokenizer):,} tokens and the model knows {rows:,}: they do not belong together.",
        )


# Trying


def try_it(context: RunContext, recipe: ImportModelRecipe, *, model: Any, tokenizer: Any) -> None:
    """One answer; raises `Failure("bad_model")` where the forward pass gives no finite numbers."""
    words = QUESTION if tokenizer.chat_template and recipe.role_of_model != "base" else OPENING
    messages = [{"role": "user", "content": words}]
    try:
        chat = datasets.render_prompt(tokenizer, messages)
    except Exception as error:
        # A chat template is a program of a sandbox, and may raise whatever it likes.
        raise Failure("bad_chat_template", f"The chat template fails: {first_line(error)}") from error
    prompt = chat if words == QUESTION else datasets.render_plain(tokenizer, messages)
    with torch.no_grad():
        logits = model.eval()(input_ids=torch.tensor([prompt])).logits
    if not torch.isfinite(logits).all():
        raise Failure("bad_model", "The model gives values that are not finite for a plain question.")
    if recipe.role_of_model == "reward":
        context.log(f"Scored a plain question: {logits.flatten()[0].item():.3f}.")
        return
    found = sampling.sample(
        model,
        tokenizer,
        [prompt],
        seeds=[0],
        temperatures=[0.2],
        top_p=0.9,
        max_new_tokens=SAMPLE_TOKENS,
        batch_size=1,
        stop_requested=lambda: context.stop_requested,
    )[0]
    context.sample(0, prompt=words, text=found.text, ended=found.ended)


def store_scale(context: RunContext, found: Found) -> None:
    if (found.folder / models.REWARD_SCALE).exists():
        scale = models.read_reward_scale(Input(str(found.folder), "model", ""))
    else:
        scale = models.RewardScale(0.0, 1.0)
        context.warn("no_reward_scale", "The model came without the scale of its scores; they are taken as they are.")
    models.write_reward_scale(context.output, scale.mean, scale.std, score_rule(found))


def score_rule(found: Found) -> ScoreRule:
    return models.read_score_rule(Input(str(found.folder), "model", "")) or PLAIN
