"""What is planted in labelled texts is learned, by masked and causal models, whole and by an adapter; what can't be is told."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForQuestionAnswering, AutoModelForTokenClassification

from tests.training import labelled, tiny
from training import contract
from training.mechanics import models
from training.mechanics.adapters import ADAPTER
from training.mechanics.tasks import heads
from training.mechanics.tasks.heads import TaskRule
from training.mechanics.tasks.reading import Reader
from training.mechanics.tasks.rows import Row
from training.methods.finetune import weights_of
from training.recipes import RECIPES
from training.recipes.lora import LoRA

pytestmark = pytest.mark.slow(seconds=1)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return labelled.write_bert(tmp_path_factory.mktemp("bert") / "model")


@pytest.fixture(scope="module")
def causal(tmp_path_factory):
    return tiny.write_model(tmp_path_factory.mktemp("causal") / "model")


def finetuned(folder: Path, model, train, test, **changes):
    recipe = RECIPES["finetune"].presets["tiny"] | {"eval_every": 500} | changes
    inputs = {"model": model, "labelled": tiny.write_dataset(folder / "data", train, test)}
    run_dir = tiny.make_run(folder / "run", "finetune", recipe, inputs)
    code = tiny.finish(run_dir)
    metrics = contract.read_manifest(run_dir)["metrics"] if code == contract.EXIT_DONE else {}
    return run_dir, metrics


def refused(folder: Path, model, train, **changes) -> str:
    run_dir, metrics = finetuned(folder, model, train, [], **changes)
    assert not metrics
    return tiny.failure(run_dir)["code"]


def test_an_order_of_words_is_learned_that_no_bag_of_words_can_tell(bert, tmp_path):
    run_dir, metrics = finetuned(tmp_path, bert, labelled.coloured(240), labelled.coloured(60, seed=1))
    assert metrics["eval_accuracy"] > 0.95
    assert metrics["words_accuracy"] < 0.75
    assert metrics["gain_over_words_low"] > 0.1
    assert metrics["eval_confusion"]["labels"] == ["blue first", "red first"]
    assert sum(map(sum, metrics["eval_confusion"]["counts"])) == metrics["held_out_rows"] == 60

    model, rule = heads.load_task_model(tiny.given(run_dir / "output", "model"), dtype=torch.float32, pad=0)
    assert rule.names == ("blue first", "red first") and model.config.id2label[1] == "red first"
    assert not list((run_dir / "output").glob("*.bin"))


def test_entities_are_learned_through_windows_that_overlap(bert, tmp_path):
    train, test = labelled.named(120, long=4), labelled.named(20, seed=1, long=30)
    changes = {"task": "entities", "epochs": 4, "max_length": 24, "stride": 8}
    _, metrics = finetuned(tmp_path, bert, train, test, **changes)
    assert metrics["eval_f1"] > 0.95
    assert metrics["eval_by_label"]["person"]["n"] + metrics["eval_by_label"]["place"]["n"] > 100


def test_answers_are_learned_and_where_there_is_none_none_is_given(bert, tmp_path):
    train, test = labelled.asked(160, long=4, none=0.3), labelled.asked(40, seed=1, long=16, none=0.3)
    _, metrics = finetuned(tmp_path, bert, train, test, task="answers", epochs=3, max_length=32, stride=8)
    assert metrics["eval_exact_match"] > 0.95


def test_a_causal_model_learns_by_an_adapter_that_holds_its_head(causal, tmp_path):
    changes = {"lora": {"r": 8}, "epochs": 5, "learning_rate": 1e-2, "max_length": 40}
    train, test = labelled.of_one_colour(120), labelled.of_one_colour(40, seed=1)
    run_dir, metrics = finetuned(tmp_path, causal, train, test, **changes)
    assert metrics["eval_accuracy"] > 0.9
    assert (
        metrics["num_trained"]
        == metrics["num_parameters"]
        < models.count_parameters(models.load_causal(causal, dtype=torch.float32))
    )
    output = run_dir / "output"
    assert (output / ADAPTER).is_file() and not (output / "model.safetensors").exists()

    given = tiny.given(output, "model", base=causal.path)
    torch.manual_seed(99)  # whatever is drawn for the head while loading must be laid over
    one, _ = heads.load_task_model(given, dtype=torch.float32, pad=0)
    other, _ = heads.load_task_model(given, dtype=torch.float32, pad=0)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_a_head_stands_on_the_weights_that_were_pretrained(causal, bert):
    """Loading `LlamaForQuestionAnswering` from a language model's folder draws all of them anew."""
    rule = TaskRule("answers", (), max_length=32)
    model, drawn = heads.fresh(causal, rule, dtype=torch.float32, pad=0)
    base = models.load_causal(causal, dtype=torch.float32)
    assert drawn == ["qa_outputs"]
    for name, weight in base.model.state_dict().items():
        assert torch.equal(model.transformer.state_dict()[name], weight), name
    naive = AutoModelForQuestionAnswering.from_pretrained(causal.path, dtype=torch.float32)
    assert not torch.equal(naive.transformer.embed_tokens.weight, base.model.embed_tokens.weight)

    _, drawn = heads.fresh(bert, TaskRule("classification", ("a", "b"), max_length=32), dtype=torch.float32, pad=0)
    assert drawn == ["bert.pooler.dense", "classifier"]


