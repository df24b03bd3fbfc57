"""Models from zero, as standard classes of transformers: Llama, Qwen3, GPT-2, BERT, ModernBERT."""

from __future__ import annotations

import math
from typing import Any

import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    ModernBertConfig,
    ModernBertForMaskedLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from training.contract import Failure
from training.recipes.pretrain import PretrainRecipe

FIRST_LOSS = 0.1  # nats around ln V
MASK = "<|mask|>"


def build_model(recipe: PretrainRecipe, *, tokenizer: Any, seed: int) -> Any:
    """Weights depend on `seed` alone: they are drawn on the CPU, and leave the program's random state as it was."""
    width, layers, heads = recipe.shape.hidden_size, recipe.shape.num_layers, recipe.shape.num_heads
    shared: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "max_position_embeddings": recipe.context,
        "tie_word_embeddings": recipe.tied,
        "initializer_range": min(0.02, 0.4 / math.sqrt(width)),  # logits near 0, whatever the width
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BUILDERS[recipe.architecture](recipe, shared, tokenizer)


def gated(width: int) -> int:
    """SwiGLU at the cost of a plain 4x MLP."""
    return 32 * math.ceil(width * 8 / 3 / 32)


def llama(recipe: PretrainRecipe, shared: dict[str, Any], tokenizer: Any) -> Any:
    width, heads = shared["hidden_size"], shared["num_attention_heads"]
    return LlamaForCausalLM(LlamaConfig(**shared, intermediate_size=gated(width), num_key_value_heads=heads))


def qwen3(recipe: PretrainRecipe, shared: dict[str, Any], tokenizer: Any) -> Any:
    """A Llama whose queries and keys are normed: large rates are borne better."""
    width, heads = shared["hidden_size"], shared["num_attention_heads"]
    config = Qwen3Config(**shared, intermediate_size=gated(width), num_key_value_heads=heads, head_dim=width // heads)
    return Qwen3ForCausalLM(config)


def gpt2(recipe: PretrainRecipe, shared: dict[str, Any], tokenizer: Any) -> Any:
    """Without dropout, which a text that is hardly repeated does not need; its GELU is the same function in one operation."""
    none: dict[str, Any] = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    return GPT2LMHeadModel(GPT2Config(**shared, **none, activation_function="gelu_pytorch_tanh"))


def bert(recipe: PretrainRecipe, shared: dict[str, Any], tokenizer: Any) -> Any:
    none: dict[str, Any] = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = BertConfig(**shared, **none, intermediate_size=4 * shared["hidden_size"])
    return (BertForPreTraining if recipe.mask.next_sentence else BertForMaskedLM)(config)


def modernbert(recipe: PretrainRecipe, shared: dict[str, Any], tokenizer: Any) -> Any:
    config = ModernBertConfig(
        **shared,
        intermediate_size=gated(shared["hidden_size"]),
        # Rows begin anywhere, so no token has learned to stand for its text: what is built on it reads the mean.
        classifier_pooling="mean",
        cls_token_id=tokenizer.bos_token_id,
        sep_token_id=tokenizer.eos_token_id,
    )
    return ModernBertForMaskedLM(config)


BUILDERS = {"llama": llama, "qwen3": qwen3, "gpt2": gpt2, "bert": bert, "modernbert": modernbert}


def add_mask_token(tokenizer: Any) -> None:
    """A tokenizer that was made for causal models has no token that stands for a gap: one more."""
    if tokenizer.mask_token_id is None:
        tokenizer.add_special_tokens({"mask_token": MASK})
    if tokenizer.cls_token_id is None and tokenizer.bos_token is not None:
        tokenizer.cls_token = tokenizer.bos_token
    if tokenizer.sep_token_id is None:
        tokenizer.sep_token = tokenizer.eos_token


@torch.no_grad()
def check_first_loss(model: Any) -> None:
    """Raises `Failure("first_loss")` where the model has an opinion on 512 tokens that were drawn by lot.

    (By lot, for a text that repeats itself is a little easier even then: equal embeddings attract.)
    """
    vocab_size, length = model.config.vocab_size, min(128, model.config.max_position_embeddings)
    ids_BT = torch.randint(vocab_size, (512 // length, length), generator=torch.Generator().manual_seed(0))
    ids_BT = ids_BT.to(model.device)
    found = model(input_ids=ids_BT)
    logits_BTV = found.prediction_logits if hasattr(found, "prediction_logits") else found.logits
    if model.can_generate():
        logits_BTV, ids_BT = logits_BTV[:, :-1], ids_BT[:, 1:]
    else:
        ids_BT = ids_BT.roll(1, dims=1)  # a masked model reads the token itself, and leans to it by its embedding
    loss = torch.nn.functional.cross_entropy(logits_BTV.float().flatten(0, 1), ids_BT.flatten()).item()
    if not abs(loss - math.log(vocab_size)) < FIRST_LOSS:
        raise Failure(
            "first_loss",
            f"Before training the loss is {loss:.3f}, and not ln {vocab_size:,} = {math.log(vocab_size):.3f}: "
            "the model is not one that knows nothing yet.",
        )
