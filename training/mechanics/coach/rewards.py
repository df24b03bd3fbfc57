"""What the coach looks for where comparisons are learned: a reward model or a policy that has not learned to tell them apart."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

from training.mechanics.coach.seen import Finding, Seen

FEWEST = 30  # comparisons, below which an interval around one half says little of either
STUCK = 0.6  # a reward model that reads anything of the texts is right more often
BETTER_BY = 0.05  # that a model must beat lengths alone by, to have read anything
BIASED = 0.2  # the gap between "the longer one is better" and "the shorter one is" from which length is what it learned
FALLING, FALLING_POINTS = (
    -0.5,
    10,
)  # nats a token below the reference, over so many steps: the texts are being unlearned


def at_chance(seen: Seen) -> Finding | None:
    """After an epoch, held-out accuracy below 60 % whose 95 % interval holds 50 %: at the end, or at two looks running."""
    epochs = float(seen.recipe.get("epochs", 1)) * seen.share_done
    looks = [accuracy_at(seen, back=back) for back in ((1,) if seen.is_over else (1, 2))]
    if not all(told is not None and is_coin(told) for told in looks) or (epochs < 1 and not seen.is_over):
        return None
    assert looks[0] is not None
    right, low, high, n = looks[0]
    return Finding(
        "at_chance",
        "On %(n)d held-out comparisons it is right in %(right).0f %% (95 %%: %(low).0f to %(high).0f), which a coin may be too.",
        {"n": int(n), "right": 100 * right, "low": 100 * low, "high": 100 * high},
        cause="Labels that have nothing to do with the texts (shuffled, or judged at random), too few of them, a learning "
        "rate that is too low, or a score that is read at a padding token instead of the last one.",
        advice="Look at ten comparisons: would you agree? Then raise the rate or the epochs, and gather more rankings.",
        severity="alarm",
        since=seen.step,
    )


def is_coin(told: tuple[float, float, float, float]) -> bool:
    right, low, high, n = told
    return n >= FEWEST and right < STUCK and low <= 0.5 <= high


def below_chance(seen: Seen) -> Finding | None:
    """At the end the whole interval of held-out accuracy lies below 50 %: it has learned the opposite."""
    told = accuracy_at(seen, back=1)
    if told is None or not seen.is_over or told[2] >= 0.5 or told[3] < FEWEST:
        return None
    return Finding(
        "below_chance",
        "On %(n)d held-out comparisons it is right in %(right).0f %%: less often than a coin.",
        {"n": int(told[3]), "right": 100 * told[0]},
        cause="The better and the worse text are swapped, in the training rows or in the held-out ones.",
        advice="Look at which text stands as chosen in both splits.",
        severity="alarm",
        since=seen.step,
    )


def accuracy_at(seen: Seen, *, back: int) -> tuple[float, float, float, float] | None:
    """Accuracy, both ends of its interval and n, as they stood `back` looks ago (1 is the newest)."""
    names = ("eval_accuracy", "eval_accuracy_low", "eval_accuracy_high", "eval_n")
    if any(len(seen.curves.get(name, ())) < back for name in names):
        return None
    right, low, high, n = (seen.curves[name][-back][1] for name in names)
    return right, low, high, n


# At the end, over the whole held-out split


def no_better_than_length(figures: Mapping[str, float]) -> Finding | None:
    """Accuracy is not 5 points above that of who only looks at lengths (Singhal et al. 2023, arXiv 2310.03716)."""
    right, by_length = figures.get("eval_accuracy"), figures.get("length_accuracy")
    if right is None or by_length is None or right >= by_length + BETTER_BY:
        return None
    return Finding(
        "no_better_than_length",
        "On held-out comparisons it is right in %(right).0f %%; who only looks at which text is longer, in %(length).0f %%.",
        {"right": 100 * right, "length": 100 * by_length},
        cause="It has learned how long good texts are and little else, or nothing at all.",
        advice="Gather rankings in which the better text is the shorter one too; train for longer, or from a larger model.",
    )


def length_bias(figures: Mapping[str, float]) -> Finding | None:
    """20 points between its accuracy where the better text is the longer one and where it is the shorter one."""
    longer, shorter = figures.get("accuracy_longer"), figures.get("accuracy_shorter")
    if longer is None or shorter is None or abs(longer - shorter) <= BIASED:
        return None
    return Finding(
        "length_bias",
        "It is right in %(longer).0f %% where the better text is the longer one, and in %(shorter).0f %% where it is the "
        "shorter one: much of what it scores is length.",
        {"longer": 100 * longer, "shorter": 100 * shorter},
        cause="Raters preferred texts of one length most of the time, so that length is the easiest thing to learn.",
        advice="Add rankings of texts of like lengths, and watch the length of whatever is trained on this reward.",
    )


def not_calibrated(figures: Mapping[str, float]) -> Finding | None:
    """Certainty stays off by more than 5 % and what chance leaves in bins, 1/sqrt(n), after a fitted temperature, with raters'
    slips or without."""
    n = figures.get("eval_n", 0.0)
    off = min(figures.get("ece_calibrated", 0.0), figures.get("ece_with_flips", 1.0))
    if not n or off <= 0.05 + n**-0.5:
        return None
    return Finding(
        "not_calibrated",
        "Its certainty is off by %(off).0f %% on average, even after a temperature.",
        {"off": 100 * off},
        cause="Some kinds of comparisons are far easier for it than others, which one temperature can't put right.",
        advice="Look at accuracy by strength and by length; believe the order of its scores and not their distances.",
    )


def above_ceiling(figures: Mapping[str, float]) -> Finding | None:
    """The whole interval of accuracy over the ceiling lies above 1: better than raters' own disagreement allows."""
    if figures.get("ceiling_fraction_low", 0.0) <= 1.0:
        return None
    return Finding(
        "above_ceiling",
        "It agrees with held-out rankings more often than raters' disagreement allows (%(times).2f times as often).",
        {"times": figures["ceiling_fraction"] if "ceiling_fraction" in figures else figures["ceiling_fraction_low"]},
        cause="Held-out texts stand among the training texts, or raters copy each other.",
        advice="Look for texts that are in both splits, and at raters who agree too well.",
        severity="alarm",
    )


