"""Models beside each other: equal ones are told as equal, what was forgotten is seen, each set is read by who can read it."""

from __future__ import annotations

import json

import pytest
import torch

from tests.training import labelled, tiny
from training import contract
from training.mechanics import models
from training.recipes import RECIPES
from training.recipes.lora import LoRA


def texts(count: int) -> list[dict[str, str]]:
    return [
        {"id": str(i), "text": f"The {i}th of them went to Rome. " * (1 + i % 4), "source": ""} for i in range(count)
    ]


def measured(folder, inputs, **changes):
    run_dir = tiny.make_run(folder, "measure", RECIPES["measure"].presets["tiny"] | changes, inputs)
    code = tiny.finish(run_dir)
    if code != contract.EXIT_DONE:
        return run_dir, tiny.failure(run_dir)["code"]
    return run_dir, {one["input"]: one for one in json.loads((run_dir / "output/report.json").read_text())["models"]}


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A model, the same with noise on its weights, a set of each kind, and a task model of one epoch."""
    folder = tmp_path_factory.mktemp("given")
    base = tiny.write_model(folder / "base", seed=3)
    torch.manual_seed(0)
    model = models.load_causal(base, dtype=torch.float32)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.05 * torch.randn_like(weight)
    models.publish_model(model, models.load_tokenizer(base), folder / "worse")
    adapted = models.add_lora(models.load_causal(base, dtype=torch.float32), LoRA(r=2), task="causal")
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            weight += 0.05 * ("lora_B" in name)
    models.publish_model(adapted, models.load_tokenizer(base), folder / "adapter")
    rows = labelled.of_one_colour(40)
    labels = tiny.write_dataset(folder / "labels", rows[:30], rows[30:])
    recipe = RECIPES["finetune"].presets["tiny"] | {"epochs": 1}
    task = tiny.make_run(folder / "task", "finetune", recipe, {"model": base, "labelled": labels})
    assert tiny.finish(task) == contract.EXIT_DONE
    return {
        "base": base,
        "worse": tiny.given(folder / "worse", "model"),
        "adapter": tiny.given(folder / "adapter", "model", base=base.path),
        "task": tiny.given(task / "output", "model"),
        "corpus": tiny.write_dataset(folder / "corpus", texts(4), texts(20)),
        "instructions": tiny.write_dataset(
            folder / "talks", tiny.instruction_rows(4), tiny.instruction_rows(8, first=9)
        ),
        "labelled": labels,
        "of_task": contract.read_manifest(task)["metrics"],
    }


def test_a_model_beside_itself_has_forgotten_nothing_and_a_spoiled_one_has(given, tmp_path):
    inputs = {"model": given["base"], "model_2": given["base"], "model_3": given["worse"], "corpus": given["corpus"]}
    inputs["model_4"] = given["adapter"]
    run_dir, found = measured(tmp_path / "run", inputs)
    same, worse = found["model_2"]["figures"], found["model_3"]["figures"]
    assert same["forgetting"] == same["forgetting_low"] == same["forgetting_high"] == 0
    assert 0 < worse["forgetting_low"] < worse["forgetting"] < worse["forgetting_high"]
    assert worse["forgetting"] == pytest.approx(
        worse["corpus_bits_per_byte"] - found["model"]["figures"]["corpus_bits_per_byte"]
    )
    adapter, whole = found["model_4"], found["model"]
    assert adapter["is_adapter"] and adapter["own_parameters"] < whole["own_parameters"] / 5
    assert adapter["figures"]["forgetting"] != 0 and adapter["parameters"] == whole["parameters"]
    assert set(tiny.curve(run_dir, "corpus_loss")) == {1, 2, 3, 4}
    assert contract.read_manifest(run_dir)["metrics"]["model_3_forgetting"] == worse["forgetting"]


def test_perplexity_is_that_of_the_plain_forward_pass(given, tmp_path):
    _, found = measured(tmp_path / "run", {"model": given["base"], "corpus": given["corpus"]}, max_length=512)
    words, model = models.load_tokenizer(given["base"]), models.load_causal(given["base"], dtype=torch.float32)
    nats = tokens = 0
    for row in texts(20):
        ids = torch.tensor(
            [[words.bos_token_id or words.eos_token_id, *words(row["text"])["input_ids"], words.eos_token_id]]
        )
        with torch.no_grad():
            nats += model(ids, labels=ids).loss.item() * (ids.shape[1] - 1)
        tokens += ids.shape[1] - 1
    assert found["model"]["figures"]["corpus_loss"] == pytest.approx(nats / tokens, rel=1e-4)


def test_each_set_is_read_by_who_can_read_it(given, tmp_path):
    inputs = {
        "model": given["base"],
        "model_2": given["task"],
        **{name: given[name] for name in ("instructions", "labelled")},
    }
    run_dir, found = measured(tmp_path / "run", inputs)
    writer, task = found["model"]["figures"], found["model_2"]["figures"]
    assert {"answers_loss", "bleu", "rouge_l", "exact_match", "ended"} <= writer.keys() and "accuracy" not in writer
    assert "bleu" not in task
    assert task["accuracy"] == given["of_task"]["eval_accuracy"]
    assert task["ece"] == pytest.approx(given["of_task"]["eval_ece"], abs=1e-4)
    assert found["model_2"]["is_task"] and found["model_2"]["own_parameters"] > 10_000

    again = tiny.same_run(run_dir, tmp_path / "again")
    (run_dir / "checkpoints").rename(again / "checkpoints")  # what was kept is not measured anew
    assert tiny.finish(again) == contract.EXIT_DONE
    assert (again / "output/report.json").read_text() == (run_dir / "output/report.json").read_text()


def test_what_can_not_be_measured_is_refused_with_a_code(given, tmp_path):
    bert = labelled.write_bert(tmp_path / "bert")
    assert measured(tmp_path / "a", {"model": bert, "corpus": given["corpus"]})[1] == "masked_model"
    assert measured(tmp_path / "b", {"model": given["task"], "corpus": given["corpus"]})[1] == "nothing_measured"
    questions = tiny.write_dataset(tmp_path / "q", labelled.asked(4))
    assert measured(tmp_path / "c", {"model": given["task"], "labelled": questions})[1] == "no_rows"
    assert RECIPES["measure"]().lacks({"model"}) and not RECIPES["measure"]().lacks({"model", "corpus"})
