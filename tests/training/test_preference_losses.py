"""Losses on comparisons come to what TRL's own trainers make of the same model and rows, gradients included."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, get_args

import pytest
import torch
from datasets import Dataset
from trl import DPOConfig, DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

from tests.training import tiny
from training.mechanics import models
from training.mechanics.preference.losses import (
    LOSSES,
    Divergence,
    Pairs,
    Terms,
    length_desensitised,
    on_policy_weights,
    weighed_loss,
)
from training.mechanics.shared_prefix import on_device
from training.methods import dpo
from training.recipes.dpo import DIVERGED, SORTED, DpoRecipe, Loss

SMOOTHING = {"robust": 0.1, "exo_pair": 1e-3, "aot": 0.1, "aot_unpaired": 0.1}
AT_FIRST = {  # what a loss comes to where policy and reference are equal, by beta
    **dict.fromkeys(("sigmoid", "robust", "aot", "aot_unpaired", "sigmoid_norm"), lambda beta: math.log(2)),
    **dict.fromkeys(("hinge", "apo_zero", "apo_down"), lambda beta: 1.0),
    "ipo": lambda beta: 1 / (4 * beta**2),
    "nca_pair": lambda beta: 2 * math.log(2),
    "bco_pair": lambda beta: 2 * math.log(2),
    "sppo_hard": lambda beta: 1 / (2 * beta**2),
    "discopop": lambda beta: (math.log(2) + 1) / 2,
}


def rows() -> list[dict[str, Any]]:
    """Comparisons of texts of several lengths, of one weight."""
    made = tiny.preference_rows(4)
    for i, row in enumerate(made):
        row["chosen"] = [tiny.assistant(row["chosen"][0]["content"][: 2 + i % 5])]
        row["rejected"] = [tiny.assistant(row["rejected"][0]["content"] + "yx" * (i % 4))]
        row["weight"] = 1.0
    return made


@dataclass
class Both:
    """A trainer of ours and TRL's, of one policy that has moved from one reference, and the same batch for each."""

    ours: Any
    theirs: Any
    theirs_batch: Any

    def compared(self, **changes: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """The loss of each side, and the gradient of each side's first layer."""
        self.ours.recipe = self.ours.recipe.model_validate({**self.ours.recipe.model_dump(), **changes})
        self.ours.beta = self.theirs.beta = self.ours.recipe.beta
        self.ours.by_token = self.ours.recipe.ld_alpha is not None
        self.theirs.loss_types = list(self.ours.recipe.losses)
        self.theirs.loss_weights = list(self.ours.recipe.losses.values())
        self.theirs.label_smoothing = self.ours.recipe.label_smoothing
        self.theirs.ld_alpha = self.ours.recipe.ld_alpha
        self.theirs.args.discopop_tau = self.ours.recipe.discopop_tau
        for name in ("f_divergence_type", "f_alpha_divergence_coef", "use_weighting"):
            setattr(self.theirs, name, getattr(self.ours.recipe, name))
        found = []
        for trainer, batch in ((self.ours, self.batch()), (self.theirs, self.theirs_batch)):
            trainer.model.train()
            trainer.model.zero_grad()
            loss = trainer._compute_loss(trainer.model, batch, False)
            loss.backward()
            found.append((loss.detach(), trainer.model.model.layers[0].self_attn.q_proj.weight.grad.clone()))
        return found[0][0], found[1][0], found[0][1], found[1][1]

    def batch(self) -> Any:
        """With the reference's log-probabilities as this recipe sums them."""
        dataset = self.ours.referred(self.ours.plain, self.ours.reference)
        return on_device(self.ours.data_collator([dataset[i] for i in range(len(dataset))]), torch.device("cpu"))


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> Both:
    folder = tmp_path_factory.mktemp("losses")
    given = tiny.write_model(folder / "model")
    recipe = {"lora": None, "bf16": False, "batch_size": 12, "max_length": 96, "sample_tokens": 0, "ld_alpha": 1.0}
    inputs = {"model": given, "preferences": tiny.write_dataset(folder / "data", rows())}
    context = tiny.open_run(tiny.make_run(folder / "run", "dpo", recipe, inputs))
    ours = dpo.build(context, context.recipe, rows=rows(), held_out=[], tokenizer=tiny.tokenizer())
    ours.plain = ours.train_dataset
    ours.reference = ours.read_reference()  # token by token, as `ld_alpha` needs it; sums follow

    policy = models.load_causal(given, dtype=torch.float32)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in policy.parameters():
            weight.add_(0.02 * torch.randn_like(weight))
    ours.model.load_state_dict(policy.state_dict())
    arguments = DPOConfig(
        output_dir=str(folder / "trl"), use_cpu=True, bf16=False, per_device_train_batch_size=12, max_length=None,
        activation_checkpointing=False, report_to="none", disable_tqdm=True, use_weighting=True,
    )  # fmt: skip
    data = Dataset.from_list([{name: row[name] for name in ("prompt", "chosen", "rejected")} for row in rows()])
    theirs = DPOTrainer(
        model=policy, ref_model=models.load_causal(given, dtype=torch.float32), args=arguments,
        processing_class=tiny.tokenizer(), train_dataset=data,
    )  # fmt: skip
    told = [theirs.train_dataset[i] for i in range(len(theirs.train_dataset))]
    collate = DataCollatorForPreference(pad_token_id=theirs.processing_class.pad_token_id)
    return Both(ours, theirs, collate(told))


def held_equal(both: Both, **changes: Any) -> None:
    plain = {
        "loss": "sigmoid", "more_losses": (), "label_smoothing": 0.0, "ld_alpha": None, "beta": 0.1,
        "f_divergence_type": "reverse_kl", "f_alpha_divergence_coef": 0.5, "use_weighting": False,
        "discopop_tau": 0.05,
    }  # fmt: skip
    ours, theirs, our_gradient, their_gradient = both.compared(**plain | changes)
    torch.testing.assert_close(ours, theirs, rtol=2e-5, atol=1e-6)
    torch.testing.assert_close(our_gradient, their_gradient, rtol=1e-3, atol=1e-6)


def test_trl_lists_no_loss_that_is_not_here():
    told = DPOConfig.__dataclass_fields__["loss_type"].metadata["help"]
    assert set(re.findall("'([a-z_]+)'", told)) == set(get_args(Loss)) == set(LOSSES)


@pytest.mark.parametrize("name", get_args(Loss))
def test_each_loss_and_its_gradient_are_those_of_trl_on_the_same_pairs(both, name):
    held_equal(both, loss=name, label_smoothing=SMOOTHING.get(name, 0.0))


@pytest.mark.parametrize("beta", [0.01, 2.0])
@pytest.mark.parametrize("name", ["ipo", "discopop", "sigmoid_norm"])
def test_so_they_are_with_other_betas(both, name, beta):
    held_equal(both, loss=name, beta=beta)


@pytest.mark.parametrize("tau", [0.01, 1.0])
def test_so_they_are_however_gradually_discopop_changes(both, tau):
    held_equal(both, loss="discopop", discopop_tau=tau)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("name", ["sigmoid", "ipo", "sft"])
def test_so_they_are_where_the_longer_text_counts_less_beyond_the_other(both, name, alpha):
    held_equal(both, loss=name, ld_alpha=alpha)


def test_several_losses_are_added_by_their_weights(both):
    held_equal(both, loss="sigmoid", more_losses=("bco_pair:0.5", "sft:1"))


@pytest.mark.parametrize("kind", get_args(DpoRecipe.model_fields["f_divergence_type"].annotation))
@pytest.mark.parametrize("name", sorted(DIVERGED))
def test_so_they_are_with_each_divergence_that_holds_the_policy(both, name, kind):
    held_equal(both, loss=name, label_smoothing=SMOOTHING.get(name, 0.0), f_divergence_type=kind)


@pytest.mark.parametrize("alpha", [0.0, 0.2, 0.9, 1.0])
def test_so_they_are_with_other_alphas(both, alpha):
    held_equal(both, f_divergence_type="alpha_divergence", f_alpha_divergence_coef=alpha, ld_alpha=0.5)


# TRL multiplies in place, which its own way back from hinge and the form of its SFT loss don't survive: those are by hand.
@pytest.mark.parametrize("name", sorted(set(get_args(Loss)) - SORTED - {"hinge", "sft"}))
def test_so_they_are_where_comparisons_count_by_how_likely_the_policy_writes_them(both, name):
    held_equal(both, loss=name, label_smoothing=SMOOTHING.get(name, 0.0), use_weighting=True)


def test_so_they_are_with_several_losses_a_divergence_and_weights_at_once(both):
    told = {"loss": "sigmoid", "more_losses": ("ipo:0.5", "discopop:1"), "ld_alpha": 0.3}
    held_equal(both, **told, f_divergence_type="js_divergence", use_weighting=True)


def test_a_divergence_is_for_the_losses_that_trl_has_it_for():
    told = DPOConfig.__dataclass_fields__["f_divergence_type"].metadata["help"]
    kinds = set(get_args(DpoRecipe.model_fields["f_divergence_type"].annotation))
    assert set(re.findall("'([a-z_]+)'", told)) - kinds == DIVERGED


# By hand


def some_pairs(num: int = 5) -> Pairs:
    torch.manual_seed(0)
    lengths = torch.arange(1, num + 1)
    chosen, rejected, ref_chosen, ref_rejected = (-5 * torch.rand(4, num)).unbind()
    return Pairs(chosen, rejected, ref_chosen, ref_rejected, lengths, lengths.flip(0))


@pytest.mark.parametrize("beta", [0.1, 2.0])
@pytest.mark.parametrize("name", AT_FIRST)
def test_what_a_loss_begins_at_follows_from_beta_alone(name, beta):
    pairs = some_pairs()
    equal = Pairs(
        pairs.chosen, pairs.rejected, pairs.chosen, pairs.rejected, pairs.chosen_lengths, pairs.rejected_lengths
    )
    e = SMOOTHING.get(name, 0.0)
    assert LOSSES[name](equal, Terms(beta, e)).tolist() == pytest.approx([AT_FIRST[name](beta)] * 5)


def test_a_comparison_counts_by_its_weight_except_where_ranks_are_compared():
    pairs, terms, weights = some_pairs(), Terms(0.5), torch.tensor([2.0, 0.0, 1.0, 0.0, 0.0])
    losses = LOSSES["sigmoid"](pairs, terms)
    assert weighed_loss("sigmoid", pairs, terms, weights=weights) == pytest.approx(
        (2 * losses[0] + losses[2]).item() / 5
    )
    ranks = LOSSES["aot"](pairs, terms)
    assert weighed_loss("aot", pairs, terms, weights=weights) == pytest.approx(0.6 * ranks.mean().item())


def test_each_comparison_may_have_its_own_share_of_flips():
    pairs, shares = some_pairs(3), torch.tensor([0.0, 0.2, 0.4])
    together = LOSSES["robust"](pairs, Terms(0.3, shares))
    alone = [LOSSES["robust"](pairs, Terms(0.3, e))[i] for i, e in enumerate(shares.tolist())]
    torch.testing.assert_close(together, torch.stack(alone))


def test_beyond_the_other_texts_length_tokens_count_by_alpha():
    log_probs, texts = torch.tensor([-1.0, -2.0, -4.0, -8.0, -16.0]), torch.tensor([0, 0, 0, 1, 1])
    first, second = torch.tensor([0]), torch.tensor([1])
    told = {"num_texts": 2, "alpha": 0.25}
    assert length_desensitised(log_probs, texts, texts_B=first, others_B=second, **told).item() == -3 + 0.25 * -4
    assert length_desensitised(log_probs, texts, texts_B=second, others_B=first, **told).item() == -24


@pytest.mark.parametrize("name", ["hinge", "sft"])
def test_a_comparison_that_the_policy_would_not_write_counts_by_that_in_every_loss(both, name):
    both.ours.recipe = DpoRecipe.model_validate({"loss": name, "use_weighting": True})
    batch = both.batch()
    both.ours.model.train()
    weighed = both.ours._compute_loss(both.ours.model, batch, False).detach()
    pairs, counts = both.ours.pairs_of(both.ours.model, batch)
    assert counts is not None and 0 < counts.min() < counts.max()
    torch.testing.assert_close(weighed, (counts * LOSSES[name](pairs, Terms(both.ours.beta))).mean())


@pytest.mark.parametrize("kind", ["forward_kl", "js_divergence", "alpha_divergence"])
def test_a_divergence_leaves_equal_models_equal_and_far_ones_finite(kind):
    ratios = torch.tensor([0.0, -500.0, 500.0], requires_grad=True)
    scores = Divergence(kind).scored(ratios)
    assert scores[0] == 0 and scores.isfinite().all()
    scores.sum().backward()
    assert ratios.grad is not None and ratios.grad.isfinite().all() and ratios.grad[0] == pytest.approx(f2(kind))


def f2(kind: str) -> float:
    """d f'(t) / d log t at t = 1."""
    return 0.5 if kind == "js_divergence" else 1.0


def test_a_text_that_the_policy_samples_itself_weighs_about_1():
    torch.manual_seed(0)
    probs = torch.softmax(2 * torch.randn(1, 20), dim=-1).expand(3000, -1)
    sampled = probs.multinomial(1)
    log_probs, squares = probs.gather(1, sampled).log().squeeze(1), probs.pow(2).sum(dim=1).log()
    ratio = (log_probs - squares).exp().mean()
    assert ratio == pytest.approx(1.0, abs=0.03)
    weights = on_policy_weights(
        torch.tensor([-1.0, -2.0, -3.0]), torch.tensor([-1.0, -1.0, -1.0]), torch.tensor([0, 0, 1]), num_texts=2
    )
    assert weights.tolist() == pytest.approx([math.exp(-0.5), math.exp(-2)])


@pytest.mark.parametrize(
    "wrong",
    [
        {"loss": "exo_pair"}, {"loss": "hinge", "label_smoothing": 0.1}, {"loss": "ipo", "flips": "estimated"},
        {"more_losses": ("nothing:1",)}, {"more_losses": ("sft",)}, {"more_losses": ("sft:-1",)},
        {"f_divergence_type": "forward_kl", "loss": "bco_pair"},
        {"f_divergence_type": "js_divergence", "more_losses": ("aot:1",)},
        {"f_alpha_divergence_coef": 0.3}, {"f_divergence_type": "alpha_divergence", "f_alpha_divergence_coef": 1.5},
        {"use_weighting": True, "loss": "aot"}, {"use_weighting": True, "more_losses": ("aot_unpaired:1",)},
        {"more_losses": ("sigmoid:1",)}, {"flips": "estimated", "more_losses": ("aot:1",)}, {"ld_alpha": 1.5},
        {"discopop_tau": 0.1}, {"discopop_tau": 0.0, "loss": "discopop"},
    ],
    ids=str,
)  # fmt: skip
def test_a_recipe_whose_fields_do_not_fit_together_is_refused(wrong):
    with pytest.raises(
        ValueError,
        match=r"exo_pair needs|label_smoothing is for|estimated flips|more_losses are|less than|f_\w+ is for|use_weighting"
        r"|discopop_tau is for|greater than",
    ):
        DpoRecipe.model_validate(wrong)
