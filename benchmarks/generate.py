"""Completions for a campaign: 64 prompts x 4 from SmolLM2-135M-Instruct in bfloat16, beside `generate` in batches of 16.

`make bench-generate`; smaller or larger by the environment: PROMPTS, SAMPLES, LONGEST, RUNS. Prompts and answers are of mixed
lengths: one to ten questions, half of them with a wish for a short answer; an answer ends where the model ends it, at the
latest after LONGEST tokens. Both sides count kept tokens alone: those up to an answer's end, and no padding.
"""

from __future__ import annotations

import json
import os
import statistics
from pathlib import Path
from typing import Any

from training.__main__ import OFFLINE, THREADS

os.environ.update(OFFLINE | THREADS)  # as a run has it; read when torch is loaded

import torch
from transformers.utils import logging

from benchmarks import bench, limits
from benchmarks.sampling import chat_model
from training.mechanics import datasets
from training.mechanics.generation import sampling

PROMPTS, SAMPLES = int(os.environ.get("PROMPTS", 64)), int(os.environ.get("SAMPLES", 4))
LONGEST, RUNS = int(os.environ.get("LONGEST", 128)), int(os.environ.get("RUNS", 3))
BATCH, PEER_BATCH, TEMPERATURE = int(os.environ.get("BATCH", 64)), 16, 0.8
QUESTIONS = Path(__file__).parents[1] / "rlhf/demo/prompts.jsonl"


class Peer:
    """`generate`, prompts of similar length together: its padding is as little as it can be."""

    def __init__(self, model: Any, tokenizer: Any, prompts: list[list[int]]) -> None:
        self.model, self.tokenizer = model, tokenizer
        order = sorted(prompts, key=len)
        size = max(1, PEER_BATCH // SAMPLES)
        self.batches = [order[start : start + size] for start in range(0, len(order), size)]
        self.steps: list[int] = []

    def work(self) -> int:
        return sum(self.answer(batch) for batch in self.batches)

    def answer(self, prompts: list[list[int]]) -> int:
        given = self.tokenizer.pad([{"input_ids": ids} for ids in prompts], padding_side="left", return_tensors="pt")
        found = self.model.generate(
            **given, do_sample=True, temperature=TEMPERATURE, top_k=0, top_p=1.0, max_new_tokens=LONGEST,
            num_return_sequences=SAMPLES,
        )[:, given["input_ids"].shape[1] :]  # fmt: skip
        ended = (found == self.tokenizer.eos_token_id).cumsum(dim=1)
        return int(((ended - (found == self.tokenizer.eos_token_id).long()) == 0).sum())


class Ours:
    """The engine; `steps` are how many tokens each pass of the model read."""

    def __init__(self, model: Any, tokenizer: Any, prompts: list[list[int]]) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.prompts = [prompt for prompt in prompts for _ in range(SAMPLES)]
        self.steps: list[int] = []
        model.register_forward_pre_hook(self.count, with_kwargs=True)

    def work(self) -> int:
        self.steps.clear()
        found = sampling.sample(
            self.model, self.tokenizer, self.prompts, seeds=list(range(len(self.prompts))),
            temperatures=[TEMPERATURE] * len(self.prompts), top_p=1.0, max_new_tokens=LONGEST, batch_size=BATCH,
        )  # fmt: skip
        return sum(len(sample.ids) for sample in found)

    def count(self, model: Any, args: Any, kwargs: Any) -> None:
        self.steps.append(kwargs["input_ids"].numel())


def main() -> None:
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    model, tokenizer = chat_model()
    prompts = [datasets.render_prompt(tokenizer, messages) for messages in questions()]
    ours, peer = Ours(model, tokenizer, prompts), Peer(model, tokenizer, prompts)
    found = bench.rates({"ours": ours.work, "peer": peer.work}, warm_up=1, runs=RUNS)
    rate = statistics.median(found["ours"])
    kept = ours.work()
    reached = of_memory(model, len(ours.steps), kept=kept, rate=rate)
    reached |= limits.of_products("kept token", ours.work, rate=rate, dtype=torch.bfloat16)
    told = {f"{side}_tokens_per_second": round(statistics.median(rates), 1) for side, rates in found.items()}
    bench.report(
        "generate", ours=found["ours"], peer=found["peer"], at_least=2.0, torch=torch.__version__, prompts=PROMPTS,
        samples=SAMPLES, longest=LONGEST, kept_tokens=kept, **told, **reached,
    )  # fmt: skip


def questions() -> list[list[dict[str, str]]]:
    lines = [json.loads(line)["messages"][0]["content"] for line in QUESTIONS.read_text().splitlines()]
    found = []
    for i in range(PROMPTS):
        several = [lines[(i + step) % len(lines)] for step in range(1 + 3 * (i % 4))]
        found.append([{"role": "user", "content": " ".join(several) + " Answer in one short sentence." * (i % 2)}])
    return found


def of_memory(model: Any, passes: int, *, kept: int, rate: float) -> dict[str, float]:
    """How near `rate` kept tokens a second is to what reading the weights once a pass allows; keys and values come on top."""
    weights = sum(weight.numel() for weight in model.parameters())  # the tied embedding once: it is the last product
    bandwidth = measured_bandwidth()
    limit = kept / (2 * weights * passes / bandwidth)
    print(
        f"machine: {bandwidth / 1e9:.1f} GB/s; {passes} passes: at most {limit:.0f} tokens/s, {rate / limit:.0%} reached"
    )
    return {"of_limit_by_memory": round(rate / limit, 3)}


def measured_bandwidth() -> float:
    """Of reading 512 MB, the best of ten."""
    numbers = torch.ones(128 * 1024 * 1024)
    return numbers.nbytes / min(limits.seconds(numbers.sum) for _ in range(10))


if __name__ == "__main__":
    main()
