"""Policy, reference and reward model as adapters of one trunk: each says what it says alone, and none disturbs another."""

from __future__ import annotations

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.training import tiny
from tests.training.tiny_reward import ppo_inputs, write_reward_model
from training import contract
from training.contract import Failure
from training.mechanics import adapters, models
from training.mechanics.online.judge import Judge, Said, reaches_of
from training.mechanics.online.shared_trunk import OnTrunk, can_share
from training.mechanics.ppo.model import Actor
from training.mechanics.scoring import Completion
from training.recipes import RECIPES
from training.recipes.lora import LoRA
from training.recipes.ppo import PpoRecipe

SMALL = LoRA(r=4, alpha=8)
RECIPE = PpoRecipe.preset("tiny", lora=SMALL)
TEXTS = ["ABc", "", "xyz XYZ", "ABc"]


def write_reward_adapter(folder, base):
    """Of random weights, as large as a trained adapter's."""
    torch.manual_seed(3)
    model = models.add_lora(models.load_reward(base, dtype=torch.float32), SMALL, task="reward")
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.2)
    models.publish_model(model, models.load_tokenizer(base), folder)
    models.write_reward_scale(folder, 0.0, 1.0)
    return tiny.given(folder, "model", base=base.path)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    torch.set_num_threads(1)
    return tiny.write_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def reward(base, tmp_path_factory):
    return write_reward_adapter(tmp_path_factory.mktemp("reward"), base)


@pytest.fixture
def context(tmp_path):
    return tiny.open_run(tiny.make_run(tmp_path / "run", "ppo", {}, {}))


def scores(judge, context):
    words = judge.tokenizer
    ids = [words(text, add_special_tokens=False)["input_ids"] + [words.eos_token_id] for text in TEXTS]
    said = [Said([tiny.user("Hm?")], text, reaches_of(words, i)) for text, i in zip(TEXTS, ids, strict=True)]
    return judge.score(context, said, batch_size=3)


def test_on_the_policys_trunk_a_reward_model_says_what_it_says_alone(base, reward, context):
    actor = Actor(base, RECIPE)
    beside = Judge.beside(actor, base, reward)
    assert beside.model.policy is actor.policy  # and no second copy of the weights
    found, alone = scores(beside, context), scores(Judge.load(reward, bf16=False), context)
    torch.testing.assert_close(found.final_B, alone.final_B, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.along_BA, alone.along_BA, atol=1e-5, rtol=1e-4)
    assert found.final_B.std() > 0.01


def test_policy_and_reference_notice_nothing_of_it(base, reward, context):
    actor = Actor(base, RECIPE)
    with torch.no_grad():
        for weight in actor.policy_weights().values():
            weight.add_(0.05)
    texts = actor.texts([Completion([5, 6, 7], [40, 41]), Completion([9], [50, 51, 52])])
    names, before = list(actor.policy_weights()), actor.read(texts).logprobs_BA
    reference = actor.reference_logprobs(texts)
    judge = Judge.beside(actor, base, reward)
    scores(judge, context)
    assert list(actor.policy_weights()) == names
    assert torch.equal(actor.read(texts).logprobs_BA, before)
    assert torch.equal(actor.reference_logprobs(texts), reference)


def test_a_trunk_is_shared_by_adapters_of_one_model_alone(base, reward, tmp_path):
    adapted = Actor(base, RECIPE)
    whole = Actor(base, PpoRecipe.preset("tiny"))
    other = tiny.write_model(tmp_path / "other", seed=1)
    assert can_share(adapted.policy, base, reward)
    assert not can_share(whole.policy, base, reward)
    assert not can_share(adapted.policy, other, reward)
    assert not can_share(adapted.policy, base, write_reward_model(tmp_path / "whole"))


def test_an_adapter_that_does_not_fit_is_refused(base, reward, tmp_path):
    broken = shutil.copytree(reward.path, tmp_path / "broken")
    weights = load_file(broken / adapters.ADAPTER)
    save_file(
        {name.replace("layers.1", "layers.7"): weight for name, weight in weights.items()}, broken / adapters.ADAPTER
    )
    with pytest.raises(Failure) as refused:
        OnTrunk(Actor(base, RECIPE).policy, tiny.given(broken, "model", base=base.path))
    assert refused.value.code == "bad_model"


@pytest.mark.parametrize("method", ["ppo", "rloo"])
def test_a_run_learns_on_one_trunk_and_publishes_its_own_adapter_alone(base, reward, tmp_path, method):
    changes = {"lora": SMALL.model_dump(), "episodes": 32, "batch_size": 16, "max_new_tokens": 6}
    recipe = RECIPES[method].presets["tiny"] | changes
    inputs = ppo_inputs(tmp_path) | {"model": base, "reward": reward}
    run_dir = tiny.make_run(tmp_path / "run", method, recipe, inputs)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    files = contract.read_manifest(run_dir)["files"]
    assert not [name for name in files if "reward" in name]
    trained = load_file(run_dir / contract.OUTPUT / adapters.ADAPTER)
    assert any(weight.abs().max() > 0 for name, weight in trained.items() if "lora_B" in name)
    models.load_causal(tiny.given(run_dir / contract.OUTPUT, "model", base=base.path), dtype=torch.float32)
