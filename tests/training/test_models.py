"""Models come from safetensors alone, adapters stand for their merged models, and what is published is complete."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.training import tiny
from training.contract import Failure
from training.mechanics import models
from training.recipes.lora import LoRA

IDS = torch.arange(5, 25)[None]


@pytest.fixture
def given(tmp_path):
    return tiny.write_model(tmp_path / "model")


def trained_adapter(given, *, task="causal"):
    """A model with an adapter that changes what it says."""
    load = models.load_causal if task == "causal" else models.load_reward
    model = models.add_lora(load(given, dtype=torch.float32), LoRA(r=4), task=task)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.2, generator=torch.Generator().manual_seed(0))
    return model.eval()


def test_an_adapter_is_on_all_linear_layers_and_starts_as_the_model_itself(given):
    plain = models.load_causal(given, dtype=torch.float32).eval()
    model = models.add_lora(models.load_causal(given, dtype=torch.float32), LoRA(r=4), task="causal").eval()
    with torch.no_grad():
        torch.testing.assert_close(model(IDS).logits, plain(IDS).logits)
    trained = {name.split(".")[-4] for name, weight in model.named_parameters() if weight.requires_grad}
    assert trained == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def test_an_adapter_that_was_published_is_loaded_merged_into_its_base(given, tmp_path):
    model = trained_adapter(given)
    with torch.no_grad():
        said = model(IDS).logits
    models.publish_model(model, tiny.tokenizer(), tmp_path / "adapter")
    adapter = tiny.given(tmp_path / "adapter", "model", base=given.path)
    loaded = models.load_causal(adapter, dtype=torch.float32).eval()
    with torch.no_grad():
        torch.testing.assert_close(loaded(IDS).logits, said, atol=1e-5, rtol=1e-5)
        assert not torch.allclose(models.load_causal(given, dtype=torch.float32)(IDS).logits, said, atol=1e-2)


def test_an_adapters_folder_holds_its_weights_and_words_and_no_path_of_this_machine(given, tmp_path):
    models.publish_model(trained_adapter(given), tiny.tokenizer(), tmp_path / "adapter")
    names = {path.name for path in (tmp_path / "adapter").iterdir()}
    assert names == {
        "adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "tokenizer_config.json",
        "chat_template.jinja",
    }  # fmt: skip
    config = (tmp_path / "adapter/adapter_config.json").read_text()
    assert str(tmp_path) not in config and json.loads(config)["r"] == 4


def test_whoever_takes_a_published_model_elsewhere_stops_where_we_stop(given, tmp_path):
    models.publish_model(models.load_causal(given, dtype=torch.float32), tiny.tokenizer(), tmp_path / "whole")
    anyone, words = (auto.from_pretrained(tmp_path / "whole") for auto in (AutoModelForCausalLM, AutoTokenizer))
    assert anyone.generation_config.eos_token_id == words.eos_token_id
    assert anyone.generation_config.pad_token_id == words.pad_token_id


def test_a_reward_models_head_belongs_to_its_adapter(given, tmp_path):
    torch.manual_seed(0)
    model = trained_adapter(given, task="reward")
    with torch.no_grad():
        said = model(IDS, attention_mask=torch.ones_like(IDS)).logits
    models.publish_model(model, tiny.tokenizer(), tmp_path / "adapter")
    torch.manual_seed(1)  # a fresh head would be another one
    loaded = models.load_reward(tiny.given(tmp_path / "adapter", "model", base=given.path), dtype=torch.float32).eval()
    with torch.no_grad():
        torch.testing.assert_close(loaded(IDS, attention_mask=torch.ones_like(IDS)).logits, said, atol=1e-5, rtol=1e-5)


def test_the_scale_of_rewards_comes_back(tmp_path, given):
    models.write_reward_scale(tmp_path / "model", 1.5, 3.0)
    scale = models.read_reward_scale(given)
    assert scale.normalise(7.5) == 2.0


@pytest.mark.parametrize(
    ("spoil", "read", "code"),
    [
        (lambda f: (f / "tokenizer.json").unlink(), models.load_tokenizer, "no_tokenizer"),
        (lambda f: (f / "tokenizer.json").write_text("[]"), models.load_tokenizer, "no_tokenizer"),
        (lambda f: None, models.read_reward_scale, "no_reward_scale"),
        (lambda f: (f / "reward.json").write_text('{"mean": 1}'), models.read_reward_scale, "no_reward_scale"),
        (lambda f: torch.save({}, f / "pytorch_model.bin") or (f / "model.safetensors").unlink(),
         lambda given: models.load_causal(given, dtype=torch.float32), "bad_model"),
        (lambda f: (f / "model.safetensors").write_bytes(b"broken"),
         lambda given: models.load_causal(given, dtype=torch.float32), "bad_model"),
    ],
    ids=["no tokenizer", "broken tokenizer", "no scale", "half a scale", "pickle only", "broken weights"],
)  # fmt: skip
def test_what_cannot_be_read_is_one_clear_failure(tmp_path, given, spoil, read, code):
    spoil(tmp_path / "model")
    with pytest.raises(Failure) as refused:
        read(given)
    assert refused.value.code == code and "\n" not in refused.value.sentence


def test_an_adapter_of_pickled_weights_is_not_loaded(given, tmp_path):
    models.publish_model(trained_adapter(given), tiny.tokenizer(), tmp_path / "adapter")
    (tmp_path / "adapter/adapter_model.safetensors").rename(tmp_path / "adapter/adapter_model.bin")
    with pytest.raises(Failure) as refused:
        models.load_causal(tiny.given(tmp_path / "adapter", "model", base=given.path), dtype=torch.float32)
    assert refused.value.code == "no_adapter"


def test_a_folder_with_a_pickle_in_it_is_not_published(given, tmp_path):
    (tmp_path / "output").mkdir()
    (tmp_path / "output/training_args.bin").write_bytes(b"")
    with pytest.raises(Failure) as refused:
        models.publish_model(models.load_causal(given, dtype=torch.float32), tiny.tokenizer(), tmp_path / "output")
    assert refused.value.code == "pickle"
