"""What the coach looks for wherever a loss goes down: a loss that does not, gradients, held-out figures, and what is learned.

Each rule is told all that was seen and says one finding or nothing. Where no paper is named, a threshold is ours: chosen so
that the runs of tests/training/test_coach.py that are well stay silent, and those that are broken don't.
"""

from __future__ import annotations

from statistics import fmean, median

from training.mechanics.coach.seen import Finding, Seen, ends_of, spread_of

SPIKE_BEFORE, SPIKE_FOR = 30, 3  # points that a spike is measured against, and that it lasts
REPEATED = 16.0


def loss_rises(seen: Seen) -> Finding | None:
    """Ten losses in a row lie a tenth above the very first: the model does worse than before it learned anything."""
    values = seen.values("loss")
    if len(values) < 15 or min(values[-10:]) <= values[0] + 0.1 * abs(values[0]):
        return None
    return Finding(
        "loss_rises",
        "The loss began at %(first).3f and is at %(now).3f.",
        {"first": values[0], "now": fmean(values[-10:])},
        cause="The learning rate is too high: each step undoes more than it learns.",
        advice="Lower the learning rate three- to tenfold, or warm up for longer.",
        severity="alarm",
        since=seen.since("loss", back=10),
    )


def loss_spike(seen: Seen) -> Finding | None:
    """Three losses in a row 8 robust deviations and 30 % above the median of the 30 before.

    Spikes of large runs are described by Chowdhery et al. 2022 (PaLM, arXiv 2204.02311, section 5.1).
    """
    values = seen.values("loss")
    terms = seen.values("sft_weight")[-SPIKE_BEFORE - SPIKE_FOR :]
    if len(values) < SPIKE_BEFORE + SPIKE_FOR or len(set(terms)) > 1:  # another term in the sum is no jump of it
        return None
    before, now = values[-SPIKE_BEFORE - SPIKE_FOR : -SPIKE_FOR], values[-SPIKE_FOR:]
    middle = median(before)
    if min(now) < max(middle + 8 * spread_of(before), 1.3 * abs(middle)):
        return None
    return Finding(
        "loss_spike",
        "The loss has jumped from about %(before).3f to %(now).3f.",
        {"before": middle, "now": fmean(now)},
        cause="A stretch of unusual rows, or a learning rate at the edge of what the model bears.",
        advice="If it does not come back within some steps: lower the learning rate, and look at the rows of those steps.",
        since=seen.since("loss", back=SPIKE_FOR),
    )


def loss_stuck(seen: Seen) -> Finding | None:
    """After 40 points and half of the run the loss has moved by less than 1 %, and less than chance moves it."""
    ends = ends_of(seen.values("loss"), least=40)
    if ends is None or seen.share_done < 0.5:
        return None
    moved = abs(ends.last - ends.first)
    if moved > 0.01 * abs(ends.first) or moved > 2 * ends.error:
        return None
    return Finding(
        "loss_stuck",
        "The loss is where it began: %(first).4f, and now %(last).4f.",
        {"first": ends.first, "last": ends.last},
        cause="The learning rate is too low to move anything, or what is to be learned has nothing to do with what is read.",
        advice="Raise the learning rate tenfold; if that changes nothing, look at the rows.",
        since=seen.step,
    )


def no_gradient(seen: Seen) -> Finding | None:
    """Five gradients in a row below 1e-6 before clipping: nothing that is trained has a say in the loss."""
    values = seen.values("grad_norm")
    if "reward_std" in seen.curves or len(values) < 5 or max(values[-5:]) > 1e-6:
        return None
    return Finding(
        "no_gradient",
        "The gradient has been 0 for %(steps)d steps (its norm is %(norm).1e).",
        {"steps": 5, "norm": max(values[-5:])},
        cause="Nothing that is trained has a say in the loss: the weights are frozen, or no token is learned.",
        advice="Look at which tokens are learned and at what the adapter is put on.",
        severity="alarm",
        since=seen.since("grad_norm", back=5),
    )


def gradient_cut(seen: Seen) -> Finding | None:
    """Of 20 gradients, 18 are more than 10 times what they are clipped to: the rate no longer says how far steps go."""
    most = float(seen.recipe.get("max_grad_norm", 1.0))
    values = seen.values("grad_norm")[-20:]
    if len(values) < 20 or sum(value > 10 * most for value in values) < 18:
        return None
    return Finding(
        "gradient_cut",
        "Nearly every gradient is cut to less than a tenth: their norm is about %(norm).1f, and the bound %(bound).1f.",
        {"norm": median(values), "bound": most},
        cause="The scale of the model or of the loss is unusual, so that the bound alone decides how far a step goes.",
        advice="Lower the learning rate, or raise max_grad_norm where the recipe has it.",
        severity="note",
        since=seen.since("grad_norm", back=20),
    )


