"""What PPO reads of texts is what a naive reading says, the critic moves nobody, and lots are functions of the episode."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from tests.training import tiny
from tests.training.tiny_reward import ppo_inputs
from training.contract import Failure
from training.mechanics.online import policy
from training.mechanics.online import rollout as rollouts
from training.mechanics.online.policy import Texts
from training.mechanics.ppo import math as ppo_math
from training.mechanics.ppo.model import Actor
from training.mechanics.scoring import Completion
from training.mechanics.shared_prefix import Reader
from training.methods.ppo import Ppo
from training.recipes.ppo import PpoRecipe

CPU = torch.device("cpu")
COMPLETIONS = [
    Completion([5, 6, 7], [40, 41]),
    Completion([9], [50, 51, 52, 53]),
    Completion([11, 12, 13, 14, 15], [2]),
]
ALONE = Reader(0, shares=False)
TEXTS = Texts.of(COMPLETIONS, reader=ALONE, device=CPU)


@pytest.fixture(scope="module", params=[None, {"r": 4, "alpha": 8}], ids=["whole model", "adapter"])
def actor(request, tmp_path_factory) -> Actor:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    recipe = PpoRecipe.preset("tiny", lora=request.param, temperature=0.7)
    return Actor(tiny.write_model(tmp_path_factory.mktemp("model")), recipe)


def naive_logprobs(actor: Actor, completion: Completion) -> list[float]:
    logits = actor.policy(input_ids=torch.tensor([[*completion.prompt, *completion.ids]])).logits[0] / 0.7
    logprobs = logits.log_softmax(dim=-1)
    start = len(completion.prompt) - 1
    return [logprobs[start + i, token].item() for i, token in enumerate(completion.ids)]


def test_log_probabilities_are_those_of_each_text_alone_at_the_temperature_of_sampling(actor):
    read = actor.read(TEXTS).logprobs_BA
    for row, completion in enumerate(COMPLETIONS):
        count = len(completion.ids)
        assert read[row, :count].tolist() == pytest.approx(naive_logprobs(actor, completion), abs=1e-5)
        assert not read[row, count:].any()


def test_what_stands_behind_a_text_never_counts(actor):
    other = Texts.of(COMPLETIONS, reader=Reader(99, shares=False), device=CPU)
    assert torch.equal(actor.read(TEXTS).logprobs_BA, actor.read(other).logprobs_BA)


def test_an_untrained_policy_is_its_reference(actor):
    assert torch.equal(actor.read(TEXTS).logprobs_BA, actor.reference_logprobs(TEXTS))


def test_a_policy_that_moved_leaves_its_reference_behind(actor):
    before = actor.reference_logprobs(TEXTS)
    weights = actor.policy_weights()
    kept = {name: weight.detach().clone() for name, weight in weights.items()}
    with torch.no_grad():
        for weight in weights.values():
            weight.add_(0.05)
        moved = actor.read(TEXTS).logprobs_BA
        assert torch.equal(actor.reference_logprobs(TEXTS), before)
        assert (moved - before).abs().max() > 0.01
        for name, weight in weights.items():
            weight.copy_(kept[name])


def test_chunks_of_actions_change_neither_values_nor_gradients(actor, monkeypatch):
    found = []
    for chunk in (512, 2):
        monkeypatch.setattr(policy, "CHUNK", chunk)
        logprobs = actor.read(TEXTS).logprobs_BA
        gradients = torch.autograd.grad(logprobs.sum(), list(actor.policy_weights().values()))
        found.append((logprobs, gradients))
    (whole, whole_gradients), (parts, part_gradients) = found
    assert torch.allclose(whole, parts, atol=1e-6)
    for one, other in zip(whole_gradients, part_gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_values_begin_at_0_and_their_error_moves_the_critic_alone(actor):
    values = actor.read(TEXTS).values_BA
    assert not values.any()
    actor.policy.zero_grad()
    (values - 1.0).square().sum().backward()
    assert all(weight.grad is None or not weight.grad.any() for weight in actor.policy_weights().values())
    assert actor.critic.value.bias.grad.abs().sum() > 0


def test_nothing_of_the_policy_drops_out(tmp_path):
    recipe = PpoRecipe.preset("tiny", lora={"r": 4, "alpha": 8, "dropout": 0.5})
    actor = Actor(tiny.write_model(tmp_path / "model"), recipe)
    with torch.no_grad():
        for weight in actor.policy_weights().values():
            weight.add_(0.05)  # so that the adapter counts
        assert torch.equal(actor.read(TEXTS).logprobs_BA, actor.read(TEXTS).logprobs_BA)


def test_a_model_that_changes_its_logits_is_refused():
    config = SimpleNamespace(get_text_config=lambda: SimpleNamespace(final_logit_softcapping=30.0))
    with pytest.raises(Failure, match="final_logit_softcapping"):
        policy.refuse_changed_logits(SimpleNamespace(config=config))


def test_completions_of_a_prompt_are_read_with_it_once_and_come_to_what_they_come_to_alone(actor):
    prompt = list(range(5, 45))
    completions = [Completion(prompt, ids) for ids in ([40, 41, 2], [40, 42], [43])] + [Completion([9, 8], [50, 51])]
    together, alone = actor.texts(completions), Texts.of(completions, reader=ALONE, device=CPU)
    assert together.read["input_ids"].numel() == 40 + 3 + 2 + 1 + 2 + 2
    assert alone.read["input_ids"].numel() == 4 * 43
    assert torch.equal(together.mask_BA, alone.mask_BA)
    torch.testing.assert_close(actor.read(together).logprobs_BA, actor.read(alone).logprobs_BA, atol=1e-5, rtol=1e-4)


# Rollouts


def test_samples_of_a_prompt_stand_together_in_rollout_and_minibatch():
    recipe = PpoRecipe.preset("tiny", batch_size=32, minibatch_size=8, samples_per_prompt=4)
    prompts = [rollouts.Prompt([tiny.user(str(i))], [i]) for i in range(5)]
    asked = rollouts.prompts_of(prompts, range(32, 64), seed=3, samples=4)
    assert [prompt.ids for prompt in asked[::4]] == [prompt.ids for prompt in asked[3::4]]
    for batch in rollouts.minibatches(recipe, samples=4, seed=0, number=1, epoch=0):
        assert {len([row for row in batch if row // 4 == prompt]) for prompt in {row // 4 for row in batch}} == {4}


def test_samples_that_do_not_divide_a_minibatch_are_refused():
    with pytest.raises(ValueError, match="samples_per_prompt must divide minibatch_size"):
        PpoRecipe.preset("tiny", samples_per_prompt=3)


def test_a_pass_holds_every_completion_once_and_each_pass_is_in_an_order_of_its_own():
    recipe = PpoRecipe.preset("tiny")
    orders = [
        rollouts.minibatches(recipe, samples=recipe.samples_per_prompt, seed=0, number=n, epoch=e)
        for n in (0, 1)
        for e in (0, 1)
    ]
    for order in orders:
        assert sorted(row for batch in order for row in batch) == list(range(recipe.batch_size))
        assert {len(batch) for batch in order} == {recipe.minibatch_size}
    assert len({str(order) for order in orders}) == 4
    assert orders[3] == rollouts.minibatches(recipe, samples=1, seed=0, number=1, epoch=1)


def test_every_prompt_is_asked_once_before_any_is_asked_again():
    prompts = [rollouts.Prompt([tiny.user(str(i))], [i]) for i in range(5)]
    asked = rollouts.prompts_of(prompts, range(15), seed=3)
    for start in (0, 5, 10):
        assert sorted(prompt.ids[0] for prompt in asked[start : start + 5]) == [0, 1, 2, 3, 4]
    assert rollouts.prompts_of(prompts, range(7, 12), seed=3) == asked[7:12]


@pytest.fixture
def collected(tmp_path):
    recipe = PpoRecipe.preset("tiny", batch_size=16, minibatch_size=4, max_new_tokens=8, kl_coefficient=0.1)
    run_dir = tiny.make_run(tmp_path / "run", "ppo", recipe.model_dump(mode="json"), ppo_inputs(tmp_path))
    loop = Ppo(tiny.open_run(run_dir), recipe)
    return loop, loop.rollout()


def test_raw_scores_are_the_reward_models_own(collected):
    _, rollout = collected
    shares = [sum("A" <= letter <= "Z" for letter in text) for text in rollout.texts]
    order = sorted(range(len(shares)), key=lambda i: shares[i])
    # Lengths are nearly equal, so the most capitals are the largest share, and none at all scores 0.
    assert rollout.raw_B[order[-1]] > rollout.raw_B[order[0]]
    assert all((raw > 1e-6) == (share > 0) for raw, share in zip(rollout.raw_B.tolist(), shares, strict=True))


def test_scores_of_the_first_rollout_have_mean_0_and_deviation_1(collected):
    loop, rollout = collected
    bare = rollout.scores_B + loop.recipe.missing_eos_penalty * (~rollout.ended_B).float()
    assert bare.mean().item() == pytest.approx(0, abs=1e-5)
    assert bare.std(correction=0).item() == pytest.approx(1, abs=1e-4)


def test_advantages_are_white_over_the_whole_rollout(collected):
    _, rollout = collected
    advantages = rollout.advantages_BA[rollout.mask_BA]
    assert advantages.mean().item() == pytest.approx(0, abs=1e-5)
    assert advantages.std(correction=0).item() == pytest.approx(1, abs=1e-3)


def test_values_begin_at_what_the_reward_model_thought_of_what_had_been_said(collected):
    _, rollout = collected
    assert torch.equal(rollout.values_BA, rollout.prior_BA)
    # A share of capitals so far foretells the share in the end.
    assert ppo_math.explained_variance(rollout.prior_BA, rollout.targets_BA, rollout.mask_BA) > 0.3
    assert not rollout.prior_BA[~rollout.mask_BA].any()


def test_log_probabilities_of_another_policy_end_the_run(collected):
    loop, rollout = collected
    with pytest.raises(Failure) as refused:
        loop.pass_over(replace(rollout, old_BA=rollout.old_BA - 0.01))
    assert refused.value.code == "first_ratio"


def test_gradients_of_policy_and_critic_are_clipped_to_the_norm(collected):
    loop, rollout = collected
    loop.recipe = loop.recipe.model_copy(update={"max_grad_norm": 1e-3, "epochs": 1})
    loop.pass_over(rollout)
    assert loop.state.passes.means()["grad_norm"] > 1e-2  # before clipping
    for weights in (loop.actor.policy_weights(), loop.actor.critic_weights()):
        norm = torch.stack([weight.grad.norm() for weight in weights.values() if weight.grad is not None]).norm()
        assert norm.item() == pytest.approx(1e-3, rel=1e-2)
