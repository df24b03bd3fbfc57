"""Supervised fine-tuning: only the assistant's words are learned, packs keep their examples apart, and a run says so."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.trainer.utils import add_fused_lm_head

from tests.training import tiny
from training import contract
from training.contract import Failure
from training.mechanics.instructions.packs import RowCollator, as_dataset, pack, with_round_length
from training.mechanics.instructions.talks import Example, encode, encode_all
from training.mechanics.shared_prefix import Reader
from training.mechanics.trainers.head import add_compact_head
from training.mechanics.trainers.samples import Show
from training.methods import sft
from training.recipes.sft import SftRecipe

pytestmark = pytest.mark.slow(seconds=1)

# After 12 epochs 92 to 96 % of 200 samples end (three seeds), however packs attend; after 16, at least 99 %.
RECIPE = SftRecipe.presets["tiny"] | {"epochs": 16, "eval_every": 20, "max_length": 96}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run on 64 conversations, 12 of them held out."""
    folder = tmp_path_factory.mktemp("sft")
    inputs = {
        "model": tiny.write_model(folder / "model"),
        "instructions": tiny.write_dataset(
            folder / "data", tiny.instruction_rows(64), tiny.instruction_rows(12, first=64)
        ),
    }
    run_dir = tiny.make_run(folder / "run", "sft", RECIPE, inputs)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    return run_dir


# What is learned


def test_only_the_assistants_words_and_the_end_of_her_turns_are_labels():
    words = tiny.tokenizer()
    talk = [tiny.user("ab?"), tiny.assistant("aa"), tiny.user("More."), tiny.assistant("bb")]
    example = encode(words, talk)

    learned = [token for token in example.labels if token != -100]
    assert words.decode(learned) == "aa<|im_end|>bb<|im_end|>"
    assert example.num_bytes == 4
    assert words.decode(example.input_ids) == words.apply_chat_template(talk, tokenize=False)


def test_of_completions_the_last_turn_alone_is_learned():
    words = tiny.tokenizer()
    talk = [tiny.user("ab?"), tiny.assistant("aa"), tiny.user("More."), tiny.assistant("bb"), tiny.user("Thanks")]
    example = encode(words, talk, loss_on="completion")

    assert words.decode([token for token in example.labels if token != -100]) == "bb<|im_end|>"
    assert example.num_bytes == 2 and example.ends
    assert example.input_ids == encode(words, talk).input_ids


def test_no_gradient_comes_from_a_token_of_the_prompts(tmp_path):
    """Of each position's logits, taken where the vocabulary is projected: of those that foresee a prompt, nothing."""
    words, model = tiny.tokenizer(), read(tiny.write_model(tmp_path / "model"))
    examples = [encode(words, row["messages"]) for row in tiny.instruction_rows(7)]
    states = []

    def keep(module, given, found):
        found.retain_grad()
        states.append(found)

    model.model.norm.register_forward_hook(keep)
    for rows in (pack(examples, max_length=128), as_dataset(examples)):
        batch = RowCollator(words.pad_token_id)(list(rows))
        del batch["part"]
        (-model(**batch, fused_lm_head=True).log_probs.sum()).backward()
        is_foreseen = batch["labels"][:, 1:] != -100
        moved = states.pop().grad.abs().sum(dim=-1)
        assert (moved[:, :-1][~is_foreseen] == 0).all() and (moved[:, -1] == 0).all()
        assert (moved[:, :-1][is_foreseen] > 0).all()


def test_what_is_too_long_may_lose_whole_turns_and_never_a_part_of_one(tmp_path):
    words, context = tiny.tokenizer(), tiny.open_run(tiny.make_run(tmp_path / "run", "sft", RECIPE, {}))
    talk = [tiny.user("a?"), tiny.assistant("aa"), tiny.user("More."), tiny.assistant("b" * 60)]
    short = encode(words, talk[:2])
    told = {"context": context, "split": "train"}

    [cut] = encode_all(words, [talk], max_length=60, too_long="cut_turns", **told)
    assert cut == short
    with pytest.raises(Failure, match="longer than 60 tokens"):
        encode_all(words, [talk], max_length=60, **told)
    with pytest.raises(Failure, match="longer than 20 tokens"):
        encode_all(words, [talk], max_length=20, too_long="cut_turns", **told)
    assert "1 conversations (train) were cut" in tiny.events(context.dir, "log")[0]["text"]


