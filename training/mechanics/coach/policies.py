"""What the coach looks for in a policy that learns from a reward: KL, the critic, entropy, the size of steps."""

from __future__ import annotations

from statistics import fmean, median

from training.mechanics.coach.seen import Finding, Seen

FAR = 2.0  # times the target: so far from the reference, the reward model is being fooled rather than pleased
FAR_ROLLOUTS = 3  # in a row, for the KL of one small rollout is a noisy estimate
FAR_WITHOUT_TARGET = 20.0


def far_from_reference(kls: list[float], *, target: float) -> Finding | None:
    """`kls` of the newest rollouts, nats a completion: the last 3 all above twice the target. Training ends at it."""
    recent = kls[-FAR_ROLLOUTS:]
    if len(recent) < FAR_ROLLOUTS or min(recent) <= FAR * target:
        return None
    return Finding(
        "far_from_reference",
        "The policy was %(kl).1f nats a completion or more from the reference in %(rollouts)d rollouts in a row, over "
        "%(times)g times the target of %(target)g: training ended early.",
        {"kl": min(recent), "rollouts": FAR_ROLLOUTS, "times": FAR, "target": target},
        cause="The KL explodes: the learning rate is too high, or the price of KL too low to hold the policy. So far from the "
        "reference, the reward model is being fooled rather than pleased.",
        advice="Lower the learning rate, or raise kl_coefficient. In online DPO, raise beta.",
        severity="alarm",
    )


def kl_without_bound(seen: Seen) -> Finding | None:
    """Without a target: 20 nats a completion over 3 rollouts.

    Gao et al. 2023 (arXiv 2210.10760, figures 1 and 2): the true reward has turned down by then, for reward models of
    up to a billion parameters.
    """
    values = seen.values("kl")
    if seen.recipe.get("target_kl") is not None or len(values) < FAR_ROLLOUTS or "reward" not in seen.curves:
        return None
    if min(values[-FAR_ROLLOUTS:]) <= FAR_WITHOUT_TARGET:
        return None
    return Finding(
        "kl_without_bound",
        "The policy is %(kl).1f nats a completion from the reference, and nothing holds it.",
        {"kl": fmean(values[-FAR_ROLLOUTS:])},
        cause="There is no target of KL, and its price is too low for this learning rate.",
        advice="Set target_kl (6 is a good beginning), or raise kl_coefficient; judge earlier checkpoints by people.",
        severity="alarm",
        since=seen.since("kl", back=FAR_ROLLOUTS),
    )


def kl_explodes(seen: Seen) -> Finding | None:
    """From the fifth rollout on: KL has doubled twice within 3 rollouts and lies above its target."""
    values, target = seen.values("kl"), seen.recipe.get("target_kl")
    if target is None or len(values) < 5:
        return None
    first, second, third = values[-3:]
    if first < 0.5 * target or second < 2 * first or third < 2 * second:
        return None
    return Finding(
        "kl_explodes",
        "The KL to the reference has doubled twice in 3 rollouts: %(first).1f, %(second).1f, %(third).1f nats a completion.",
        {"first": first, "second": second, "third": third},
        cause="The learning rate is too high, or the price of KL reacts too slowly.",
        advice="Lower the learning rate, raise kl_coefficient, or shorten kl_horizon.",
        severity="alarm",
        since=seen.since("kl", back=3),
    )


def kl_negative(seen: Seen) -> Finding | None:
    """The mean over 3 rollouts lies below -1 nat. A KL is never negative; its estimate is, where samples are of another."""
    values = seen.values("kl")
    if len(values) < FAR_ROLLOUTS or "reward" not in seen.curves or fmean(values[-FAR_ROLLOUTS:]) >= -1.0:
        return None
    return Finding(
        "kl_negative",
        "The KL to the reference is measured as %(kl).1f nats a completion; a KL is never negative.",
        {"kl": fmean(values[-FAR_ROLLOUTS:])},
        cause="The completions are not samples of the policy that is measured: another temperature, other weights, or a cut "
        "of the distribution.",
        advice="Sample and measure at one temperature, without top_p.",
        severity="alarm",
        since=seen.since("kl", back=FAR_ROLLOUTS),
    )


def same_model(seen: Seen) -> Finding | None:
    """An evaluation finds a KL of 0 and answers of one length: the policy is its reference."""
    kl, apart = seen.final.get("kl"), seen.final.get("length_difference")
    if kl is None or apart is None or abs(kl) > 1e-6 or apart != 0:
        return None
    return Finding(
        "same_model",
        "Policy and reference give the very same answers (KL %(kl).6f).",
        {"kl": kl},
        cause="They are the same model: it was chosen twice, or training has changed nothing.",
        advice="Choose the policy that was trained; if it was, raise its learning rate.",
        severity="alarm",
    )


