"""A step that two processes share is the step of one: loss and gradient to 1e-5, by DDP and by FSDP2, with parts and gaps."""

from __future__ import annotations

import math

import pytest
from transformers import AutoModelForCausalLM

from tests.training import labelled, tiny, together
from tests.training.test_pretrain import RECIPE, inputs
from training import contract
from training.recipes import RECIPES

pytestmark = pytest.mark.slow(seconds=2)  # each: all of them wait for the same runs

CLOSE = 1e-5
SHORT = RECIPE | {
    "hidden_size": 16, "num_layers": 1, "context": 16, "batch_size": 4, "steps": 6, "warmup_steps": 2, "eval_every": 3,
    "max_grad_norm": 0.5,
}  # fmt: skip
CAUSAL = {"z_loss": 1e-3, "accumulation": 2}
MASKED = {"architecture": "bert", "accumulation": 2, "masking": {"next_sentence": True}}
# Three rows a step, and one in the last of an epoch: two processes never have the same share.
SFT = RECIPES["sft"].presets["tiny"] | {
    "epochs": 2, "batch_size": 3, "eval_every": 4, "max_length": 96, "packing": False, "sample_tokens": 2,
}  # fmt: skip
LORA = {"lora": {"r": 4, "alpha": 8, "dropout": 0.2}}
TASK = {
    "epochs": 2, "batch_size": 3, "learning_rate": 2e-3, "eval_every": 4, "max_length": 32, "stride": 8, "bf16": False,
    "dropout": 0.0,
}  # fmt: skip
LABELS = TASK | {"class_weights": True}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders by name and strategy ("alone", "ddp", "fsdp"), each run to its end."""
    folder = tmp_path_factory.mktemp("parallel")
    given = inputs(folder, train=60, test=4)
    talks = tiny.write_dataset(folder / "talks", tiny.instruction_rows(10), tiny.instruction_rows(3, first=40))
    taught = {"model": tiny.write_model(folder / "model"), "instructions": talks}
    bert = labelled.write_bert(folder / "bert")
    coloured, named = (
        {"model": bert, "labelled": tiny.write_dataset(folder / rows.__name__, rows(10), rows(5, seed=1))}
        for rows in (labelled.coloured, labelled.named)
    )
    made, ahead = {}, []
    for name, method, recipe, needs in (
        ("causal", "pretrain", SHORT | CAUSAL, given),
        ("masked", "pretrain", SHORT | MASKED, given),
        ("sft", "sft", SFT, taught),
        ("labels", "finetune", LABELS, coloured),
        ("entities", "finetune", TASK | {"task": "entities"}, named),
    ):
        made[name, "alone"] = tiny.make_run(folder / f"{name}-alone", method, recipe, needs)
        assert tiny.finish(made[name, "alone"]) == contract.EXIT_DONE
        for strategy in together.STRATEGIES:
            run_dir = tiny.make_run(folder / f"{name}-{strategy}", method, together.in_two(recipe, strategy), needs)
            made[name, strategy] = run_dir
            ahead.append(run_dir)
    made["lora", "ddp"] = tiny.make_run(folder / "lora-ddp", "sft", together.in_two(SFT | LORA), taught)
    assert together.finish_all(folder / "together", [*ahead, made["lora", "ddp"]]) == contract.EXIT_DONE
    return made


@pytest.mark.parametrize("strategy", together.STRATEGIES)
@pytest.mark.parametrize("name", ["causal", "masked", "sft", "labels", "entities"])
def test_each_step_of_two_processes_is_that_of_one(runs, name, strategy):
    alone, shared = runs[name, "alone"], runs[name, strategy]
    assert together.gap(alone, shared, "loss") < CLOSE
    assert together.gap(alone, shared, "grad_norm") < CLOSE
    assert together.apart(alone, shared) < 10 * CLOSE


@pytest.mark.parametrize("strategy", together.STRATEGIES)
def test_what_is_told_of_held_out_rows_is_that_of_one(runs, strategy):
    assert together.gap(runs["causal", "alone"], runs["causal", strategy], "eval_bits_per_byte") < CLOSE
    assert together.gap(runs["masked", "alone"], runs["masked", strategy], "eval_loss") < CLOSE
    assert together.gap(runs["sft", "alone"], runs["sft", strategy], "eval_loss") < CLOSE
    assert together.gap(runs["sft", "alone"], runs["sft", strategy], "num_tokens") == 0
    assert together.gap(runs["labels", "alone"], runs["labels", strategy], "eval_loss") < CLOSE
    assert together.gap(runs["entities", "alone"], runs["entities", strategy], "eval_f1") == 0
    assert together.gap(runs["sft", "alone"], runs["sft", strategy], "mean_token_accuracy") < CLOSE


@pytest.mark.parametrize("strategy", together.STRATEGIES)
def test_one_process_tells_and_the_output_is_an_ordinary_model(runs, strategy):
    run_dir = runs["causal", strategy]
    told = list(contract.read_events(run_dir / contract.EVENTS))
    assert [event["seq"] for event in told] == list(range(1, len(told) + 1))
    steps = [event["payload"]["step"] for event in told if "loss" in event["payload"].get("values", {})]
    assert steps == list(range(1, 7))
    contract.read_manifest(run_dir)
    model = AutoModelForCausalLM.from_pretrained(run_dir / "output")
    assert model.config.architectures == ["LlamaForCausalLM"]
    assert math.isfinite(sum(weight.abs().sum().item() for weight in model.parameters()))


def test_sft_goes_on_from_a_checkpoint_in_the_same_bits_by_two_and_to_rounding_by_one(runs, tmp_path):
    """Dropout is drawn by each process anew in each step: it is part of the bits."""
    same = {
        (name, strategy): together.begun(runs[name, strategy], f"{name}-{strategy}-again", recipe, step=4)
        for name, strategy, recipe in (
            ("sft", "fsdp", together.in_two(SFT, "fsdp")),
            ("lora", "ddp", together.in_two(SFT | LORA)),
        )
    }
    by_two = together.begun(runs["sft", "alone"], "alone-by-two", together.in_two(SFT, "fsdp"), step=4)
    assert together.finish_all(tmp_path / "together", [*same.values(), by_two]) == contract.EXIT_DONE
    for key, again in same.items():
        assert together.apart(runs[key], again) == 0.0
    assert together.apart(runs["sft", "alone"], by_two) < 10 * CLOSE
    by_one = together.begun(runs["sft", "fsdp"], "fsdp-by-one", SFT, step=4)
    assert tiny.finish(by_one) == contract.EXIT_DONE
    assert together.apart(runs["sft", "alone"], by_one) < 10 * CLOSE
