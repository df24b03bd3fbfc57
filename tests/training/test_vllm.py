"""Rollouts by vLLM, as far as they can be tested without it: recipes, refusals, weights on disk, and a server's keeper."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from tests.training import tiny
from tests.training.tiny_reward import ppo_inputs
from training import contract
from training.contract import Failure
from training.mechanics.generation.chosen import sampler_of
from training.mechanics.generation.sampler import sampling_gap
from training.mechanics.generation.sampling import Sample
from training.mechanics.generation.vllm import keeper, weights
from training.mechanics.generation.vllm.server import PYTHON, Server, find_python
from training.mechanics.models import load_causal, load_tokenizer
from training.mechanics.ppo.model import Actor
from training.recipes import RECIPES

METHODS = ("ppo", "rloo", "grpo", "online_dpo")
SHORT = {"episodes": 16, "batch_size": 16, "minibatch_size": 8, "max_new_tokens": 8, "epochs": 1}
LORA = {"r": 4, "alpha": 8}


# Recipes and refusals


@pytest.mark.parametrize("method", METHODS)
def test_every_method_that_samples_its_rollouts_may_ask_for_vllm_and_asks_for_our_own_engine_else(method):
    recipe = RECIPES[method]
    assert recipe.preset("tiny").vllm is None and recipe.preset("demo").vllm is None
    assert recipe.preset("tiny", vllm={}).vllm.gpu_memory == 0.3
    for wrong in ({"gpu_memory": 1.5}, {"timeout_s": 0}, {"port": 8000}):
        with pytest.raises(ValueError, match=f"vllm.{next(iter(wrong))}"):
            recipe.preset("tiny", vllm=wrong)


@pytest.mark.parametrize("method", METHODS)
def test_a_run_without_vllm_is_refused_before_anything_is_loaded(method, tmp_path, monkeypatch):
    monkeypatch.setenv(PYTHON, "/nowhere/bin/python")
    recipe = RECIPES[method].presets["tiny"] | SHORT | {"vllm": {}}
    run_dir = tiny.make_run(tmp_path / "run", method, recipe, {})  # it has no model yet, and gets no further
    assert tiny.finish(run_dir) == contract.EXIT_FAILED
    failure = tiny.failure(run_dir)
    assert failure["code"] == "no_vllm"
    assert failure["sentence"] == "The recipe samples with vLLM, and /nowhere/bin/python has none."
    assert "the extra vllm" in failure["advice"] and PYTHON in failure["advice"]


def test_a_python_without_vllm_is_no_better(monkeypatch, tmp_path):
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    monkeypatch.setenv(PYTHON, str(bare / "bin/python"))
    with pytest.raises(Failure) as refused:
        find_python()
    assert refused.value.code == "no_vllm"


@pytest.mark.parametrize(
    ("starts", "says"),
    [
        (
            "echo 'ValueError: no such model'; echo at line 3; exit 4",
            ("ended with code 4", "ValueError: no such model"),
        ),
        ("sleep 60", ("was not ready within 1.5 s", "says: nothing")),
    ],
)
def test_a_server_that_does_not_start_is_told_in_one_sentence_with_its_own_words(starts, says, tmp_path, monkeypatch):
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{starts}\n")
    python.chmod(0o755)
    monkeypatch.setenv("MARK", str(tmp_path))
    with pytest.raises(Failure) as failed:
        Server(str(python), tmp_path, [], log=tmp_path / "log", at_once=1, timeout_s=1.5, stop_requested=lambda: False)
    assert failed.value.code == "vllm_start"
    assert says[0] in failed.value.sentence and says[1] in failed.value.advice
    assert gone(str(tmp_path), within=5)


# What was sampled, and what is learned from


def test_our_own_sampler_is_within_rounding_of_what_is_learned_from(tmp_path):
    run_dir = tiny.make_run(tmp_path / "run", "ppo", RECIPES["ppo"].presets["tiny"] | SHORT, ppo_inputs(tmp_path))
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    [gap] = tiny.curve(run_dir, "sampling_gap").values()
    assert 0 < gap < 1e-5


def test_completions_of_another_model_end_the_run(tmp_path):
    old_BA = torch.tensor([[-1.0, -2.0], [-3.0, 0.0]])
    near = [Sample([4, 5], "", [-1.1, -2.0], True), Sample([6], "", [-3.2], True)]
    assert sampling_gap(near, old_BA) == pytest.approx(0.1)
    assert math.isnan(sampling_gap([Sample([4, 5], "", [], True)], old_BA))
    with pytest.raises(Failure) as refused:
        sampling_gap([Sample([4, 5], "", [-1.0, -5.0], True)], old_BA)
    assert refused.value.code == "other_sampler" and "1.50 nats" in refused.value.sentence


# Weights for a server


@pytest.fixture(scope="module", params=[None, LORA], ids=["whole model", "adapter"])
def policy(request, tmp_path_factory):
    torch.set_num_threads(1)
    given = tiny.write_model(tmp_path_factory.mktemp("model"))
    actor = Actor(given, RECIPES["ppo"].preset("tiny", lora=request.param))
    with torch.no_grad():
        for weight in actor.policy_weights().values():
            weight += 0.05 * torch.randn_like(weight)
    return given, actor.policy


IDS = torch.arange(5, 15)[None]


def test_a_policy_is_written_so_that_anybody_reads_the_same_model(policy, tmp_path):
    given, model = policy
    weights.write_model(model, load_tokenizer(given), tmp_path / "policy", dtype=torch.float32)
    written = AutoModelForCausalLM.from_pretrained(tmp_path / "policy")
    assert not written.config.tie_word_embeddings
    assert sorted(path.suffix for path in (tmp_path / "policy").iterdir()) == [
        ".jinja",
        ".json",
        ".json",
        ".json",
        ".safetensors",
    ]
    if isinstance(model, PeftModel):
        weights.write_adapter(model, tmp_path / "adapter")
        with model.disable_adapter():
            assert torch.equal(written(IDS).logits, model(IDS).logits)  # the trunk alone
        written = PeftModel.from_pretrained(written, tmp_path / "adapter")
    assert torch.equal(written(IDS).logits, model(IDS).logits)


def test_weights_that_moved_replace_those_before(tmp_path):
    given = tiny.write_model(tmp_path / "model")
    model = load_causal(given, dtype=torch.float32)
    weights.write_model(model, load_tokenizer(given), tmp_path / "policy", dtype=torch.bfloat16)
    with torch.no_grad():
        model.lm_head.weight += 1.0
    weights.write_weights(model, tmp_path / "policy", dtype=torch.bfloat16)
    written = AutoModelForCausalLM.from_pretrained(tmp_path / "policy")
    assert written.dtype == torch.bfloat16
    assert torch.equal(written.lm_head.weight, model.lm_head.weight.bfloat16())
    assert torch.equal(
        written.model.embed_tokens.weight, model.lm_head.weight.bfloat16()
    )  # tied here, two of a kind there


# The keeper


SERVER = """
import subprocess, sys, time
from multiprocessing.shared_memory import SharedMemory
memory = SharedMemory(create=True, size=16)
subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"])
print(memory.name, flush=True)
time.sleep(60)
"""
RUN = """
import subprocess, sys, time
kept = subprocess.Popen([sys.executable, "-S", *sys.argv[1:]], stdin=subprocess.PIPE, start_new_session=True)
time.sleep(60)
"""


def processes_of(mark: str) -> set[int]:
    """Those whose command or environment names `mark`, this one left out."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if mark.encode() in told and state != "Z" and int(process.name) != os.getpid():
            found.add(int(process.name))
    return found


