"""DPO: it starts at ln 2 or not at all, moves towards what is preferred, and publishes what it was asked to train."""

from __future__ import annotations

import math

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.training import tiny
from training import contract
from training.contract import Failure
from training.mechanics import models
from training.mechanics.preference.losses import dpo_losses
from training.methods import dpo
from training.recipes.dpo import DpoRecipe

pytestmark = pytest.mark.slow(seconds=1)

RECIPE = DpoRecipe.presets["tiny"] | {
    "epochs": 5, "eval_every": 10, "max_length": 96, "batch_size": 12, "learning_rate": 2e-3, "sample_tokens": 8
}  # fmt: skip


def given(folder) -> dict[str, contract.Input]:
    return {
        "model": tiny.write_model(folder / "model"),
        "preferences": tiny.write_dataset(
            folder / "data", tiny.preference_rows(40), tiny.preference_rows(16, seed=9, first=40)
        ),
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dpo")
    run_dir = tiny.make_run(folder / "run", "dpo", RECIPE, given(folder))
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    return run_dir


def built(folder, **changes):
    context = tiny.open_run(tiny.make_run(folder / "built", "dpo", RECIPE | changes, given(folder)))
    return dpo.build(context, context.recipe, rows=tiny.preference_rows(8), held_out=[], tokenizer=tiny.tokenizer())


# A run


def test_the_first_loss_is_ln_2_to_the_last_bit(trained):
    assert tiny.curve(trained, "loss")[1] == pytest.approx(math.log(2), abs=1e-6)
    assert tiny.curve(trained, "eval_loss")[0] == pytest.approx(math.log(2), abs=1e-6)


@pytest.mark.parametrize("changes", [{"lora": {"r": 4}}, {"lora": {"r": 4}, "bf16": True}, {"bf16": True}], ids=str)
def test_the_first_loss_is_ln_2_with_an_adapter_and_in_bfloat16_too(tmp_path, changes):
    trainer = built(tmp_path, epochs=1, sample_tokens=0, **changes)
    trainer.take_reference()
    trainer.train_to_the_end()
    assert tiny.curve(tmp_path / "built", "loss")[1] == pytest.approx(math.log(2), abs=1e-6)


def test_a_policy_that_is_not_its_reference_ends_the_run(tmp_path):
    trainer = built(tmp_path)
    trainer.take_reference()
    with torch.no_grad():
        trainer.model.model.layers[0].mlp.down_proj.weight.mul_(3)
    with pytest.raises(Failure) as refused:
        trainer.train_to_the_end()
    assert refused.value.code == "first_loss"
    assert not list((tmp_path / "built" / contract.CHECKPOINTS).glob("*"))


def test_what_is_preferred_becomes_likelier_and_is_told_with_its_interval(trained):
    metrics = contract.read_manifest(trained)["metrics"]
    assert metrics["eval_accuracy"] > 0.9
    assert metrics["eval_accuracy_low"] <= metrics["eval_accuracy"] <= metrics["eval_accuracy_high"]
    assert metrics["eval_n"] == metrics["held_out_pairs"] == 48
    margins = tiny.curve(trained, "rewards/margins")
    assert margins[1] == 0 < margins[max(margins)]
    last = max(margins)
    for name in ("eval_accuracy", "eval_accuracy_low", "eval_accuracy_high"):
        assert sorted(tiny.curve(trained, name)) == sorted({0, *range(10, last, 10), last})


def test_the_chosen_and_the_rejected_are_told_apart_from_their_margin(trained):
    assert tiny.curve(trained, "logps/chosen").keys() == tiny.curve(trained, "logps/rejected").keys()
    assert tiny.curve(trained, "rewards/chosen").keys() == tiny.curve(trained, "loss").keys()
    assert isinstance(contract.read_manifest(trained)["metrics"]["chosen_change_per_token"], float)


def test_progress_and_samples_flow(trained):
    phases = {p["phase"] for p in tiny.events(trained, "progress")}
    assert {"reference", "training"} <= phases
    samples = tiny.events(trained, "sample")
    assert {s["step"] for s in samples} == set(tiny.curve(trained, "eval_loss"))
    assert {s["prompt"] for s in samples} <= {f"Say {i}" for i in range(40, 56)}


def test_the_published_model_is_the_trained_one(trained):
    model = AutoModelForCausalLM.from_pretrained(trained / contract.OUTPUT)
    words = tiny.tokenizer()

    def log_prob(text: str) -> float:
        prompt = words.apply_chat_template([tiny.user("Say 44")], add_generation_prompt=True)["input_ids"]
        ids = torch.tensor([prompt + words(text, add_special_tokens=False)["input_ids"]])
        with torch.no_grad():
            scores = model(ids).logits[0, :-1].log_softmax(-1)
        return scores.gather(-1, ids[0, 1:, None])[len(prompt) - 1 :].sum().item()

    assert log_prob("aaaaaaaa") > log_prob("zzzzzzzz")


# The loss


def test_the_loss_is_minus_log_sigmoid_of_the_margin():
    assert dpo_losses(torch.tensor([0.0, 2.0]), label_smoothing=0.0).tolist() == pytest.approx(
        [math.log(2), math.log(1 + math.exp(-2))]
    )


def test_robust_dpo_is_unbiased_under_flipped_labels():
    flipped = 0.2
    margins = torch.tensor([1.5, -0.3])
    seen = (1 - flipped) * dpo_losses(margins, label_smoothing=flipped) + flipped * dpo_losses(
        -margins, label_smoothing=flipped
    )
    torch.testing.assert_close(seen, dpo_losses(margins, label_smoothing=0.0))


def test_the_completions_log_probability_counts_its_end_and_not_its_prompt(tmp_path):
    trainer = built(tmp_path)
    trainer.model.eval()
    row = trainer.train_dataset[0]
    batch = trainer.data_collator([row])
    with torch.no_grad():
        ids = torch.tensor(row["prompt_ids"] + row["chosen_ids"])
        scores = trainer.model(input_ids=ids[None]).logits[0].float().log_softmax(-1)
        found = trainer.log_probs(trainer.model, batch)[batch["chosen"]].item()
    first, last = len(row["prompt_ids"]), len(ids)
    assert found == pytest.approx(sum(scores[i - 1, ids[i]].item() for i in range(first, last)), rel=1e-5)
    assert trainer.processing_class.eos_token_id in row["chosen_ids"]


def test_unlearning_the_preferred_texts_is_told_once(tmp_path):
    trainer = built(tmp_path)
    inputs = {
        "chosen": torch.tensor([0]),
        "asked_of": torch.zeros(10, dtype=torch.long),
        "text_lengths": torch.tensor([12]),
        "ref_chosen_logps": torch.tensor([-10.0]),
    }
    for _ in range(12):
        trainer.watch_chosen(inputs, torch.tensor([-20.0]))
    said = tiny.events(tmp_path / "built", "warning")
    assert [w["code"] for w in said] == ["no_held_out", "chosen_falling"]
    assert "1.00 nats a token" in said[1]["sentence"]


# Adapters


@pytest.mark.slow
def test_lora_publishes_an_adapter_and_on_an_adapter_a_second_one_that_stands_on_it(tmp_path):
    recipe = RECIPE | {"lora": {"r": 8}, "learning_rate": 1e-2, "epochs": 3}
    inputs = given(tmp_path)
    first = tiny.make_run(tmp_path / "first", "dpo", recipe, inputs)
    assert tiny.finish(first) == contract.EXIT_DONE
    output = first / contract.OUTPUT
    assert (output / "adapter_model.safetensors").exists() and not (output / "model.safetensors").exists()
    assert (output / "tokenizer.json").exists()
    assert contract.read_manifest(first)["metrics"]["eval_accuracy"] > 0.8

    adapter = tiny.given(output, "model", base=inputs["model"].path)
    second = tiny.make_run(
        tmp_path / "second", "dpo", recipe | {"learning_rate": 1e-9, "epochs": 1}, inputs | {"model": adapter}
    )
    assert tiny.finish(second) == contract.EXIT_DONE
    # Its reference is the adapter's policy, not the base: the second round starts at ln 2 as well.
    assert tiny.curve(second, "loss")[1] == pytest.approx(math.log(2), abs=1e-6)
    assert not (second / contract.OUTPUT / "model.safetensors").exists()
    stack = tiny.given(second / contract.OUTPUT, "model", base=inputs["model"].path, between=(str(output),))
    ids = torch.arange(5, 25)[None]
    on_top, first_alone = (models.load_causal(one, dtype=torch.float32) for one in (stack, adapter))
    with torch.no_grad():
        torch.testing.assert_close(on_top(ids).logits, first_alone(ids).logits, atol=1e-4, rtol=1e-4)


# Refusals


@pytest.mark.parametrize(
    ("rows", "max_length"), [([], 96), (tiny.preference_rows(3), 16)], ids=["no row", "all too long"]
)
def test_nothing_to_learn_is_one_clear_failure(tmp_path, rows, max_length):
    inputs = {
        "model": tiny.write_model(tmp_path / "model"),
        "preferences": tiny.write_dataset(tmp_path / "data", rows, tiny.preference_rows(2, first=50)),
    }
    run_dir = tiny.make_run(tmp_path / "run", "dpo", RECIPE | {"max_length": max_length}, inputs)

    assert tiny.finish(run_dir) == contract.EXIT_FAILED
    assert tiny.failure(run_dir)["code"] == "no_rows"
    assert tiny.failure(run_dir)["advice"]


def test_held_out_comparisons_that_are_all_too_long_are_no_held_out_comparisons(tmp_path):
    long = [row | {"chosen": [tiny.assistant("a" * 150)]} for row in tiny.preference_rows(2, first=50)]
    inputs = {
        "model": tiny.write_model(tmp_path / "model"),
        "preferences": tiny.write_dataset(tmp_path / "data", tiny.preference_rows(6), long),
    }
    run_dir = tiny.make_run(tmp_path / "run", "dpo", RECIPE | {"epochs": 1}, inputs)

    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert {"left_out_long", "no_held_out"} <= {w["code"] for w in tiny.events(run_dir, "warning")}
    assert contract.read_manifest(run_dir)["metrics"]["held_out_pairs"] == 0
