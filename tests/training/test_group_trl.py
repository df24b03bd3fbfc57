"""Losses and advantages equal TRL's, number for number: its real trainers take real steps, and we compute what they did."""

from __future__ import annotations

import pytest
import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer
from trl.experimental.online_dpo import OnlineDPOConfig, OnlineDPOTrainer

from tests.training import tiny
from training.mechanics import models
from training.mechanics.groups import math as group

torch.set_num_threads(1)
K = 4
LENGTH = 6


def by_lot(completions, **_):
    """Rewards of no meaning, some of them missing, all of one prompt's equal, and one prompt's all missing but one."""
    lot = torch.Generator().manual_seed(7)
    rewards = torch.randn(len(completions), generator=lot).tolist()
    rewards[1] = None
    rewards[K : 2 * K] = [0.5] * K
    rewards[2 * K : 2 * K + 3] = [None] * 3
    return rewards


def recording(trainer_class):
    class Recording(trainer_class):
        """Keeps what the last step was given."""

        seen: dict = {}  # noqa: RUF012

        def _calculate_rewards(self, *args):
            found = super()._calculate_rewards(*args)
            self.seen["rewards"] = found[:, 0].clone()
            return found

        def _generate_and_score_completions(self, inputs):
            self.seen["read"] = []
            return super()._generate_and_score_completions(inputs)

        def _get_per_token_logps_and_entropies(self, *args, **more):
            found = super()._get_per_token_logps_and_entropies(*args, **more)
            self.seen["logps"] = found[0].detach()
            self.seen["read"].append(found[0].detach())  # of a rollout: what the policy says, then the reference
            return found

        def _compute_loss(self, model, inputs):
            self.seen["inputs"] = inputs
            return super()._compute_loss(model, inputs)

    return Recording


def step(folder, trainer_class, config_class, *, steps=2, **told):
    """Rollouts of 4 prompts by TRL itself, two passes over each: at the second, the policy has moved."""
    model = tiny.write_model(folder / "model")
    config = config_class(
        output_dir=str(folder / "out"), per_device_train_batch_size=4 * K, num_generations=K, num_iterations=2,
        max_completion_length=LENGTH, max_steps=steps, learning_rate=3e-3, lr_scheduler_type="constant", use_cpu=True,
        bf16=False, report_to=[], save_strategy="no", logging_steps=1, disable_tqdm=True, gradient_checkpointing=False,
        model_init_kwargs={"dtype": "float32"}, **told,
    )  # fmt: skip
    prompts = Dataset.from_list([{"prompt": [tiny.user(f"{letter}?")]} for letter in "abcd"])
    trainer = recording(trainer_class)(
        model=model.path, args=config, train_dataset=prompts, reward_funcs=by_lot, processing_class=tiny.tokenizer()
    )
    trainer.seen = {}
    trainer.train()
    cut(trainer.seen["inputs"])
    return trainer


def cut(inputs):
    """Completions of different lengths, which a model that has learned nothing does not write."""
    lengths = 1 + torch.arange(4 * K) % LENGTH
    inputs["completion_mask"] = (torch.arange(LENGTH) < lengths.unsqueeze(1)).long()
    if "num_items_in_batch" in inputs:
        inputs["num_items_in_batch"] = inputs["completion_mask"].sum()


def part_of(trainer, *, old_BA):
    """What our loss reads, of the inputs of TRL's last step; every completion counts, as for TRL."""
    inputs = trainer.seen["inputs"]
    mask_BA = inputs["completion_mask"].bool()
    reference_BA = inputs.get("ref_per_token_logps", torch.zeros_like(old_BA))
    return group.Part(
        new_BA=trainer.seen["logps"], old_BA=old_BA, reference_BA=reference_BA, mask_BA=mask_BA,
        signals_B=inputs["advantages"], counts_B=torch.ones(len(old_BA), dtype=torch.bool),
        tokens=mask_BA.sum().item(),
    )  # fmt: skip


@pytest.fixture(scope="module")
def grpo(tmp_path_factory):
    return step(tmp_path_factory.mktemp("grpo"), GRPOTrainer, GRPOConfig, beta=0.04, epsilon=0.1, epsilon_high=0.15)


@pytest.fixture(scope="module")
def rloo(tmp_path_factory):
    return step(tmp_path_factory.mktemp("rloo"), RLOOTrainer, RLOOConfig, beta=0.5, epsilon=0.1, steps=4)


def assert_same_advantages(ours_B, trainer):
    """TRL shuffles a rollout before its passes: the same numbers, in another order."""
    theirs_B = trainer.seen["inputs"]["advantages"]
    torch.testing.assert_close(ours_B.sort().values, theirs_B.sort().values, rtol=1e-5, atol=1e-5)


def test_grpos_advantages_are_trls(grpo):
    scores_B = grpo.seen["rewards"]
    assert scores_B.isnan().any() and (grpo.seen["inputs"]["advantages"] != 0).sum() >= K
    assert_same_advantages(group.group_advantages(scores_B, k=K, scale="group"), grpo)