def test_the_loss_is_the_mean_over_the_assistants_tokens_alone(tmp_path):
    words, model = tiny.tokenizer(), read(tiny.write_model(tmp_path / "model"))
    examples = [encode(words, row["messages"]) for row in tiny.instruction_rows(5)]
    batch = collate(examples)
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    log_probs = logits[:, :-1].float().log_softmax(-1).gather(-1, batch["input_ids"][:, 1:, None]).squeeze(-1)
    spoken = batch["labels"][:, 1:] != -100

    assert nll(model, batch) == pytest.approx(-log_probs[spoken].sum().item(), rel=1e-5)


def test_an_example_loses_the_same_in_a_pack_as_alone(tmp_path):
    words, model = tiny.tokenizer(), read(tiny.write_model(tmp_path / "model"))
    examples = [encode(words, row["messages"]) for row in tiny.instruction_rows(7)]
    packed = pack(examples, max_length=128)
    assert len(packed) < len(examples)

    alone = nll(model, collate(examples))
    together = nll(model, RowCollator(words.pad_token_id)(list(packed)))
    assert together == pytest.approx(alone, rel=1e-5)
    assert Reader.of(model, pad_token_id=words.pad_token_id).shares
    in_one_row = RowCollator(words.pad_token_id, joins=True)(list(packed))
    assert in_one_row["input_ids"].shape == (1, sum(len(example.input_ids) for example in examples))
    assert nll(model, in_one_row) == pytest.approx(alone, rel=1e-5)
    filled_up = with_round_length(in_one_row, pad_token_id=words.pad_token_id)
    assert filled_up["input_ids"].shape[1] % 64 == 0 != in_one_row["input_ids"].shape[1] % 64
    assert nll(model, filled_up) == pytest.approx(alone, rel=1e-5)


def test_packed_training_steps_as_often_as_unpacked(tmp_path):
    given = {"model": tiny.write_model(tmp_path / "model"),
             "instructions": tiny.write_dataset(tmp_path / "data", tiny.instruction_rows(64))}  # fmt: skip
    steps = {}
    for packing in (True, False):
        recipe = RECIPE | {"packing": packing, "batch_size": 16, "epochs": 2, "sample_tokens": 0}
        context = tiny.open_run(tiny.make_run(tmp_path / f"{packing}", "sft", recipe, given))
        words = tiny.tokenizer()
        examples = [encode(words, row["messages"]) for row in tiny.instruction_rows(64)]
        source = sft.Source("talks", examples, [], [])
        trainer = sft.build(context, context.recipe, sources=[source], tokenizer=words, show=Show([], [], 0))
        trainer.train_to_the_end()
        steps[packing] = trainer.state.max_steps
    assert steps[False] == 8
    assert abs(steps[True] - steps[False]) <= 2


# A run


