"""Steps of pretraining: the same whatever parts they are read in; who moves what; jumps, rates by trial."""

from __future__ import annotations

import math
import signal

import numpy as np
import pytest
import torch
from torch import nn

from tests.training import tiny
from tests.training.test_pretrain import RECIPE, inputs, interrupt, weights
from training import contract
from training.contract import Failure
from training.mechanics.pretraining import losses
from training.mechanics.pretraining import step as steps
from training.mechanics.pretraining.architectures import add_mask_token, build_model, check_first_loss
from training.mechanics.pretraining.optimizers import build_optimizers, set_rates, share_at
from training.mechanics.pretraining.spikes import FEWEST, Position
from training.mechanics.pretraining.step import gradient
from training.mechanics.pretraining.work import prepare
from training.recipes.pretrain import PretrainRecipe, Spikes

EVERY = ("llama", "qwen3", "gpt2", "bert", "modernbert")
SHORT = RECIPE | {"steps": 30, "eval_every": 10}


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return inputs(tmp_path_factory.mktemp("inputs"))


def build(**fields):
    recipe = PretrainRecipe(**RECIPE | fields)
    tokenizer = tiny.tokenizer()
    if recipe.is_masked:
        add_mask_token(tokenizer)
    return recipe, build_model(recipe, tokenizer=tokenizer, seed=0)


def finished(folder, given, **fields):
    run_dir = tiny.make_run(folder, "pretrain", SHORT | fields, given)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    return run_dir


# Losses


def test_the_loss_of_two_positions_by_hand():
    head = nn.Linear(2, 3, bias=False)
    head.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    hidden = torch.tensor([[math.log(2), 0.0], [0.0, 0.0]])
    loss, nats = losses.head_loss(head, hidden, torch.tensor([0, 2]), z=0.1, count=2)
    # softmax of (ln 2, 0, 0) is (1/2, 1/4, 1/4); of zeros a third each; the sums are 4 and 3.
    assert nats.item() == pytest.approx(math.log(2) + math.log(3))
    assert loss.item() == pytest.approx((math.log(2) + math.log(3) + 0.1 * (math.log(4) ** 2 + math.log(3) ** 2)) / 2)


@pytest.mark.parametrize("bias", [False, True])
def test_its_gradient_is_that_of_finite_differences(bias, monkeypatch):
    monkeypatch.setattr(losses, "CHUNK", 3)
    monkeypatch.setattr(losses, "PIECE", 2)
    torch.manual_seed(0)
    head = nn.Linear(4, 7, bias=bias).double()
    targets = torch.tensor([1, 0, 6, 3, 3])

    def loss(hidden, *_):
        return losses.head_loss(head, hidden, targets, z=0.01, count=5)[0]

    hidden = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    found = torch.autograd.grad(loss(hidden), [hidden, *head.parameters()])
    logits = head(hidden)
    plain = nn.functional.cross_entropy(logits, targets) + 0.01 * logits.logsumexp(-1).square().mean()
    for ours, theirs in zip(found, torch.autograd.grad(plain, [hidden, *head.parameters()]), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "bert", "modernbert"])
def test_it_is_the_loss_that_transformers_takes(architecture, given, tmp_path):
    work = opened(tmp_path, given, architecture=architecture)
    batch = work.batch(0, 8)
    labels = batch["input_ids"]
    if work.gaps is not None:
        labels = torch.full_like(labels, -100).flatten()
        labels[batch["places"]] = batch["targets"]
        labels = labels.view_as(batch["input_ids"])
    theirs = work.model(input_ids=batch["input_ids"], labels=labels).loss
    theirs.backward()
    expected = [weight.grad.clone() for weight in work.model.parameters()]
    work.model.zero_grad()
    assert gradient(work) == pytest.approx(theirs.item(), rel=1e-5)
    for weight, slope in zip(work.model.parameters(), expected, strict=True):
        assert torch.allclose(weight.grad, slope, atol=1e-5)


def opened(folder, given, **fields):
    context = tiny.open_run(tiny.make_run(folder / "run", "pretrain", RECIPE | fields, given))
    return prepare(context, context.recipe)