def critic_useless(seen: Seen) -> Finding | None:
    """In the second half of 8 rollouts or more the critic explains less than -10 %, or mostly 0 as a constant does."""
    values = seen.values("explained_variance")
    if len(values) < 8 or seen.share_done < 0.75 or fmean(seen.values("reward_std")[-4:] or [0.0]) < 1e-6:
        return None
    late = values[len(values) // 2 :]
    if fmean(late) > -0.1 and 2 * sum(abs(value) < 1e-3 for value in late) <= len(late):
        return None
    return Finding(
        "critic_useless",
        "The critic explains %(percent).0f %% of the variance of what is achieved; a constant would explain 0.",
        {"percent": 100 * fmean(late)},
        cause="The critic's learning rate is so high that it jumps or dies, or so low that it never follows.",
        advice="Change critic_learning_rate tenfold, downwards first; or take more epochs a rollout.",
        since=seen.since("explained_variance", back=len(late)),
    )


def value_loss_explodes(seen: Seen) -> Finding | None:
    """The critic's loss is 4 times the square of the bound of scores, or over 3 rollouts 10 times that of the first half.

    Scores are cut at reward_clip, so that half a square of twice that bound is more than any sensible value could miss by.
    """
    values, bound = seen.values("value_loss"), float(seen.recipe.get("reward_clip", 5.0))
    if not values:
        return None
    now, before = values[-1], median(values[: max(1, len(values) // 2)])
    grows = len(values) >= 6 and min(values[-3:]) > 10 * max(before, 1e-3)
    if now <= 4 * bound**2 and not grows:
        return None
    return Finding(
        "value_loss_explodes",
        "The critic's loss is %(now).3g, where scores are cut at %(bound).1f deviations.",
        {"now": now, "bound": bound},
        cause="The critic's learning rate is too high, or the rewards have grown far beyond their first scale.",
        advice="Lower critic_learning_rate, and look at the curve of rewards.",
        since=seen.since("value_loss", back=1),
    )


def entropy_collapse(seen: Seen) -> Finding | None:
    """Over 2 steps the entropy lies below a tenth of the first one's, or below 0.02 nats a token: one text is left."""
    values = seen.values("entropy")
    if len(values) < 4 or "reward" not in seen.curves:
        return None
    now = max(values[-2:])
    if now >= max(0.1 * values[0], 0.02):
        return None
    return Finding(
        "entropy_collapse",
        "The policy hardly varies any more: its entropy fell from %(before).2f to %(now).2f nats a token.",
        {"before": values[0], "now": now},
        cause="The policy has collapsed onto few texts: the learning rate is too high, or KL too cheap.",
        advice="Lower the learning rate, raise kl_coefficient, and read the samples.",
        severity="alarm",
        since=seen.since("entropy", back=2),
    )


def passes_cut(seen: Seen) -> Finding | None:
    """In 5 rollouts running the passes ended within the first of them, because the policy had moved too far."""
    values, epochs = seen.values("passes")[-5:], seen.recipe.get("epochs", 1)
    if len(values) < 5 or epochs < 2 or max(values) > 1.0:
        return None
    return Finding(
        "passes_cut",
        "In %(rollouts)d rollouts running the passes ended early: of %(epochs)d passes %(passes).1f were made.",
        {"rollouts": 5, "epochs": epochs, "passes": fmean(values)},
        cause="Single steps move the policy beyond stop_kl: the learning rate is too high for it.",
        advice="Lower the learning rate; raising stop_kl alone lets the policy run away from its rollout.",
        severity="note",
        since=seen.since("passes", back=5),
    )


def mostly_clipped(seen: Seen) -> Finding | None:
    """Over 3 rollouts more than half of the tokens are clipped; a healthy run clips a tenth to a third of them at most."""
    values = seen.values("clip_fraction")[-3:]
    if len(values) < 3 or min(values) <= 0.5:
        return None
    return Finding(
        "mostly_clipped",
        "%(percent).0f %% of the tokens are clipped: most of the gradient is thrown away.",
        {"percent": 100 * fmean(values)},
        cause="The policy moves too far from the one that sampled, within one rollout.",
        advice="Lower the learning rate or the epochs a rollout.",
        since=seen.since("clip_fraction", back=3),
    )