def test_a_run_learns_and_publishes_a_model_that_answers_and_stops(trained):
    model = AutoModelForCausalLM.from_pretrained(trained / contract.OUTPUT)
    words = AutoTokenizer.from_pretrained(trained / contract.OUTPUT)
    asked = words.apply_chat_template(
        [tiny.user("c2?")], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    answer = model.generate(**asked, max_new_tokens=12, do_sample=False)[0, asked["input_ids"].shape[1] :]

    assert answer[-1] == words.eos_token_id
    metrics = contract.read_manifest(trained)["metrics"]
    assert metrics["train_rows"] == 64 and metrics["held_out_rows"] == 12
    losses = tiny.curve(trained, "eval_loss")
    assert metrics["eval_loss"] == losses[max(losses)] < 0.7 * losses[0]
    assert metrics["completion_loss_change"] < -0.3
    assert metrics["ended_rate"] >= 0.95


def test_held_out_numbers_come_before_training_at_every_interval_and_at_the_end(trained):
    steps = sorted(tiny.curve(trained, "eval_bits_per_byte"))
    total = max(tiny.curve(trained, "loss"))
    assert steps == [0, *range(20, total, 20), total]


def test_progress_curves_and_samples_flow_while_it_learns(trained):
    steps = [p["step"] for p in tiny.events(trained, "progress") if p["phase"] == "training"]
    assert steps == list(range(len(steps))) and len(steps) > 20
    assert set(tiny.curve(trained, "loss")) == set(steps) - {0}
    samples = tiny.events(trained, "sample")
    assert {s["step"] for s in samples} == set(tiny.curve(trained, "eval_loss"))
    assert {s["prompt"] for s in samples} <= {
        m["content"] for row in tiny.instruction_rows(12, first=64) for m in row["messages"]
    }
    assert all("<|im_end|>" not in s["text"] for s in samples)


def test_a_finished_run_does_nothing_when_run_again(trained):
    before = (trained / contract.EVENTS).read_bytes()
    assert tiny.finish(trained) == contract.EXIT_DONE
    assert (trained / contract.EVENTS).read_bytes() == before


def test_lora_publishes_an_adapter_and_its_trained_weights_stay_in_float32(tmp_path):
    inputs = {
        "model": tiny.write_model(tmp_path / "model"),
        "instructions": tiny.write_dataset(
            tmp_path / "data", tiny.instruction_rows(32), tiny.instruction_rows(8, first=32)
        ),
    }
    recipe = RECIPE | {"lora": {"r": 8}, "bf16": True, "learning_rate": 1e-2, "epochs": 4, "sample_tokens": 0}
    run_dir = tiny.make_run(tmp_path / "run", "sft", recipe, inputs)

    assert tiny.finish(run_dir) == contract.EXIT_DONE
    output = run_dir / contract.OUTPUT
    assert (output / "adapter_config.json").exists() and not (output / "model.safetensors").exists()
    adapter = load_file(output / "adapter_model.safetensors")
    assert {weight.dtype for weight in adapter.values()} == {torch.float32}
    losses = tiny.curve(run_dir, "eval_loss")
    assert losses[max(losses)] < losses[0] - 0.1  # little: the embeddings of this model are random, and frozen


# Refusals


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([], "no_rows"),
        ([{"id": "1", "messages": [tiny.user("Hello?")]}], "no_trained_token"),
        ([{"id": "1", "messages": [tiny.user("Hello?"), tiny.assistant("a" * 200)]}], "no_rows"),
    ],
    ids=["no row", "no word of the assistant", "all too long"],
)
def test_nothing_to_learn_is_one_clear_failure(tmp_path, rows, code):
    inputs = {
        "model": tiny.write_model(tmp_path / "model"),
        "instructions": tiny.write_dataset(tmp_path / "data", rows, tiny.instruction_rows(2)),
    }
    run_dir = tiny.make_run(tmp_path / "run", "sft", RECIPE, inputs)

    assert tiny.finish(run_dir) == contract.EXIT_FAILED
    assert tiny.failure(run_dir)["code"] == code
    assert tiny.failure(run_dir)["advice"]


def test_without_held_out_rows_a_run_trains_warns_and_still_shows_samples(tmp_path):
    inputs = {
        "model": tiny.write_model(tmp_path / "model"),
        "instructions": tiny.write_dataset(tmp_path / "data", tiny.instruction_rows(16)),
    }
    run_dir = tiny.make_run(tmp_path / "run", "sft", RECIPE | {"epochs": 1, "eval_every": 1}, inputs)

    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert "no_held_out" in {w["code"] for w in tiny.events(run_dir, "warning")}
    assert tiny.events(run_dir, "sample")
    assert "eval_loss" not in contract.read_manifest(run_dir)["metrics"]


def test_what_is_left_out_is_counted(tmp_path):
    rows = [*tiny.instruction_rows(15), {"id": "x", "messages": [tiny.user("a?"), tiny.assistant("a" * 200)]}]
    inputs = {
        "model": tiny.write_model(tmp_path / "model"),
        "instructions": tiny.write_dataset(tmp_path / "data", rows, rows[-1:]),
    }
    run_dir = tiny.make_run(tmp_path / "run", "sft", RECIPE | {"epochs": 1}, inputs)

    assert tiny.finish(run_dir) == contract.EXIT_DONE
    said = [w["sentence"] for w in tiny.events(run_dir, "warning") if w["code"] == "left_out_long"]
    assert said[0].startswith("1 of 16 conversations (train)")
    assert said[1].startswith("1 of 1 conversations (test)")


def read(given: contract.Input) -> nn.Module:
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(given.path).eval()
    add_fused_lm_head(model, outputs=("log_probs", "entropy", "is_top1"))
    add_compact_head(model, statistics=True)
    return model


def collate(examples: list[Example]) -> dict[str, torch.Tensor]:
    return RowCollator(tiny.tokenizer().pad_token_id)(list(as_dataset(examples)))


@torch.no_grad()
def nll(model: nn.Module, batch: dict[str, torch.Tensor]) -> float:
    batch = {name: values for name, values in batch.items() if name != "part"}
    return -model(**batch, fused_lm_head=True).log_probs.sum().item()
