"""KTO: every text begins at 1/2 or the run ends, desirable texts go up and undesirable ones down, as TRL counts them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from datasets import Dataset
from trl import KTOConfig, KTOTrainer
from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference

from tests.training import tiny
from training import contract
from training.contract import Failure
from training.mechanics import models
from training.mechanics.people.desirability import Verdict
from training.mechanics.preference.kto_trainer import couples, mismatched
from training.mechanics.preference.losses import kto_losses, reference_point
from training.mechanics.shared_prefix import on_device
from training.methods import kto
from training.recipes.kto import KtoRecipe

pytestmark = pytest.mark.slow(seconds=1)

RECIPE = KtoRecipe.presets["tiny"] | {
    "epochs": 4, "eval_every": 10, "max_length": 96, "batch_size": 12, "learning_rate": 2e-3, "sample_tokens": 8
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kto")
    rankings, rows = tiny.ranked(40)
    inputs = {
        "model": tiny.write_model(folder / "model"),
        "preferences": tiny.write_dataset(folder / "data", rows, tiny.ranked(16, first=40)[1], rankings=rankings),
    }
    run_dir = tiny.make_run(folder / "run", "kto", RECIPE, inputs)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    return run_dir


def verdicts(prompts: int, *, texts: int = 2) -> list[Verdict]:
    """Of each prompt `texts` texts of several lengths, desirable and undesirable by turns."""
    found = []
    for p in range(prompts):
        for t in range(texts):
            reply = (("assistant", "az"[t % 2] * (2 + (p + t) % 5) + "bcdefgh"[t]),)
            found.append(Verdict(f"g{p}", (("user", f"Say {p}"),), reply, (p + t) % 2 == 0, 1 / texts))
    return found


def built(folder, given: list[Verdict], **changes: Any):
    recipe = RECIPE | {"sample_tokens": 0} | changes
    inputs = {"model": tiny.write_model(folder / "model")}
    context = tiny.open_run(tiny.make_run(folder / "built", "kto", recipe, inputs))
    return kto.build(context, context.recipe, verdicts=given, held_out=[], tokenizer=tiny.tokenizer())


# A run


def test_desirable_texts_go_up_undesirable_ones_down_and_held_out_ones_too(trained):
    metrics = contract.read_manifest(trained)["metrics"]
    assert metrics["eval_rewards/desirable"] > 0.5
    assert metrics["eval_rewards/undesirable"] < -0.1
    assert metrics["eval_accuracy"] > 0.9
    assert metrics["eval_accuracy_low"] <= metrics["eval_accuracy"] <= metrics["eval_accuracy_high"]
    last = max(tiny.curve(trained, "loss"))
    assert tiny.curve(trained, "rewards/desirable")[last] > 0 > tiny.curve(trained, "rewards/undesirable")[last]
    assert tiny.curve(trained, "eval_loss")[last] < 0.4
    assert all(value >= 0 for value in tiny.curve(trained, "kl").values())
    assert {"reference", "training"} <= {p["phase"] for p in tiny.events(trained, "progress")}
    assert tiny.events(trained, "sample")


def test_it_says_from_what_it_learns(trained):
    metrics = contract.read_manifest(trained)["metrics"]
    said = tiny.events(trained, "log")[0]["text"]
    assert said.startswith(f"{metrics['desirable_texts']} desirable and {metrics['undesirable_texts']} undesirable")
    assert said.endswith("from rankings.")


# The first step


@pytest.mark.parametrize("changes", [{}, {"lora": {"r": 4}}, {"lora": {"r": 4}, "bf16": True}, {"bf16": True}], ids=str)
def test_the_first_loss_of_each_text_is_a_half_to_the_last_bit(tmp_path, changes):
    trainer = built(tmp_path, verdicts(12), epochs=1, **changes)
    trainer.take_reference()
    trainer.train_to_the_end()
    # Both kinds are as many in every batch, so weights have mean 1.
    assert tiny.curve(tmp_path / "built", "loss")[1] == pytest.approx(0.5, abs=1e-6)
    assert tiny.curve(tmp_path / "built", "kl")[1] == 0


def test_a_policy_that_is_not_its_reference_ends_the_run(tmp_path):
    trainer = built(tmp_path, verdicts(12))
    trainer.take_reference()
    with torch.no_grad():
        trainer.model.model.layers[0].mlp.down_proj.weight.mul_(3)
    with pytest.raises(Failure) as refused:
        trainer.train_to_the_end()
    assert refused.value.code == "first_loss"


@pytest.mark.parametrize("missing", [True, False])
def test_rankings_without_one_kind_fail_the_run_in_one_sentence(tmp_path, missing):
    good = [[tiny.assistant("aaa")], [tiny.assistant("zzz")]]
    rows = [{"prompt": [tiny.user("Say")], "completion": text, "label": missing} for text in good]
    inputs = {"model": tiny.write_model(tmp_path / "model"), "preferences": tiny.write_dataset(tmp_path / "data", rows)}
    run_dir = tiny.make_run(tmp_path / "run", "kto", RECIPE, inputs)
    assert tiny.finish(run_dir) == contract.EXIT_FAILED
    assert tiny.failure(run_dir)["code"] == "one_sided"
    assert ("no text undesirable" if missing else "no text desirable") in tiny.failure(run_dir)["sentence"]


def test_where_only_one_kind_is_short_enough_the_run_fails_too(tmp_path):
    given = [replace(one, reply=(("assistant", "a" * 200),)) if one.is_desirable else one for one in verdicts(4)]
    with pytest.raises(Failure) as refused:
        built(tmp_path, given)
    assert refused.value.code == "one_sided"
    assert refused.value.sentence == "All texts of up to 96 tokens are undesirable: KTO learns from both kinds."


# The loss


def test_by_hand():
    log_ratios, desirable = torch.tensor([2.0, 2.0]), torch.tensor([True, False])
    found = kto_losses(log_ratios, desirable, kl=torch.tensor(1.0), beta=0.5)
    s = torch.sigmoid(torch.tensor(0.5))
    assert found.tolist() == pytest.approx([1 - s.item(), s.item()])
    assert reference_point(torch.tensor([1.0, -3.0])) == 0
    assert reference_point(torch.tensor([1.0, 3.0])) == 2
    assert reference_point(torch.empty(0)) == 0


def test_the_loss_its_kl_and_its_gradient_are_those_of_trl_on_the_same_texts(tmp_path):
    given = verdicts(8, texts=1)  # one text a prompt: then mismatched ones are the row before, as in TRL
    trainer = built(tmp_path, given, desirable_weight=1.0, undesirable_weight=1.0, batch_size=8)
    trainer.take_reference()
    policy = models.load_causal(trainer.context.input("model"), dtype=torch.float32)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in policy.parameters():
            weight.add_(0.02 * torch.randn_like(weight))
    trainer.model.load_state_dict(policy.state_dict())
    arguments = KTOConfig(
        output_dir=str(tmp_path / "trl"), use_cpu=True, bf16=False, per_device_train_batch_size=8, max_length=None,
        activation_checkpointing=False, report_to="none", disable_tqdm=True,
    )  # fmt: skip
    order = trainer.batches.batches[0]  # ours are by length: the same order for both, for it decides what is mismatched
    rows = [{k: given[i].row()[k] for k in ("prompt", "completion", "label")} for i in order]
    theirs = KTOTrainer(
        model=policy, ref_model=models.load_causal(trainer.context.input("model"), dtype=torch.float32), args=arguments,
        processing_class=tiny.tokenizer(), train_dataset=Dataset.from_list(rows),
    )  # fmt: skip
    collate = DataCollatorForUnpairedPreference(pad_token_id=theirs.processing_class.pad_token_id)
    their_batch = collate([theirs.train_dataset[i] for i in range(8)])
    our_batch = on_device(trainer.data_collator([trainer.train_dataset[i] for i in order]), torch.device("cpu"))
    found = []
    for one, batch in ((trainer, our_batch), (theirs, their_batch)):
        one.model.train()
        loss = one._compute_loss(one.model, batch, False)
        loss.backward()
        gradient = one.model.model.layers[0].self_attn.q_proj.weight.grad
        found.append((loss.detach(), torch.tensor(one._metrics["train"]["kl"][-1]), gradient))
    for ours, trls in zip(*found, strict=True):
        torch.testing.assert_close(ours, trls, rtol=1e-3, atol=1e-6)
    assert found[0][1] > 0


# Batches


def row(group: str, text: int) -> dict[str, Any]:
    return {"group_id": group, "prompt_ids": [1, ord(group)], "completion_ids": [text]}


def told(texts) -> list[tuple[str, int]]:
    return [(chr(text.ids[1]), text.ids[2]) for text in texts]


def test_the_kl_is_told_by_texts_of_other_prompts_each_in_turn():
    assert told(mismatched([row("a", 1), row("b", 2), row("c", 3)])) == [("a", 3), ("b", 1), ("c", 2)]
    two = [row("a", 1), row("a", 2), row("b", 3), row("b", 4)]
    assert told(mismatched(two)) == [("a", 3), ("a", 4), ("b", 1), ("b", 2)]
    assert mismatched([row("a", 1), row("a", 2)]) == []


def test_a_batch_of_one_prompt_alone_has_no_kl(tmp_path):
    trainer = built(tmp_path, verdicts(1, texts=4), batch_size=4, epochs=1)
    trainer.take_reference()
    trainer.train_to_the_end()
    assert set(tiny.curve(tmp_path / "built", "kl").values()) == {0.0}


def test_texts_of_one_prompt_are_compared_in_couples():
    margins, groups = couples([3.0, 1.0, 2.0, 5.0], [True, False, False, True], ["a", "a", "a", "b"])
    assert margins == [2.0, 1.0]
    assert groups == ["a", "a"]


def test_a_split_that_is_evaluated_in_part_ends_in_a_whole_batch(tmp_path):
    inputs = {"model": tiny.write_model(tmp_path / "model"), "preferences": tiny.write_dataset(
        tmp_path / "data", tiny.preference_rows(6), tiny.preference_rows(45, first=6))}  # fmt: skip
    recipe = RECIPE | {"epochs": 1, "batch_size": 6, "eval_every": 1, "sample_tokens": 0}
    run_dir = tiny.make_run(tmp_path / "run", "kto", recipe, inputs)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert contract.read_manifest(run_dir)["metrics"]["held_out_texts"] == 90
