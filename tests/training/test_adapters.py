"""LoRA, prompt and prefix adapters: learned, published, stacked, merged, served; and refused where they can't serve."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.training import tiny
from tests.training.tiny_reward import ppo_inputs
from training import contract
from training.mechanics import models, scoring
from training.mechanics.generation import sampling
from training.mechanics.instructions.trained import add_virtual
from training.mechanics.scoring import Completion
from training.recipes import RECIPES
from training.recipes.lora import LoRA

IDS = [5, 9, 40, 41, 7, 90, 100, 3]
SFT = RECIPES["sft"].presets["tiny"] | {"epochs": 4, "max_length": 96, "eval_every": 20, "sample_tokens": 8}
VIRTUAL = {"virtual_tokens": 6, "learning_rate": 3e-2}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    torch.set_num_threads(1)
    return tiny.write_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def talks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("talks") / "rows"
    return tiny.write_dataset(folder, tiny.instruction_rows(32), tiny.instruction_rows(8, first=32))


def train(folder, base, talks, **changes):
    run_dir = tiny.make_run(folder, "sft", SFT | changes, {"model": base, "instructions": talks})
    assert tiny.finish(run_dir) == contract.EXIT_DONE, tiny.failure(run_dir)
    return run_dir


@pytest.fixture(scope="module", params=["prompt", "prefix"])
def virtual(request, base, talks, tmp_path_factory):
    """A run of prompt or prefix tuning."""
    return train(tmp_path_factory.mktemp(request.param) / "run", base, talks, adapter=request.param, **VIRTUAL)


def as_input(run_dir, base, *, between=()):
    return tiny.given(run_dir / contract.OUTPUT, "model", base=base.path, between=between)


# Virtual tokens


def test_virtual_tokens_learn_and_are_published_as_a_small_adapter(virtual, base):
    losses = tiny.curve(virtual, "eval_loss")
    assert losses[max(losses)] < losses[0] - 0.1
    files = contract.read_manifest(virtual)["files"]
    assert {"adapter_config.json", "adapter_model.safetensors"} <= files.keys() and "model.safetensors" not in files
    told = json.loads((virtual / contract.OUTPUT / "adapter_config.json").read_text())
    assert told["num_virtual_tokens"] == 6 and told["base_model_name_or_path"] is None


@pytest.mark.parametrize("kind", ["prompt", "prefix"])
def test_what_is_sampled_and_scored_with_virtual_tokens_is_what_peft_reads(kind, base):
    model = add_virtual(models.load_causal(base, dtype=torch.float32), IDS, kind=kind).eval()
    with torch.no_grad():
        model.prompt_encoder["default"].embedding.weight.add_(0.1)
        read = model(input_ids=torch.tensor([IDS]), attention_mask=torch.ones(1, len(IDS), dtype=torch.long)).logits
    expected = read[0, -len(IDS) :].log_softmax(-1)

    texts = [Completion(IDS[:3], IDS[3:]), Completion(IDS[:1], IDS[1:4]), Completion(IDS[:5], IDS[5:])]
    found = scoring.token_logprobs(model, texts, pad_token_id=0, batch_size=3)
    for text, logps_N in zip(texts, found, strict=True):
        start = len(text.prompt)
        own = [expected[place - 1, IDS[place]].item() for place in range(start, start + len(text.ids))]
        assert logps_N.tolist() == pytest.approx(own, abs=1e-4)
    # Sampled at three prompts of other lengths, two at a time: each token's probability is what scoring gives it.
    prompts = [IDS[:2], IDS[:7], IDS[:4]]
    answers = sampling.sample(
        model, tiny.tokenizer(), prompts, seeds=[1, 2, 3], temperatures=[1.0] * 3, top_p=1.0, max_new_tokens=9, batch_size=2
    )  # fmt: skip
    again = [Completion(prompt, answer.ids) for prompt, answer in zip(prompts, answers, strict=True)]
    for answer, logps_N in zip(
        answers, scoring.token_logprobs(model, again, pad_token_id=0, batch_size=3), strict=True
    ):
        assert answer.logprobs == pytest.approx(logps_N.tolist(), abs=1e-4)


def test_a_virtual_adapter_begins_as_the_words_it_was_begun_from(base):
    plain = models.load_causal(base, dtype=torch.float32).eval()
    with torch.no_grad():
        behind = plain(input_ids=torch.tensor([[*IDS, 11, 12, 13]])).logits[0, -3:]
        for kind in ("prompt", "prefix"):
            model = add_virtual(models.load_causal(base, dtype=torch.float32), IDS, kind=kind).eval()
            read = model(input_ids=torch.tensor([[11, 12, 13]])).logits[0, -3:]
            torch.testing.assert_close(read, behind, atol=1e-4, rtol=1e-4)


def test_virtual_tokens_answer_and_are_compared_with_their_base(virtual, base, tmp_path):
    tuned = as_input(virtual, base)
    prompts = tiny.write_dataset(
        tmp_path / "data", [{"id": str(i), "messages": [tiny.user(f"{i}?")]} for i in range(3)]
    )
    recipe = RECIPES["generate"].presets["tiny"] | {"max_new_tokens": 8}
    asked = tiny.make_run(tmp_path / "generate", "generate", recipe, {"model": tuned, "prompts": prompts})
    assert tiny.finish(asked) == contract.EXIT_DONE, tiny.failure(asked)
    recipe = RECIPES["evaluate"].presets["tiny"] | {"max_new_tokens": 8}
    sides = {"policy": tuned, "reference": base, "prompts": prompts}
    compared = tiny.make_run(tmp_path / "evaluate", "evaluate", recipe, sides)
    assert tiny.finish(compared) == contract.EXIT_DONE, tiny.failure(compared)
    assert contract.read_manifest(compared)["metrics"]["kl"] != 0


@pytest.mark.parametrize("method", ["dpo", "merge", "reward", "rloo", "sft"])
def test_nothing_is_trained_on_virtual_tokens_or_merged_with_them(method, virtual, base, talks, tmp_path):
    data = tiny.write_dataset(tmp_path / "pairs", tiny.preference_rows(4))
    more = {"sft": {"instructions": talks}, "rloo": ppo_inputs(tmp_path), "merge": {}}
    inputs = more.get(method, {"preferences": data}) | {"model": as_input(virtual, base)}
    run_dir = tiny.make_run(tmp_path / "run", method, RECIPES[method].presets["tiny"], inputs)
    assert tiny.finish(run_dir) == contract.EXIT_FAILED
    assert tiny.failure(run_dir)["code"] == "virtual_tokens"
    assert "before every text" in tiny.failure(run_dir)["sentence"] and tiny.failure(run_dir)["advice"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what it lacks where there is no GPU")
def test_qlora_says_what_it_lacks(base, talks, tmp_path):
    run_dir = tiny.make_run(tmp_path / "run", "sft", SFT | {"adapter": "qlora"}, {"model": base, "instructions": talks})
    assert tiny.finish(run_dir) == contract.EXIT_FAILED
    assert tiny.failure(run_dir)["code"] == "no_qlora" and "GPU" in tiny.failure(run_dir)["sentence"]


# Stacks


def trained_on(given, folder, *, seed):
    """An adapter on a model, of random weights as large as trained ones; what the two say."""
    torch.manual_seed(seed)
    model = models.add_lora(models.load_causal(given, dtype=torch.float32), LoRA(r=4, alpha=8), task="causal").eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.3)
        said = model(torch.tensor([IDS])).logits
    models.publish_model(model, tiny.tokenizer(), folder)
    below = (given.base, *given.between, given.path) if given.base else (given.path,)
    return tiny.given(folder, "model", base=below[0], between=tuple(below[1:])), said


@pytest.fixture(scope="module")
def stack(base, tmp_path_factory):
    """Two adapters on one base, and what all three say together."""
    folder = tmp_path_factory.mktemp("stack")
    first, said_first = trained_on(base, folder / "first", seed=1)
    second, said = trained_on(first, folder / "second", seed=2)
    assert not torch.allclose(said, said_first, atol=0.1)
    return second, said


def test_a_stack_of_adapters_says_what_it_said_when_it_was_trained(stack):
    given, said = stack
    with torch.no_grad():
        found = models.load_causal(given, dtype=torch.float32).eval()(torch.tensor([IDS])).logits
    torch.testing.assert_close(found, said, atol=1e-4, rtol=1e-4)


def test_a_merged_stack_says_the_same_to_a_ten_thousandth_of_a_logit(stack, tmp_path):
    given, said = stack
    run_dir = tiny.make_run(tmp_path / "run", "merge", {}, {"model": given})
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    anyone = AutoModelForCausalLM.from_pretrained(run_dir / contract.OUTPUT).eval()
    with torch.no_grad():
        torch.testing.assert_close(anyone(torch.tensor([IDS])).logits, said, atol=1e-5, rtol=1e-5)
    metrics = contract.read_manifest(run_dir)["metrics"]
    assert metrics["logits_apart"] < 1e-4 and metrics["num_adapters"] == 2


def test_an_adapter_is_trained_on_a_stack_and_a_reward_model_too(stack, base, talks, tmp_path):
    given, _ = stack
    run_dir = train(tmp_path / "third", given, talks, adapter="lora", epochs=1)
    third = tiny.given(run_dir / contract.OUTPUT, "model", base=given.base, between=given.folders[1:])
    assert len(third.folders) == 4
    models.load_causal(third, dtype=torch.float32)

    pairs = tiny.write_dataset(tmp_path / "pairs", tiny.preference_rows(4), tiny.preference_rows(2, first=4))
    recipe = RECIPES["reward"].presets["tiny"] | {"lora": {"r": 4}, "epochs": 1}
    scored = tiny.make_run(tmp_path / "reward", "reward", recipe, {"model": given, "preferences": pairs})
    assert tiny.finish(scored) == contract.EXIT_DONE
    reward = tiny.given(scored / contract.OUTPUT, "model", base=given.base, between=given.folders[1:])
    torch.manual_seed(0)  # of a head, were it not among the weights
    with torch.no_grad():
        scores = [models.load_reward(reward, dtype=torch.float32).eval()(torch.tensor([IDS])).logits for _ in range(2)]
    assert scores[0].item() == scores[1].item() != 0


def test_a_full_model_has_nothing_to_merge(base, tmp_path):
    run_dir = tiny.make_run(tmp_path / "run", "merge", {}, {"model": base})
    assert tiny.finish(run_dir) == contract.EXIT_FAILED
    assert tiny.failure(run_dir)["code"] == "not_an_adapter"
