"""Completions, prompts, constitutions and critics for tests of AI feedback."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from safetensors.torch import load_file, save_file

from tests.training import tiny
from tests.training.endpoint import Server
from training.contract import Input

Rows = list[dict[str, Any]]


def principle(name: str, *, weight: float = 1.0, comparison: str = "Which is better?") -> dict[str, Any]:
    return {
        "id": name, "critique": "What is wrong?", "revision": "Mend it.", "comparison": comparison, "weight": weight,
        "tags": ["test"], "examples": [],
    }  # fmt: skip


def prompts(count: int) -> Rows:
    return [{"id": f"p{i}", "messages": [tiny.user(f"Say {i}.")]} for i in range(count)]


def completions(count: int, *, texts: tuple[str, ...] = ("Yes.", "No, thanks.", "Hit him.")) -> Rows:
    """The texts for each prompt, the same ones but for a number."""
    return [
        {"id": f"p{i}-{k}", "prompt_id": f"p{i}", "index": k, "text": f"{text} {i}", "ended": True}
        for i in range(count)
        for k, text in enumerate(texts)
    ]


def inputs(
    folder: Path, *, count: int = 6, principles: Rows | None = None, said: Rows | None = None
) -> dict[str, Input]:
    told = principles or [principle("kind"), principle("true", weight=3.0, comparison="Which is truer?")]
    return {
        "prompts": tiny.write_dataset(folder / "prompts", prompts(count)),
        "completions": tiny.write_dataset(folder / "completions", completions(count) if said is None else said),
        "constitution": tiny.write_dataset(folder / "constitution", told),
    }


def critic(folder: Path, *, positions: int = 4096) -> Input:
    """The tiny model, which reads longer texts; its weights are made larger, or it would find nothing likelier than another."""
    tiny.write_model(folder)
    weights = load_file(folder / "model.safetensors")
    weights = {name: 5 * weight if weight.dim() == 2 else weight for name, weight in weights.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"max_position_embeddings": positions}))
    return tiny.given(folder, "model")


def judgements(run_dir: Path) -> Rows:
    rows: Rows = pq.read_table(run_dir / "output/judgements.parquet").to_pylist()
    return rows


@dataclass(slots=True)
class Judge(Server):
    """A server that prefers the longer reply, or always answers one letter; with log-probabilities or without."""

    always: str = ""
    words: str = "({letter})"

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        said = body["messages"][-1]["content"]
        if "Do not answer yet" in said:
            choices = [{"message": {"role": "assistant", "content": "Both have merits."}, "finish_reason": "stop"}]
        else:
            choices = [self.letter(body) for _ in range(min(self.at_most, body["n"]))]
        return {"choices": choices, "usage": {"prompt_tokens": 10, "completion_tokens": 3 * len(choices)}}

    def letter(self, body: dict[str, Any]) -> dict[str, Any]:
        asked = next(m["content"] for m in reversed(body["messages"]) if "<reply_A>" in m["content"])
        a, b = (re.findall(rf"<reply_{x}>\n(.*?)\n</reply_{x}>", asked, re.S)[-1] for x in "AB")
        letter = self.always or ("A" if len(a) > len(b) else "B")
        text = self.words.format(letter=letter)
        found: dict[str, Any] = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        if body.get("logprobs") and self.gives_logprobs:
            other = "B" if letter == "A" else "A"
            tokens = [
                {"token": "(", "logprob": -0.01, "top_logprobs": [
                    {"token": "(", "logprob": -0.01}, {"token": other, "logprob": -5.0}]},
                {"token": letter, "logprob": -0.2, "top_logprobs": [
                    {"token": letter, "logprob": -0.2}, {"token": other, "logprob": -2.2}, {"token": "C", "logprob": -6.0}]},
                {"token": ")", "logprob": -0.01, "top_logprobs": [{"token": ")", "logprob": -0.01}]},
            ]  # fmt: skip
            found["logprobs"] = {"content": tokens}
        return found
