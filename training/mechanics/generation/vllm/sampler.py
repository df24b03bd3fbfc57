"""Rollouts by a vLLM server that is kept at the policy's weights: written to files, and taken over on request.

- **Whole models**: the server starts with weights of its own making (`--load-format dummy`) and takes the policy's over before
  it samples, as after every update. A version of vLLM that fails to take them is found out by the first rollout, whose
  log-probabilities are far from the policy's (`sampler.sampling_gap`), and not by a policy that never improves.
- **Adapters**: the server holds the trunk; each rollout's adapter is loaded under a name of its own, the last one let go.
- No request is under way while weights change, and what was computed by the old ones is forgotten.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import httpx2
import torch
from peft import PeftModel

from training.context import RunContext
from training.contract import Failure
from training.mechanics.generation.sampler import Sampled, Wanted
from training.mechanics.generation.sampling import Sample, end_tokens
from training.mechanics.generation.vllm import weights
from training.mechanics.generation.vllm.server import LOG, Server, find_python
from training.recipes.vllm import Vllm

FOLDER = "vllm"  # below the run's: weights on their way, gone with the server
TRUNK = "policy"  # the name that a server knows its model by
MOST_AT_ONCE = 256  # sequences, and threads that wait for them
RANKS = (8, 16, 32, 64, 128, 256)  # that vLLM can be told as the highest


class VllmSampler:
    """Meets `Sampler`. The server is started by the first call, with the weights of that moment."""

    def __init__(
        self,
        context: RunContext,
        recipe: Vllm,
        policy: Sampled,
        tokenizer: Any,
        wanted: Wanted,
        *,
        bf16: bool,
        window: int,
    ) -> None:
        self.python = find_python()
        self.context = context
        self.recipe = recipe
        self.policy = policy.policy
        self.tokenizer = tokenizer
        self.wanted = wanted
        self.dtype = torch.bfloat16 if bf16 else torch.float32
        self.window = window
        self.folder = context.dir / FOLDER
        self.at_once = min(wanted.batch_size, MOST_AT_ONCE)
        self.ends = sorted(end_tokens(self.policy, tokenizer))
        self.server: Server | None = None
        self.name = TRUNK
        self.num_followed = 0

    def sample(self, prompts: list[list[int]], *, seeds: list[int]) -> list[Sample]:
        """Raises `Stopped`, and `Failure` ("vllm_start", "vllm_died", "vllm_hangs", "vllm_refused"); the server is then gone."""
        try:
            server = self.server or self.start()
            self.follow(server)
            bodies = [self.request(*each) for each in zip(prompts, seeds, strict=True)]
            answers = server.ask_all("/v1/completions", bodies, at="sampling")
            return [self.read(answer) for answer in answers]
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self.server is not None:
            self.server.close()
            self.server = None
        shutil.rmtree(self.folder, ignore_errors=True)

    # The server and its weights

    def start(self) -> Server:
        self.context.log(f"A vLLM server is started to sample the rollouts; what it says is in {LOG}.")
        shutil.rmtree(self.folder, ignore_errors=True)  # of an attempt that was killed
        self.folder.mkdir()
        self.name, self.num_followed = TRUNK, 0
        weights.write_model(self.policy, self.tokenizer, self.trunk, dtype=self.dtype)
        server = self.server = Server(
            self.python, self.trunk, self.options(), log=self.context.dir / LOG, at_once=self.at_once,
            timeout_s=self.recipe.timeout_s, stop_requested=lambda: self.context.stop_requested,
        )  # fmt: skip
        if not self.has_adapter:
            self.call(server, "update_config", overrides={"load_config": {"load_format": "safetensors"}})
        return server

    @property
    def trunk(self) -> Path:
        return self.folder / TRUNK

    @property
    def has_adapter(self) -> bool:
        return isinstance(self.policy, PeftModel)

    def options(self) -> list[str]:
        """Nothing of a model's own habits of generation, and log-probabilities at the temperature that samples."""
        told = [
            "--served-model-name", TRUNK, "--max-model-len", str(self.window), "--max-num-seqs", str(self.at_once),
            "--dtype", str(self.dtype).removeprefix("torch."), "--generation-config", "vllm",
            "--logprobs-mode", "processed_logprobs", "--gpu-memory-utilization", str(self.recipe.gpu_memory),
            "--disable-uvicorn-access-log", *(["--enforce-eager"] if self.recipe.eager else []),
        ]  # fmt: skip
        if not self.has_adapter:
            return [*told, "--load-format", "dummy"]
        rank = self.policy.peft_config[weights.POLICY_ADAPTER].r
        highest = next(each for each in RANKS if each >= rank)
        lora = ["--enable-lora", "--max-lora-rank", str(highest), "--max-loras", "1", "--max-cpu-loras", "2"]
        return [*told, "--load-format", "safetensors", *lora]

    def follow(self, server: Server) -> None:
        """Has the server sample by the policy as it stands."""
        self.num_followed += 1
        if self.has_adapter:
            self.follow_adapter(server)
        else:
            if self.num_followed > 1:
                weights.write_weights(self.policy, self.trunk, dtype=self.dtype)
            self.call(server, "reload_weights", weights_path=str(self.trunk))
        self.tell(server, "/reset_prefix_cache", {})

    def follow_adapter(self, server: Server) -> None:
        name, before = f"{TRUNK}-{self.num_followed}", self.name
        weights.write_adapter(self.policy, self.folder / name)
        self.tell(server, "/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(self.folder / name)})
        if before != TRUNK:
            self.tell(server, "/v1/unload_lora_adapter", {"lora_name": before})
            shutil.rmtree(self.folder / before)
        self.name = name

    def call(self, server: Server, method: str, **arguments: Any) -> None:
        """A method of its workers, by vLLM's own endpoint; arguments are plain JSON."""
        self.tell(server, "/collective_rpc", {"method": method, "kwargs": arguments})

    def tell(self, server: Server, path: str, body: dict[str, Any]) -> None:
        server.ask_all(path, [body], at="taking over weights")

    # Completions

    def request(self, prompt: list[int], seed: int) -> dict[str, Any]:
        """One a completion, so that each has a seed of its own; vLLM computes the blocks of a shared prompt once."""
        return {
            "model": self.name, "prompt": prompt, "seed": seed, "max_tokens": self.wanted.max_new_tokens,
            "temperature": self.wanted.temperature, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0,
            "ignore_eos": True, "stop_token_ids": self.ends, "logprobs": 0, "return_token_ids": True,
        }  # fmt: skip

    def read(self, answer: httpx2.Response) -> Sample:
        """Raises `Failure("vllm_refused")` for an answer of another form, which another version may give."""
        try:
            [choice] = answer.json()["choices"]
            ids, logprobs = list(choice["token_ids"]), list(choice["logprobs"]["token_logprobs"])
            ended = choice["finish_reason"] == "stop"
            if not ids or len(ids) != len(logprobs):
                raise ValueError(f"{len(ids)} tokens with {len(logprobs)} log-probabilities")
        except (KeyError, TypeError, ValueError) as error:
            raise Failure(
                "vllm_refused",
                f"The vLLM server answered in a form that is not known here: {type(error).__name__}: {error}",
                advice="Install a version of vLLM that the extra vllm allows.",
            ) from error
        return Sample(ids, self.tokenizer.decode(ids, skip_special_tokens=True), logprobs, ended)
