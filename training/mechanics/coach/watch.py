"""The coach: watches what a run tells, and says in plain words what goes wrong, why it may, and what to try.

Rules are pure functions over the history of a run's figures, in `learning`, `answers`, `rewards`, `policies`, `earned`
and `sampler` beside this; here is their table. A rule applies to whatever run tells the figures that it needs, whichever its
method. A finding is told once. What was told and seen before a stop is read back from the run's own events, so that a resumed
run knows what it knew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from training.mechanics.coach import answers as coach_answers
from training.mechanics.coach import earned as coach_earned
from training.mechanics.coach import learning as coach_learning
from training.mechanics.coach import policies as coach_policies
from training.mechanics.coach import rewards as coach_rewards
from training.mechanics.coach import sampler as coach_sampler
from training.mechanics.coach.seen import Answer, Finding, Seen

# Figures: up to there each one is looked at, behind it every twentieth part more; a look costs O(their number).
EVERY = 50

TRAINING = ("training", "train")  # phases whose steps say how far a run is


@dataclass(frozen=True, slots=True)
class Rule:
    """`needs`: names of curves or final metrics; all of one of the sets must be there. `watches` says what, in few words."""

    check: Callable[[Seen], Finding | None]
    needs: tuple[frozenset[str], ...]
    watches: str

    def applies(self, seen: Seen) -> bool:
        return any(all(name in seen.curves or name in seen.final for name in names) for names in self.needs)


def rule(check: Callable[[Seen], Finding | None], watches: str, *needs: str) -> Rule:
    """Each of `needs` holds names with spaces between: alternatives."""
    return Rule(check, tuple(frozenset(names.split()) for names in needs), watches)


def of_final(doubt: Callable[[Mapping[str, float]], Finding | None]) -> Callable[[Seen], Finding | None]:
    return partial(_final, doubt)


def _final(doubt: Callable[[Mapping[str, float]], Finding | None], seen: Seen) -> Finding | None:
    return doubt({name: value for name, value in seen.final.items() if isinstance(value, int | float)})


LOSS, GRADIENT, HELD_OUT = "the loss", "gradients", "held-out figures"
TOKENS, ENDS, ANSWERS = "which tokens are learned", "whether answers end", "whether answers differ"
ACCURACY, SCALE, CHOSEN = "accuracy against chance and length", "the scale of scores", "the preferred texts' likelihood"
KL, CRITIC, REWARD, LENGTH = "the KL to the reference", "the critic", "rewards", "lengths"
ENTROPY, STEPS, SAMPLER = "entropy", "the size of steps", "what samples the completions"

RULES: tuple[Rule, ...] = (
    rule(coach_learning.ends_unlearned, TOKENS, "ends_learned"),
    rule(coach_learning.template_mismatch, TOKENS, "asked_otherwise"),
    rule(coach_learning.few_trained_tokens, TOKENS, "trained_share"),
    rule(coach_learning.loss_rises, LOSS, "loss"),
    rule(coach_learning.loss_spike, LOSS, "loss"),
    rule(coach_learning.loss_stuck, LOSS, "loss"),
    rule(coach_learning.no_gradient, GRADIENT, "grad_norm"),
    rule(coach_learning.gradient_cut, GRADIENT, "grad_norm"),
    rule(coach_learning.overfitting, HELD_OUT, "loss eval_loss", "loss eval_bits_per_byte"),
    rule(coach_learning.below_counting, HELD_OUT, "eval_bits_per_byte bigram_bits_per_byte"),
    rule(coach_learning.repeated_text, HELD_OUT, "train_tokens distinct_train_tokens"),
    rule(coach_answers.answers_do_not_end, ENDS, "eval_ended"),
    rule(coach_answers.completions_do_not_end, ENDS, "ended_rate num_completions", "ended reward"),
    rule(coach_answers.ends_fall, ENDS, "ended reward"),
    rule(coach_answers.one_answer, ANSWERS, "eval_ended", "num_completions"),
    rule(coach_answers.empty_answers, ANSWERS, "eval_ended", "num_completions"),
    rule(coach_answers.completions_alike, ANSWERS, "repeated_share"),
    rule(coach_rewards.at_chance, ACCURACY, "eval_accuracy eval_accuracy_low eval_accuracy_high eval_n"),
    rule(coach_rewards.below_chance, ACCURACY, "eval_accuracy eval_accuracy_low eval_accuracy_high eval_n"),
    *(rule(of_final(doubt), ACCURACY, "eval_accuracy length_accuracy") for doubt in coach_rewards.DOUBTS),
    rule(coach_rewards.reward_drift, SCALE, "mean_reward min_reward max_reward"),
    rule(coach_rewards.chosen_falls, CHOSEN, "chosen_change_per_token"),
    rule(coach_policies.kl_without_bound, KL, "kl reward"),
    rule(coach_policies.kl_explodes, KL, "kl reward"),
    rule(coach_policies.kl_negative, KL, "kl reward"),
    rule(coach_policies.same_model, KL, "kl length_difference"),
    rule(coach_policies.critic_useless, CRITIC, "explained_variance"),
    rule(coach_policies.value_loss_explodes, CRITIC, "value_loss"),
    rule(coach_earned.constant_reward, REWARD, "reward reward_std"),
    rule(coach_earned.zero_std_groups, REWARD, "zero_std_groups"),
    rule(coach_earned.reward_clipped, REWARD, "reward kl"),
    rule(coach_earned.reward_falls, REWARD, "reward reward_std"),
    rule(coach_policies.entropy_collapse, ENTROPY, "entropy reward"),
    rule(coach_policies.passes_cut, STEPS, "passes"),
    rule(coach_policies.mostly_clipped, STEPS, "clip_fraction"),
    rule(coach_sampler.sampled_otherwise, SAMPLER, "sampling_gap"),
    rule(coach_earned.length_hacking, LENGTH, "length reward"),
    rule(coach_earned.longer_and_rewarded, LENGTH, "length_difference reward_difference"),
)


@dataclass(slots=True)
class Coach:
    """Fed with a run's figures and samples; each look gives the findings that were not `told` before (whoever tells notes it)."""

    seen: Seen
    told: set[str] = field(default_factory=set)
    _count: int = 0
    _next: int = 1

    @classmethod
    def of(cls, *, method: str, recipe: Mapping[str, Any], events: Iterable[dict[str, Any]] = ()) -> Coach:
        """`events` are those of earlier attempts."""
        coach = cls(Seen(method, recipe))
        for event in events:
            payload = event["payload"]
            if event["kind"] == "metric":
                coach.add(payload["step"], payload["values"])
            elif event["kind"] == "sample":
                coach.answered(payload["step"], prompt=payload["prompt"], text=payload["text"])
            elif event["kind"] == "warning":
                coach.told.add(payload["code"])
        return coach

    def add(self, step: int, values: Mapping[str, float]) -> None:
        self.seen.add(step, values)
        self.seen.step = step
        self._count += 1

    def answered(self, step: int, *, prompt: str, text: str) -> None:
        self.seen.answers.append(Answer(step, prompt, text))

    def progress(self, phase: str, step: int, total: int) -> None:
        if phase in TRAINING and total:
            self.seen.share_done = step / total

    def look(self) -> list[Finding]:
        """What stands out now and was not told; rarely on long runs, so that looking costs nothing beside training."""
        if self._count < self._next and not self.seen.is_over:
            return []
        self._next = self._count + max(1, (self._count - EVERY) // 20)
        found = [
            finding for rule in RULES if rule.applies(self.seen) and (finding := rule.check(self.seen)) is not None
        ]
        return [finding for finding in found if finding.code not in self.told]

    def end(self, metrics: Mapping[str, Any]) -> list[Finding]:
        """The last look, with the run's final metrics."""
        self.seen.final, self.seen.is_over, self.seen.share_done = metrics, True, 1.0
        return self.look()

    def watched(self) -> list[str]:
        """What there were figures to look at of, in few words, each once."""
        return list(dict.fromkeys(rule.watches for rule in RULES if rule.applies(self.seen)))