@pytest.mark.parametrize("scale", ["batch", "none"])
def test_grpos_other_scales_are_trls(tmp_path, scale):
    trainer = step(tmp_path, GRPOTrainer, GRPOConfig, scale_rewards=scale)
    assert_same_advantages(group.group_advantages(trainer.seen["rewards"], k=K, scale=scale), trainer)


@pytest.mark.parametrize("ratio", ["token", "sequence"])
@pytest.mark.parametrize("weighing", ["grpo", "dapo", "dr_grpo", "bnpo"])
def test_grpos_losses_are_trls(grpo, weighing, ratio):
    grpo.loss_type, grpo.importance_sampling_level = weighing, ratio
    with torch.no_grad():
        theirs = grpo._compute_loss(grpo.model, grpo.seen["inputs"])
    part = part_of(grpo, old_BA=grpo.seen["inputs"]["old_per_token_logps"])
    ours = group.group_loss(
        part, ratio=ratio, clip_low=0.1, clip_high=0.15, kl_price=0.04, weighing=weighing, max_tokens=LENGTH
    )
    assert (part.new_BA - part.old_BA).abs().max() > 0.05  # the policy has moved, so that the ratio matters
    assert ours.loss.item() == pytest.approx(theirs.item(), rel=1e-5)


@pytest.mark.parametrize("normalise", [False, True])
def test_rloos_advantages_are_trls_its_price_of_kl_included(rloo, tmp_path, normalise):
    trainer = (
        rloo if not normalise else step(tmp_path, RLOOTrainer, RLOOConfig, beta=0.5, steps=4, normalize_advantages=True)
    )
    old_BA, reference_BA = trainer.seen["read"][:2]
    kl_B = (old_BA - reference_BA).sum(dim=1)
    assert kl_B.abs().max() > 0.05  # the second rollout's: the policy has moved from its reference
    paid_B = trainer.seen["rewards"] - 0.5 * kl_B
    assert_same_advantages(group.leave_one_out_advantages(paid_B, k=K, normalise=normalise), trainer)


def test_rloos_loss_is_trls(rloo):
    inputs = rloo.seen["inputs"]
    with torch.no_grad():
        theirs = rloo._compute_loss(rloo.model, inputs)
    old_BA = torch.zeros_like(rloo.seen["logps"])
    old_BA[:, 0] = inputs["old_logps"]  # TRL keeps the sum alone
    ours = group.leave_one_out_loss(part_of(rloo, old_BA=old_BA), clip=0.1)
    assert ours.clip_fraction.item() > 0
    assert ours.loss.item() == pytest.approx(theirs.item(), rel=1e-5)


def by_letter(completions, **_):
    return [talk[0]["content"].count("a") + i / 9 for i, talk in enumerate(completions)]


class RecordingOnlineDpo(OnlineDPOTrainer):
    """Keeps what its last step read and computed."""

    def _forward(self, model, *args, **more):
        found = super()._forward(model, *args, **more)
        self.read = [*getattr(self, "read", [])[-1:], found.detach()]  # what the policy says, then the reference
        self.mask = args[3].bool()
        return found

    def _calculate_rewards_from_functions(self, *args, **more):
        self.rewards = super()._calculate_rewards_from_functions(*args, **more)
        return self.rewards

    def training_step(self, *args, **more):
        self.loss = super().training_step(*args, **more)
        return self.loss


@pytest.mark.parametrize("kind", ["sigmoid", "ipo"])
def test_online_dpos_pairs_and_losses_are_trls(tmp_path, kind):
    model = tiny.write_model(tmp_path / "model")
    config = OnlineDPOConfig(
        output_dir=str(tmp_path / "out"), per_device_train_batch_size=4, max_new_tokens=LENGTH, max_steps=3,
        learning_rate=3e-3, lr_scheduler_type="constant", use_cpu=True, bf16=False, report_to=[], save_strategy="no",
        beta=0.2, loss_type=kind, missing_eos_penalty=None, disable_tqdm=True, gradient_checkpointing=False,
        temperature=1.0,
    )  # fmt: skip
    prompts = Dataset.from_list([{"prompt": [tiny.user(f"{letter}?")]} for letter in "abcd"])
    trainer = RecordingOnlineDpo(
        model=models.load_causal(model, dtype=torch.float32), args=config, train_dataset=prompts,
        processing_class=tiny.tokenizer(), reward_funcs=by_letter,
    )  # fmt: skip
    trainer.train()
    together = torch.arange(8).view(2, 4).T.flatten()  # TRL has the second completions behind all first ones
    pairs = group.best_and_worst(trainer.rewards[together], k=2)
    rows = together[[row for pair in pairs for row in pair]]
    new_BA, reference_BA = (read_BA[rows] for read_BA in trainer.read)
    part = group.Part(
        new_BA=new_BA, old_BA=new_BA, reference_BA=reference_BA, mask_BA=trainer.mask[rows],
        signals_B=torch.tensor([1.0, -1.0] * 4), counts_B=torch.ones(8, dtype=torch.bool), tokens=1.0,
    )  # fmt: skip
    assert (new_BA - reference_BA).abs().max() > 0.05
    assert group.pair_loss(part, beta=0.2, kind=kind).loss.item() == pytest.approx(trainer.loss.item(), rel=1e-5)