def overfitting(seen: Seen) -> Finding | None:
    """Two held-out losses in a row lie a tenth above the best, while the trained loss fell: it learns rows by heart."""
    name = "eval_loss" if "eval_loss" in seen.curves else "eval_bits_per_byte"
    values, losses = seen.values(name), seen.values("loss")
    if len(values) < 4 or len(losses) < 4 or fmean(losses[-2:]) >= fmean(losses[:2]):
        return None
    best = min(values[:-2])
    if min(values[-2:]) <= best + 0.1 * abs(best):
        return None
    return Finding(
        "overfitting",
        "The held-out loss was %(best).3f at best and is %(now).3f now, while the trained one still falls.",
        {"best": best, "now": values[-1]},
        cause="The model learns its rows by heart: too many passes over too few of them.",
        advice="Train for fewer epochs or at a lower rate, or gather more data.",
        since=seen.curves[name][values.index(best)][0],
    )


# What is learned of a conversation (fine-tuning tells these before its first step)


def ends_unlearned(seen: Seen) -> Finding | None:
    """Fewer than half of the conversations have their end token among what is learned."""
    share = seen.last("ends_learned")
    if share is None or share >= 0.5:
        return None
    return Finding(
        "ends_unlearned",
        "In %(percent).0f %% of the conversations the end of the assistant's turn is learned, not in all.",
        {"percent": 100 * share},
        cause="The chat template writes no end token behind an answer, or the end token is the padding token too and is "
        "masked with it: the model will never stop by itself.",
        advice="Let the chat template end each turn with the tokenizer's end token, and give padding a token of its own.",
        severity="alarm",
    )


def template_mismatch(seen: Seen) -> Finding | None:
    """The prompt as it is asked is no beginning of the conversation as it is learned, for a tenth of the turns."""
    share = seen.last("asked_otherwise")
    if share is None or share <= 0.1:
        return None
    return Finding(
        "template_mismatch",
        "%(percent).0f %% of the answers are learned behind another beginning than the one they will be asked with.",
        {"percent": 100 * share},
        cause="The chat template begins an answer in one way in a conversation and in another where it asks for one "
        "(add_generation_prompt): what was learned will not be found again.",
        advice="Repair the chat template: a conversation must begin with the very text that asks for its answer.",
        severity="alarm",
    )


def few_trained_tokens(seen: Seen) -> Finding | None:
    """Less than 2 % of what is read is learned: a step costs fifty times what it teaches."""
    share = seen.last("trained_share")
    if share is None or share >= 0.02:
        return None
    return Finding(
        "few_trained_tokens",
        "Only %(percent).1f %% of the tokens that are read are learned.",
        {"percent": 100 * share},
        cause="Questions are far longer than their answers, or the chat template hides most of the answers.",
        advice="Look at a conversation: what the assistant says should be a fair part of it.",
    )


# Pretraining


def below_counting(seen: Seen) -> Finding | None:
    """A table of pairs of tokens (with the same text) predicts held-out text better."""
    ours, counted = seen.last("eval_bits_per_byte"), seen.last("bigram_bits_per_byte")
    if ours is None or counted is None or ours <= counted:
        return None
    return Finding(
        "below_counting",
        "On held-out text the model does worse than counting pairs of tokens: %(ours).3f bits a byte against %(counted).3f.",
        {"ours": ours, "counted": counted},
        cause="It has not learned any order yet: too few steps, too little text, or too low a rate.",
        advice="Train for more steps, or on more text.",
    )


def repeated_text(seen: Seen) -> Finding | None:
    """Text was read more than 16 times: from there on it teaches next to nothing (Muennighoff et al. 2023, 2305.16264)."""
    read, distinct = seen.final.get("train_tokens"), seen.final.get("distinct_train_tokens")
    if not read or not distinct or read <= REPEATED * distinct:
        return None
    return Finding(
        "repeated_text",
        "The text was read %(times).0f times over.",
        {"times": read / distinct},
        cause="The corpus is small for so many steps; what is read a seventeenth time teaches next to nothing.",
        advice="Add text, or train for fewer steps.",
        severity="note",
    )


def out_of_memory(template: str, **figures: int) -> Finding:
    """No rule: told by whoever met it. `template` says what is smaller from now on, by `figures`."""
    return Finding(
        "out_of_memory",
        template,
        figures,
        cause="The longest texts of a batch, read together, need more memory than this machine has free.",
        advice="Nothing is lost: each step stays the same, and takes longer. A smaller batch or shorter texts would be faster.",
        severity="note",
    )