@pytest.mark.parametrize("architecture", EVERY)
def test_attention_over_short_rows_is_attention(architecture, given, tmp_path):
    told = {}
    for on in (False, True):
        work = opened(
            tmp_path / str(on), given, architecture=architecture, context=96
        )  # wider than ModernBERT's window
        work.short_rows = on
        told[on] = gradient(work), [weight.grad for weight in work.model.parameters()]
        assert work.model.config._attn_implementation == "sdpa"
    assert told[True][0] == pytest.approx(told[False][0], abs=1e-5)
    for ours, theirs in zip(told[True][1], told[False][1], strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)


# Steps


@pytest.mark.parametrize("architecture", ["llama", "modernbert"])
def test_a_step_read_in_eight_parts_is_the_step_read_at_once(architecture, given, tmp_path):
    told = {}
    for parts in (1, 8):
        work = opened(tmp_path / str(parts), given, architecture=architecture, accumulation=parts)
        told[parts] = gradient(work), [weight.grad for weight in work.model.parameters()]
    assert told[8][0] == pytest.approx(told[1][0], abs=1e-5)
    for one, eight in zip(told[1][1], told[8][1], strict=True):
        assert torch.allclose(one, eight, atol=1e-5)


@pytest.mark.parametrize("architecture", EVERY)
def test_before_training_the_loss_is_the_logarithm_of_the_vocabulary(architecture):
    check_first_loss(build(architecture=architecture, hidden_size=256, num_heads=4)[1])


@pytest.mark.parametrize(("architecture", "optimizer"), [("qwen3", "muon"), ("gpt2", "adamw"), ("bert", "muon")])
def test_one_batch_is_learned_by_heart(architecture, optimizer, given, tmp_path):
    work = opened(
        tmp_path, given, architecture=architecture, optimizer=optimizer, batch_size=1, muon_learning_rate=0.01
    )
    for step in range(200):
        set_rates(work.optimizers, 1.0 if step < 100 else 0.2)
        loss = gradient(work)
        for one in work.optimizers:
            one.step()
        work.model.zero_grad()
        if loss < 0.05:
            break
    assert loss < 0.05


