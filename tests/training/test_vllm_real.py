"""Rollouts by a real vLLM server. Runs where STEADYHAND_VLLM names a python that has vLLM; a server takes half a minute to start.

On a machine without a GPU it is the CPU build, whose heads must be 32 wide or wider: hence models of two heads.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from tests.training import tiny
from tests.training.test_vllm import gone, processes_of
from tests.training.tiny_reward import ppo_inputs
from training import contract
from training.contract import Failure
from training.mechanics.generation.chosen import sampler_of
from training.mechanics.generation.vllm.sampler import VllmSampler
from training.mechanics.generation.vllm.server import PYTHON
from training.mechanics.models import load_tokenizer
from training.mechanics.online.policy import Policy
from training.mechanics.scoring import Completion
from training.recipes import RECIPES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get(PYTHON), reason=f"{PYTHON} names no python that has vLLM"),
]

VLLM = {"eager": True, "timeout_s": 240}
SHORT = {
    "episodes": 48, "batch_size": 16, "minibatch_size": 8, "max_new_tokens": 12, "epochs": 2, "learning_rate": 1e-2,
    "checkpoint_every": 1, "bf16": False, "vllm": VLLM,
}  # fmt: skip
LORA = {"r": 4, "alpha": 8}
NEAR = 1e-4  # nats a token, in float32; 1e-2 is asked of it


@pytest.fixture(autouse=True)
def memory(monkeypatch):
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB, where there is no GPU


@pytest.fixture
def mark(monkeypatch, tmp_path) -> str:
    """Stands in the environment of every process that a run of this test starts."""
    monkeypatch.setenv("STEADYHAND_RUN", str(tmp_path))
    return f"STEADYHAND_RUN={tmp_path}"


def inputs_of(folder):
    return ppo_inputs(folder) | {"model": tiny.write_model(folder / "two_heads", heads=2)}


def engine_of(mark: str) -> int:
    [found] = [pid for pid in processes_of(mark) if "EngineCore" in name_of(pid)]
    return found


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


# The server by itself


@dataclass
class World:
    policy: Policy
    sampler: VllmSampler
    prompts: list[list[int]]
    mark: str

    def move(self, seed: int) -> None:
        """As an update does, only farther."""
        torch.manual_seed(seed)
        with torch.no_grad():
            for weight in self.policy.policy_weights().values():
                weight += 0.1 * torch.randn_like(weight)

    def gap(self, samples) -> float:
        """The largest distance of a token's log-probability, in nats, from the policy's as it stands."""
        completions = [Completion(p, s.ids) for p, s in zip(self.prompts, samples, strict=True)]
        with torch.no_grad():
            _, logprobs_BA, _ = self.policy.look(self.policy.texts(completions))
        told = [
            abs(a - b)
            for row, s in enumerate(samples)
            for a, b in zip(s.logprobs, logprobs_BA[row].tolist(), strict=False)
        ]
        return max(told)

    def sample(self):
        return self.sampler.sample(self.prompts, seeds=list(range(len(self.prompts))))


@pytest.fixture(scope="module", params=[None, LORA], ids=["whole model", "adapter"])
def world(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vllm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
        patch.setenv("STEADYHAND_RUN", str(folder))
        inputs = inputs_of(folder)
        recipe = RECIPES["rloo"].preset("tiny", **SHORT | {"lora": request.param, "temperature": 0.8})
        run_dir = tiny.make_run(folder / "run", "rloo", recipe.model_dump(mode="json"), inputs)
        policy = Policy(inputs["model"], recipe)
        tokenizer = load_tokenizer(inputs["model"])
        prompts = [[1, 5 + i // 4, 6, 7] for i in range(16)]
        sampler = sampler_of(tiny.open_run(run_dir), recipe, policy, tokenizer, longest=20)
        assert isinstance(sampler, VllmSampler)
        found = World(policy, sampler, prompts, f"STEADYHAND_RUN={folder}")
        yield found
        sampler.close()
        assert gone(found.mark, within=5)


def test_after_every_change_completions_come_from_the_weights_as_they_stand(world):
    said = []
    for seed in range(3):
        said.append(world.sample())
        assert world.gap(said[-1]) < NEAR
        world.move(seed)
        assert world.gap(said[-1]) > 100 * NEAR  # of the policy that was before: the measure can tell
    assert [s.ids for s in said[0]] != [s.ids for s in said[1]]


def test_the_same_seeds_give_the_same_completions_alone_and_in_company(world):
    first, second = world.sample(), world.sample()
    assert [s.ids for s in first] == [s.ids for s in second]
    assert len({tuple(s.ids) for s in first}) == len(first)  # though four of them answer one prompt
    [alone] = world.sampler.sample(world.prompts[3:4], seeds=[3])
    assert alone.ids == first[3].ids


def test_completions_end_with_an_end_token_or_at_their_length(world):
    end = world.sampler.tokenizer.eos_token_id
    with torch.no_grad():
        head = world.policy.plain.get_output_embeddings().weight
        kept = head[end].clone()
        head[end] = head.mean(dim=0) * 4  # so that some end, and some do not
    samples = [
        s for seed in range(4) for s in world.sampler.sample(world.prompts, seeds=[100 * seed + i for i in range(16)])
    ]
    with torch.no_grad():
        head[end] = kept
    for sample in samples:
        assert sample.ended == (sample.ids[-1] == end)
        assert sample.ended or len(sample.ids) == SHORT["max_new_tokens"]
        assert end not in sample.ids[:-1]
        assert sample.text == world.sampler.tokenizer.decode(sample.ids, skip_special_tokens=True)
    assert any(not sample.ended for sample in samples)


def test_a_server_that_hangs_ends_the_run_in_one_sentence(world):
    """The last of this file that uses the server: it is gone afterwards."""
    world.sample()
    engine = engine_of(world.mark)
    for pid in processes_of(world.mark):
        if "VLLM::" in name_of(pid):
            os.kill(pid, signal.SIGSTOP)
    assert engine in processes_of(world.mark)
    world.sampler.server.timeout_s = 2.0
    began = time.monotonic()
    with pytest.raises(Failure) as failed:
        world.sample()
    assert failed.value.code == "vllm_hangs" and "nothing came for 2 s" in failed.value.sentence
    assert time.monotonic() - began < 40
    assert gone(world.mark, within=5)


# Runs


def test_a_run_learns_from_vllm_and_is_the_same_after_its_server_was_killed(tmp_path, mark):
    whole = tiny.make_run(tmp_path / "whole", "ppo", RECIPES["ppo"].presets["tiny"] | SHORT, inputs_of(tmp_path))
    assert tiny.finish(whole) == contract.EXIT_DONE
    assert set(tiny.curve(whole, "first_ratio_error").values()) == {0.0}
    assert max(tiny.curve(whole, "sampling_gap").values()) < NEAR
    assert tiny.curve(whole, "kl")[3] > 0.01  # the third rollout is of weights that moved
    assert gone(mark, within=5)
    assert not (whole / "vllm").exists()

    killed = tiny.same_run(whole, tmp_path / "killed")
    process = tiny.start(killed)
    while not (killed / contract.CHECKPOINTS / "checkpoint-5").exists():
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(engine_of(mark), signal.SIGKILL)
    assert process.wait(120) == contract.EXIT_FAILED
    failure = tiny.failure(killed)
    assert failure["code"] == "vllm_died"
    assert failure["sentence"] == "The vLLM server died during the run."
    assert "vllm.log in the run's folder" in failure["advice"]
    assert gone(mark, within=5)

    assert tiny.finish(killed) == contract.EXIT_DONE
    assert contract.read_manifest(killed)["files"] == contract.read_manifest(whole)["files"]
    assert tiny.curve(killed, "reward") == tiny.curve(whole, "reward")


def test_no_server_outlives_a_run_that_is_killed(tmp_path, mark):
    recipe = RECIPES["grpo"].presets["tiny"] | SHORT | {"lora": LORA, "episodes": 100_000}
    run_dir = tiny.make_run(tmp_path / "run", "grpo", recipe, inputs_of(tmp_path))
    process = tiny.start(run_dir)
    while len(tiny.events(run_dir, "metric")) < 3:
        assert process.poll() is None
        time.sleep(0.1)
    assert max(tiny.curve(run_dir, "sampling_gap").values()) < NEAR
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert gone(mark, within=15)


def test_asked_to_stop_while_a_server_starts_a_run_goes_at_once(tmp_path, mark):
    run_dir = tiny.make_run(tmp_path / "run", "ppo", RECIPES["ppo"].presets["tiny"] | SHORT, inputs_of(tmp_path))
    process = tiny.start(run_dir)
    while not (run_dir / "vllm.log").exists():
        assert process.poll() is None
        time.sleep(0.1)
    process.terminate()
    assert process.wait(40) == contract.EXIT_STOPPED
    assert gone(mark, within=5)