DOUBTS = (no_better_than_length, length_bias, not_calibrated, above_ceiling)


def doubts(figures: Mapping[str, float]) -> list[Finding]:
    """What the figures of the whole held-out split give reason to doubt of a reward model."""
    return [finding for rule in DOUBTS if (finding := rule(figures)) is not None]


def reward_drift(seen: Seen) -> Finding | None:
    """Mean scores of a batch lie further from 0 than 10 times the span between its best and worst text, 20 points running.

    The likelihood leaves the place of scores open (Eisenstein et al. 2023, arXiv 2312.09244); only differences are learned.
    """
    middle, low, high = (seen.values(name)[-20:] for name in ("mean_reward", "min_reward", "max_reward"))
    if not len(middle) == len(low) == len(high) == 20:
        return None
    span = fmean(h - b for h, b in zip(high, low, strict=True))
    if abs(fmean(middle)) <= 10 * max(span, 0.5):
        return None
    return Finding(
        "reward_drift",
        "Scores have drifted to about %(mean).1f, while those of one batch differ by %(span).1f.",
        {"mean": fmean(middle), "span": span},
        cause="Only differences of scores are learned; nothing holds their mean near 0.",
        advice="Raise center_rewards.",
        severity="note",
        since=seen.since("mean_reward", back=20),
    )


# A policy that is trained on preferences directly


def chosen_falling(changes: list[float], *, since: int = 0, limit: float = -FALLING) -> Finding | None:
    """`changes`: mean log-ratio to the reference of each step's preferred texts, in nats a token; half a nat over 10 steps,
    where the run's own guard has no other `limit`.

    A direct loss may lower both sides as long as the rejected falls faster (Razin et al. 2024, arXiv 2410.08847;
    Pal et al. 2024, arXiv 2402.13228); far down, that is forgetting.
    """
    recent = changes[-FALLING_POINTS:]
    if len(recent) < FALLING_POINTS or fmean(recent) > -limit:
        return None
    return Finding(
        "chosen_falling",
        "The preferred texts have become %(nats).2f nats a token less likely than under the reference: the model is "
        "unlearning them too.",
        {"nats": -fmean(recent)},
        cause="The loss asks for a distance between both texts alone, and at this rate the quickest way is to push both down.",
        advice="Lower the learning rate or the epochs, raise beta, or let sft be falling.",
        since=since,
    )


def chosen_falls(seen: Seen) -> Finding | None:
    """The same of a run that tells it as a curve, `chosen_change_per_token`."""
    name = "chosen_change_per_token"
    changes = seen.values(name)
    return chosen_falling(changes, since=seen.since(name, back=FALLING_POINTS)) if changes else None