def test_without_a_compiler_a_compiled_run_ends_with_a_sentence(given, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(Failure, match="needs a C\\+\\+ compiler"):
        opened(tmp_path, given, compiled=True)


# Who moves what


def test_muon_takes_the_blocks_matrices_and_adamw_the_rest():
    recipe, model = build(architecture="qwen3", optimizer="muon", tied=False)
    names = {id(weight): name for name, weight in model.named_parameters()}
    adamw, muon = build_optimizers(model, recipe)
    of_muon = {names[id(weight)] for group in muon.param_groups for weight in group["params"]}
    of_adamw = {names[id(weight)] for group in adamw.param_groups for weight in group["params"]}
    assert all(name.startswith("model.layers.") and name.endswith("proj.weight") for name in of_muon)
    assert of_muon | of_adamw == set(names.values())
    assert {"lm_head.weight", "model.embed_tokens.weight", "model.norm.weight"} <= of_adamw


def test_a_rate_that_was_tuned_at_another_width_is_scaled_where_it_must_be():
    recipe, model = build(hidden_size=64, tuned_width=32, learning_rate=0.01, tied=False)
    (adamw,) = build_optimizers(model, recipe)
    peaks = {id(weight): group["peak"] for group in adamw.param_groups for weight in group["params"]}
    assert peaks[id(model.model.layers[0].mlp.up_proj.weight)] == peaks[id(model.lm_head.weight)] == 0.005
    assert peaks[id(model.model.embed_tokens.weight)] == peaks[id(model.model.norm.weight)] == 0.01


def test_wsd_stays_at_the_peak_and_ends_at_nothing():
    recipe = PretrainRecipe(schedule="wsd", decay_share=0.2, warmup_steps=10, steps=100)
    shares = [share_at(step, recipe) for step in range(100)]
    assert shares[:10] == pytest.approx([0.1 * n for n in range(1, 11)])
    assert set(shares[10:81]) == {1.0}
    assert shares[90] == pytest.approx(0.5)
    assert shares[99] == pytest.approx(0.05)


def test_sizes_go_by_name():
    _, model = build(size="0.9M")
    assert (model.config.hidden_size, model.config.num_hidden_layers) == (128, 4)


# Jumps


def test_a_gradient_far_outside_what_is_usual_is_a_jump():
    position = Position()
    lot = np.random.default_rng(0)
    for norm in lot.normal(1.0, 0.1, size=FEWEST):
        assert not position.is_spike(100.0, Spikes())  # too few were seen
        position.taken(float(norm))
    assert not position.is_spike(2.0, Spikes())
    assert position.is_spike(5.0, Spikes())
    assert not position.is_spike(5.0, None)


def let_jump(monkeypatch, *, since: int, until: int) -> None:
    """Gradients of the rows of these steps are a hundred times as long."""
    true_gradient = steps.gradient

    def stormy(work):
        loss = true_gradient(work)
        if 8 * since <= work.position.row < 8 * until:
            for weight in work.model.parameters():
                weight.grad.mul_(100)
        return loss

    monkeypatch.setattr(steps, "gradient", stormy)


def test_jumps_that_no_other_rows_end_are_borne(given, tmp_path, monkeypatch):
    let_jump(monkeypatch, since=29, until=100)
    fields = {"steps": 36, "eval_every": 10, "spikes": {"deviations": 20, "patience": 3}}
    run_dir = finished(tmp_path / "run", given, **fields)
    assert contract.read_manifest(run_dir)["metrics"]["steps_left_out"] == 3  # and the last four were taken
    assert [one["code"] for one in tiny.events(run_dir, "warning")][:2] == ["step_left_out", "steep"]
    assert not any("went back" in one["text"] for one in tiny.events(run_dir, "log"))


def test_jumps_are_left_out_and_after_several_the_run_goes_back_and_reads_on(given, tmp_path, monkeypatch):
    let_jump(monkeypatch, since=25, until=28)
    fields = {"steps": 34, "eval_every": 10, "spikes": {"deviations": 20, "patience": 3}}
    whole = finished(tmp_path / "whole", given, **fields)
    assert contract.read_manifest(whole)["metrics"]["steps_left_out"] == 3
    assert [one["code"] for one in tiny.events(whole, "warning")].count("step_left_out") == 1
    assert any("went back to step 20" in one["text"] for one in tiny.events(whole, "log"))

    fields["spikes"]["patience"] = 4  # then they are over before the run goes back
    patient = finished(tmp_path / "patient", given, **fields)
    assert not any("went back" in one["text"] for one in tiny.events(patient, "log"))
    assert weights(patient) != weights(whole)


# Rates by trial


def test_the_best_of_several_rates_is_taken_and_told(given, tmp_path):
    run_dir = finished(tmp_path / "run", given, sweep=(0.001, 1.0, 900.0), sweep_steps=12, steps=10)
    assert contract.read_manifest(run_dir)["metrics"]["learning_rate"] == pytest.approx(SHORT["learning_rate"])
    told = [one["text"] for one in tiny.events(run_dir, "log")]
    assert any(text.startswith("1 times the rate was best") for text in told)
    alone = finished(tmp_path / "alone", given, steps=10)
    assert weights(alone) == weights(run_dir)


@pytest.mark.slow
def test_a_stopped_run_with_muon_parts_and_a_sweep_ends_in_the_same_bits(given, tmp_path):
    fields = {"architecture": "qwen3", "optimizer": "muon", "schedule": "wsd", "accumulation": 2, "sweep": [0.5, 1],
              "sweep_steps": 8, "steps": 60, "z_loss": 1e-4}  # fmt: skip
    whole = finished(tmp_path / "whole", given, **fields)
    run_dir = tiny.same_run(whole, tmp_path / "again")
    assert interrupt(run_dir, signal.SIGTERM) == contract.EXIT_STOPPED
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert weights(run_dir) == weights(whole)
