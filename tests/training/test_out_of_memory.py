"""A batch that does not fit into memory is read in parts, in the very step it would have been; one text alone is named."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaModel

from tests.training import labelled, tiny
from tests.training.tiny_reward import ppo_inputs
from training import contract
from training.context import RunContext, Stopped
from training.contract import Failure, Input
from training.mechanics import memory, models, scoring
from training.mechanics.generation import engine, sampling
from training.mechanics.memory import Room
from training.mechanics.online.rollout import Prompt, longest
from training.mechanics.ppo.model import Actor
from training.mechanics.trainers.base import RunTrainer
from training.methods import dpo, finetune, grpo, kto, online_dpo, ppo, reward, rloo, sft
from training.recipes import RECIPES

pytestmark = pytest.mark.slow(seconds=1)

CPU = "[enforce fail at alloc_cpu.cpp:121] data. DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."
METHODS = (dpo, finetune, grpo, kto, online_dpo, ppo, reward, rloo, sft)
RUN = {module.__name__.rpartition(".")[2]: module.run for module in METHODS}
ONLINE = {"episodes": 24, "batch_size": 8, "minibatch_size": 8, "max_new_tokens": 6, "epochs": 2}
GROUPS = ("rloo", "grpo", "online_dpo")
OFFLINE = {"epochs": 1, "batch_size": 8, "eval_every": 4, "max_length": 96, "sample_tokens": 4}
OF_ROWS: dict[str, dict[str, Any]] = {
    "sft": {}, "sft unpacked": {"packing": False, "sample_tokens": 0}, "finetune": {"class_weights": True, "beside_words": False},
    "finetune answers": {"task": "answers"},
}  # fmt: skip


def tight(monkeypatch: pytest.MonkeyPatch, *, tokens: int, way: str) -> list[int]:
    """From now on models read no more than `tokens` together; to learn from more fails on the way back, or there.

    Returns a list that grows with each failure.
    """
    real, failed = LlamaModel.forward, []

    def fail(count: int, *_: Any) -> None:
        failed.append(count)
        raise torch.OutOfMemoryError("CUDA out of memory.") if way == "there" else RuntimeError(CPU)

    def forward(self: LlamaModel, input_ids: torch.Tensor, **more: Any) -> Any:
        over = input_ids.numel() > tokens
        if over and way == "there":
            fail(input_ids.numel())
        found = real(self, input_ids=input_ids, **more)
        if over and found.last_hidden_state.requires_grad:
            found.last_hidden_state.register_hook(partial(fail, input_ids.numel()))
        return found

    monkeypatch.setattr(LlamaModel, "forward", forward)
    return failed


def made(folder: Path, named: str) -> Path:
    folder.mkdir()
    method = named.split()[0]
    inputs: dict[str, Input]
    changes: dict[str, Any]
    if named in OF_ROWS:
        rows = tiny.instruction_rows if method == "sft" else labelled.of_one_colour
        rows = labelled.asked if "answers" in named else rows
        inputs = {
            "model": tiny.write_model(folder / "model"),
            "instructions" if method == "sft" else "labelled": tiny.write_dataset(folder / "data", rows(20), rows(12)),
        }
        changes = OFFLINE | OF_ROWS[named]
    elif method in ("dpo", "kto", "reward"):
        rankings, rows = tiny.ranked(12)
        inputs = {
            "model": tiny.write_model(folder / "model"),
            "preferences": tiny.write_dataset(folder / "data", rows, tiny.ranked(4, first=40)[1], rankings=rankings),
        }
        changes = OFFLINE
    else:
        inputs, changes = ppo_inputs(folder), ONLINE
    recipe = RECIPES[method].presets["tiny"] | changes
    known = RECIPES[method].model_fields
    return tiny.make_run(folder / "run", method, {name: recipe[name] for name in recipe if name in known}, inputs)


def weights_of(run_dir: Path) -> dict[str, torch.Tensor]:
    return load_file(run_dir / contract.OUTPUT / "model.safetensors")


def warnings_of(run_dir: Path, code: str) -> list[dict[str, Any]]:
    events = contract.read_events(run_dir / contract.EVENTS)
    return [event["payload"] for event in events if event["kind"] == "warning" and event["payload"]["code"] == code]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "way"),
    [("dpo", "back"), ("kto", "there"), ("reward", "back"), ("ppo", "back"), ("rloo", "there"),
     ("grpo", "back"), ("online_dpo", "back")],
)  # fmt: skip
def test_a_run_whose_batches_do_not_fit_ends_in_the_weights_of_one_whose_batches_do(method, way, tmp_path, monkeypatch):
    whole, cut = made(tmp_path / "whole", method), made(tmp_path / "cut", method)
    RUN[method](tiny.open_run(whole))
    failed = tight(monkeypatch, tokens=50 if method in GROUPS else 120, way=way)
    RUN[method](tiny.open_run(cut))
    assert failed
    expected = weights_of(whole)
    for name, weight in weights_of(cut).items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=1e-6)
    (told,) = warnings_of(cut, "out_of_memory")
    assert "did not fit into memory" in told["sentence"] and told["severity"] == "note"
    for name in ("loss", "policy_loss", "num_tokens"):
        assert tiny.curve(cut, name) == pytest.approx(tiny.curve(whole, name), abs=1e-5)


@pytest.mark.parametrize(
    ("named", "way"),
    [("sft", "back"), ("sft unpacked", "there"), ("finetune", "there"), ("finetune answers", "back")],
)
def test_rows_that_do_not_fit_are_read_in_parts_whose_gradients_add_up_to_those_of_all(
    named, way, tmp_path, monkeypatch
):
    """Gradients, and not weights: what AdamW makes of one that is nearly 0 turns on its last bit."""
    whole, cut = made(tmp_path / "whole", named), made(tmp_path / "cut", named)
    real, first = RunTrainer._get_grad_norm, []

    def get_grad_norm(self: RunTrainer, model: Any, grad_norm: Any = None) -> Any:
        if self.state.global_step == 0:
            first.append({name: weight.grad.clone() for name, weight in model.named_parameters()})
        return real(self, model, grad_norm)

    monkeypatch.setattr(RunTrainer, "_get_grad_norm", get_grad_norm)
    RUN[named.split()[0]](tiny.open_run(whole))
    failed = tight(monkeypatch, tokens=60, way=way)
    RUN[named.split()[0]](tiny.open_run(cut))
    assert failed
    expected, found = first
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], rtol=0, atol=1e-6)
    assert len(warnings_of(cut, "out_of_memory")) >= 1
    for name in ("loss", "eval_loss", "num_tokens"):
        assert tiny.curve(cut, name) == pytest.approx(tiny.curve(whole, name), abs=1e-2)


@pytest.mark.slow
def test_where_one_text_alone_does_not_fit_the_run_ends_with_the_longest_ones_length_and_words(tmp_path, monkeypatch):
    run_dir = made(tmp_path / "dpo", "dpo")
    tight(monkeypatch, tokens=10, way="back")
    with pytest.raises(Failure) as told:
        dpo.run(tiny.open_run(run_dir))
    assert told.value.code == "out_of_memory"
    assert re.search(
        r"the longest of the batch has 3\d tokens, which begins “user Say \d+ assistant", told.value.sentence
    )
    assert "max_length" in told.value.advice


def test_an_error_that_is_not_of_memory_is_no_reason_to_read_in_parts(tmp_path, monkeypatch):
    run_dir = made(tmp_path / "dpo", "dpo")
    monkeypatch.setattr(LlamaModel, "forward", broken)
    with pytest.raises(RuntimeError, match="size mismatch"):
        dpo.run(tiny.open_run(run_dir))


def broken(*_: Any, **__: Any) -> Any:
    raise RuntimeError("size mismatch")


def test_a_resumed_run_goes_on_in_as_many_parts_and_ends_in_equal_bits(tmp_path, monkeypatch):
    whole = made(tmp_path / "whole", "rloo")
    tight(monkeypatch, tokens=50, way="back")
    assert tiny.finish(whole) == contract.EXIT_DONE
    stopped = tiny.same_run(whole, tmp_path / "stopped")
    context = tiny.open_run(stopped)
    real = RunContext.metric

    def metric(self: RunContext, step: int, **values: float) -> None:
        real(self, step, **values)
        self.stop_requested = step == 2

    with monkeypatch.context() as patch:
        patch.setattr(RunContext, "metric", metric)
        with pytest.raises(Stopped):
            rloo.run(context)
    context.events.close()
    assert tiny.finish(stopped) == contract.EXIT_DONE
    assert contract.read_manifest(stopped)["files"] == contract.read_manifest(whole)["files"]
    assert len(warnings_of(stopped, "out_of_memory")) == 1


def test_what_cannot_be_read_in_parts_ends_with_a_sentence_and_no_traceback(tmp_path, monkeypatch):
    rows = tiny.instruction_rows(8)
    inputs = {"model": tiny.write_model(tmp_path / "m"), "instructions": tiny.write_dataset(tmp_path / "d", rows)}
    run_dir = tiny.make_run(tmp_path / "run", "sft", RECIPES["sft"].presets["tiny"], inputs)
    tight(monkeypatch, tokens=10, way="there")
    assert tiny.finish(run_dir) == contract.EXIT_FAILED
    assert tiny.failure(run_dir)["code"] == "out_of_memory"


def test_an_optimizer_whose_own_numbers_do_not_fit_is_no_matter_of_the_batch():
    class Full(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(Failure, match="whatever the size of a batch"):
        memory.take_step(Full([torch.zeros(1, requires_grad=True)]))


# Scores and samples


def test_scores_and_samples_that_do_not_fit_are_those_of_smaller_batches(tmp_path, monkeypatch):
    model = models.load_causal(tiny.write_model(tmp_path / "model"), dtype=torch.float32)
    words = tiny.tokenizer()
    prompts = [words(f"Say {'many ' * (i % 3)}{i}")["input_ids"] for i in range(6)]
    told = {"seeds": list(range(6)), "temperatures": [1.0] * 6, "top_p": 1.0, "max_new_tokens": 8, "batch_size": 6}
    some = [scoring.Completion(prompt, [5, 6, 7]) for prompt in prompts]

    def both(room: Room) -> tuple[Any, Any]:
        samples = sampling.sample(model, words, prompts, **told, room=room)
        return samples, scoring.token_logprobs(model, some, pad_token_id=0, batch_size=6, room=room)

    samples, scores = both(Room())
    failed = tight(monkeypatch, tokens=40, way="there")
    room = Room()
    monkeypatch.setattr(engine, "READ_PROMPTS", 1)
    again, same = both(room)
    assert failed and [sample.ids for sample in again] == [sample.ids for sample in samples]
    torch.testing.assert_close(torch.cat(same), torch.cat(scores), rtol=0, atol=1e-5)


def test_sampling_that_does_not_fit_goes_on_with_fewer_at_a_time_and_remembers(tmp_path, monkeypatch):
    model = models.load_causal(tiny.write_model(tmp_path / "model"), dtype=torch.float32)
    words = tiny.tokenizer()
    prompts = [words(f"Say {i}")["input_ids"] for i in range(6)]
    told = {"temperatures": [1.0] * 6, "top_p": 1.0, "max_new_tokens": 8, "batch_size": 6, "seeds": list(range(6))}
    expected = [sample.ids for sample in sampling.sample(model, words, prompts, **told)]
    real, failed = engine.Engine.step, []

    def step(self: engine.Engine, cache: Any) -> None:
        if len(self.seats) > 2 and len(self.seats[0].ids) == 3:  # in the middle of it
            failed.append(len(self.seats))
            raise torch.OutOfMemoryError("CUDA out of memory.")
        real(self, cache)

    monkeypatch.setattr(engine.Engine, "step", step)
    room = Room()
    assert [sample.ids for sample in sampling.sample(model, words, prompts, **told, room=room)] == expected
    assert room.seats == 1 and failed == [6, 3]
    failed.clear()
    assert [sample.ids for sample in sampling.sample(model, words, prompts, **told, room=room)] == expected
    assert not failed
    with pytest.raises(torch.OutOfMemoryError):
        sampling.sample(model, words, prompts, **told)


# The longest batch first


@pytest.mark.slow
def test_the_longest_batch_tells_before_the_first_step_in_how_many_parts_to_read_and_changes_nothing(
    tmp_path, monkeypatch
):
    run_dir = made(tmp_path / "dpo", "dpo")
    whole = tiny.same_run(run_dir, tmp_path / "whole")
    dpo.run(tiny.open_run(whole))
    monkeypatch.setattr(memory, "is_scarce", lambda: True)
    failed = tight(monkeypatch, tokens=120, way="back")
    context = tiny.open_run(run_dir)
    dpo.run(context)
    said = [event["payload"] for event in contract.read_events(run_dir / contract.EVENTS)]
    told = next(i for i, each in enumerate(said) if each.get("code") == "out_of_memory")
    assert failed and told < next(i for i, each in enumerate(said) if each.get("phase") == "reference")
    expected = weights_of(whole)
    for name, weight in weights_of(run_dir).items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", ["sft", "finetune"])
def test_the_longest_rows_are_tried_before_the_first_step_and_nothing_is_left_of_it(method, tmp_path, monkeypatch):
    run_dir = made(tmp_path / method, method)
    whole = tiny.same_run(run_dir, tmp_path / "whole")
    RUN[method](tiny.open_run(whole))
    monkeypatch.setattr(memory, "is_scarce", lambda: True)
    failed = tight(monkeypatch, tokens=60, way="back")
    RUN[method](tiny.open_run(run_dir))
    (told,) = warnings_of(run_dir, "out_of_memory")
    assert failed and told["step"] == 0
    for name in ("loss", "num_tokens"):
        assert tiny.curve(run_dir, name) == pytest.approx(tiny.curve(whole, name), abs=1e-2)


def test_the_longest_minibatch_of_a_policy_is_of_the_longest_prompts_and_none_ends(tmp_path):
    from_prompts = longest([Prompt([], [1, 2]), Prompt([], [3]), Prompt([], [4, 5, 6])], 2, 4)
    assert [(one.prompt, len(one.ids)) for one in from_prompts] == [([4, 5, 6], 4), ([1, 2], 4)]
    assert len(longest([Prompt([], [1])], 3, 2)) == 3
    run_dir = made(tmp_path / "ppo", "ppo")
    context = tiny.open_run(run_dir)
    actor = Actor(context.input("model"), context.recipe)
    actor.try_longest(from_prompts)
    assert all(weight.grad is None for weight in actor.policy_weights().values()) and actor.room.parts == 1


def test_what_torch_itself_says_where_a_cpu_has_no_memory_is_known():
    with pytest.raises(RuntimeError) as told:
        torch.empty(10**15)
    assert contract.is_out_of_memory(told.value) and not contract.is_out_of_memory(RuntimeError("size mismatch"))