def gone(mark: str, *, within: float) -> bool:
    until = time.monotonic() + within
    while processes_of(mark) and time.monotonic() < until:
        time.sleep(0.05)
    return not processes_of(mark)


def test_a_server_and_all_that_it_started_end_where_its_run_is_killed(tmp_path):
    folder = tmp_path / "socket"
    folder.mkdir()
    mark = str(tmp_path / "mark")
    run = subprocess.Popen(
        [sys.executable, "-c", RUN, keeper.__file__, str(folder), sys.executable, "-c", SERVER],
        env={**os.environ, "MARK": mark}, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert run.stdout is not None
    memory = Path("/dev/shm", run.stdout.readline().decode().strip())
    assert memory.is_file()
    assert (
        len(processes_of(mark)) == 5
    )  # run, keeper, server, its tracker of shared memory, and one that heeds no request
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert gone(mark, within=10)
    assert not folder.exists()
    assert not memory.exists()


def test_a_servers_own_end_is_told_by_its_exit_code(tmp_path):
    for code, told in ((3, 3), (-9, 137)):
        folder = tmp_path / str(code)
        folder.mkdir()
        ends = f"import os, sys; sys.exit({code}) if {code} > 0 else os.kill(os.getpid(), {-code})"
        kept = subprocess.Popen(
            [sys.executable, "-S", keeper.__file__, str(folder), sys.executable, "-c", ends],
            stdin=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        assert kept.wait(20) == told
        assert not folder.exists()


@pytest.fixture
def sampler(tmp_path, monkeypatch):
    """One whose server is never started, though its python says that it has vLLM."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 0\n")
    python.chmod(0o755)
    monkeypatch.setenv(PYTHON, str(python))
    recipe = RECIPES["ppo"].preset("tiny", vllm={})
    inputs = ppo_inputs(tmp_path)
    run_dir = tiny.make_run(tmp_path / "run", "ppo", recipe.model_dump(mode="json"), inputs)
    tokenizer = load_tokenizer(inputs["model"])
    return sampler_of(tiny.open_run(run_dir), recipe, Actor(inputs["model"], recipe), tokenizer, longest=8)


def test_a_sampler_holds_nothing_before_it_is_asked(sampler):
    """A run that never samples, for it resumes within its last passes, starts no server."""
    sampler.close()
    assert {path.name for path in sampler.context.dir.iterdir()} == {contract.SPEC, contract.EVENTS}


def test_an_answer_of_another_form_is_refused(sampler):
    choice = {"token_ids": [5, 2], "logprobs": {"token_logprobs": [-1.0, -2.0]}, "finish_reason": "stop"}
    read = sampler.read(httpx2.Response(200, json={"choices": [choice]}))
    assert (read.ids, read.logprobs, read.ended) == ([5, 2], [-1.0, -2.0], True)
    others: list[dict[str, Any]] = [
        {},
        {"choices": []},
        {"choices": [choice | {"token_ids": None}]},
        {"choices": [choice | {"logprobs": None}]},
        {"choices": [choice | {"token_ids": [5, 2, 2]}]},
    ]
    for answer in [httpx2.Response(200, text="<html>"), *(httpx2.Response(200, json=other) for other in others)]:
        with pytest.raises(Failure) as refused:
            sampler.read(answer)
        assert refused.value.code == "vllm_refused"
