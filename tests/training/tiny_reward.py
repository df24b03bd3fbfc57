"""A reward model written by hand: it scores the share of capital letters in a conversation, exactly and at once."""

from __future__ import annotations

import string
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForSequenceClassification

from tests.training import tiny
from training.contract import Input
from training.mechanics import models

CAPITAL, SHARE, OTHER = 0, 1, 2  # dimensions of its hidden states
WIDTH = 8


def write_reward_model(
    folder: Path, *, blind: bool = False, poison: bool = False, width: int = WIDTH, layers: int = 1
) -> Input:
    """One head that attends alike to all tokens, and so takes their mean: how many of them are capitals.

    `blind` scores everything 0; `poison` scores everything NaN. `width` and `layers` add numbers that are 0: it is slower,
    and scores the same.
    """
    words = tiny.tokenizer()
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=width,
        intermediate_size=width,
        num_hidden_layers=layers,
        num_attention_heads=1,
        num_key_value_heads=1,
        max_position_embeddings=256,
        num_labels=1,
        pad_token_id=words.pad_token_id,
    )
    model = LlamaForSequenceClassification(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" not in name:
                weight.zero_()
        embeddings = model.model.embed_tokens.weight
        embeddings[:, OTHER] = 1.0
        for capital in words.convert_tokens_to_ids(list(string.ascii_uppercase)):
            embeddings[capital, OTHER], embeddings[capital, CAPITAL] = 0.0, 1.0
        attention = model.model.layers[0].self_attn  # queries and keys stay 0: all weigh the same
        attention.v_proj.weight[CAPITAL, CAPITAL] = width**-0.5  # its input is normalised to a length of sqrt(width)
        attention.o_proj.weight[SHARE, CAPITAL] = 1.0
        model.score.weight[0, SHARE] = float("nan") if poison else float(not blind) * (WIDTH / width) ** 0.5
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    models.write_reward_scale(folder, 0.0, 0.1)
    return tiny.given(folder, "model")


def ppo_inputs(folder: Path, *, poison: str = "") -> dict[str, Input]:
    """What a run of PPO needs; `poison` names the model, "model" or "reward", that holds a NaN."""
    prompts = [{"id": str(i), "messages": [tiny.user(f"{'abcdefgh'[i % 8]}{i}?")]} for i in range(24)]
    return {
        "model": tiny.write_model(folder / "model", poison=poison == "model"),
        "reward": write_reward_model(folder / "reward", poison=poison == "reward"),
        "prompts": tiny.write_dataset(folder / "prompts", prompts),
    }