def test_dropout_is_set_wherever_the_class_knows_one(bert):
    rule = TaskRule("classification", ("a", "b"), max_length=32)
    for asked, found in ((0.25, 0.25), (None, 0.1)):
        model, _ = heads.fresh(bert, rule, dtype=torch.float32, pad=0, dropout=asked)
        assert {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)} == {found}


def test_a_head_on_a_model_that_is_an_adapter_stands_on_the_merged_weights(causal, tmp_path):
    adapted = models.add_lora(models.load_causal(causal, dtype=torch.float32), LoRA(r=2), task="causal")
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight += 0.1
    models.publish_model(adapted, models.load_tokenizer(causal), tmp_path / "adapter")
    given = tiny.given(tmp_path / "adapter", "model", base=causal.path)
    head, _ = heads.fresh(given, TaskRule("entities", ("O", "B-a", "I-a"), max_length=32), dtype=torch.float32, pad=0)
    merged, base = (models.load_causal(one, dtype=torch.float32).model for one in (given, causal))
    place = "layers.0.mlp.up_proj.weight"
    assert torch.equal(head.model.get_parameter(place), merged.get_parameter(place))
    assert not torch.equal(head.model.get_parameter(place), base.get_parameter(place))

    # What is trained on it is an adapter on both, which is read on both.
    changes = {"lora": {"r": 2}, "epochs": 1, "max_length": 40}
    run_dir, _ = finetuned(tmp_path, given, labelled.of_one_colour(16), labelled.of_one_colour(4), **changes)
    assert (run_dir / "output" / ADAPTER).is_file() and not (run_dir / "output/model.safetensors").exists()
    between: tuple[tuple[str, ...], ...] = ((given.path,), ())
    stacks = (tiny.given(run_dir / "output", "model", base=causal.path, between=some) for some in between)
    read, left = (heads.load_task_model(one, dtype=torch.float32, pad=0)[0] for one in stacks)
    assert read.config.id2label == {0: "blue", 1: "red"}
    difference = read.model.get_parameter(place) - left.model.get_parameter(place)
    assert torch.allclose(difference, merged.get_parameter(place) - base.get_parameter(place), atol=1e-6)


def test_a_task_model_opens_with_transformers_alone(bert, tmp_path):
    changes = {"task": "entities", "epochs": 1}
    run_dir, _ = finetuned(tmp_path, bert, labelled.named(16), labelled.named(4, seed=1), **changes)
    model = AutoModelForTokenClassification.from_pretrained(run_dir / "output")
    assert model.config.id2label[0] == "O" and "B-person" in model.config.label2id


def test_rare_labels_weigh_as_much_as_frequent_ones(bert):
    rows = [Row(str(i), "red", label="rare" if i == 0 else "usual") for i in range(4)]
    rule = TaskRule("classification", ("rare", "usual"), max_length=32)
    weights = weights_of(rows, rule)
    assert weights.tolist() == pytest.approx([4 / (2 * 1), 4 / (2 * 3)])

    reader = Reader.of(models.load_tokenizer(bert, ends=False), rule)
    scores = torch.tensor([[0.0, 1.0], [0.0, 1.0], [0.0, 2.0]])
    told = [math.log(1 + math.exp(x)) for x in (1.0, -1.0, -2.0)]
    loss = reader.loss(scores, torch.tensor([[0], [1], [1]]), weights_L=weights)
    assert loss.item() == pytest.approx((2 * told[0] + 2 / 3 * (told[1] + told[2])) / (2 + 2 / 3 + 2 / 3))


def test_what_can_not_be_learned_is_refused_with_a_code(bert, causal, tmp_path):
    one = [labelled.row(i, f"red {i}", label="same") for i in range(4)]
    assert refused(tmp_path / "a", bert, one) == "one_label"
    assert refused(tmp_path / "b", bert, one, task="entities") == "no_rows"
    assert refused(tmp_path / "c", bert, labelled.named(4), task="answers") == "no_rows"
    assert refused(tmp_path / "d", bert, labelled.coloured(8), max_length=512) == "too_long"
    asked = [row | {"question": "who ? " * 40} for row in labelled.asked(4)]
    assert refused(tmp_path / "e", bert, asked, task="answers") == "question_too_long"
    told = models.load_tokenizer(bert, ends=False)
    assert told.eos_token_id is None
