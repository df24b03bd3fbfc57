"""A rule about what samples the rollouts: whether it is still the policy that is trained."""

from __future__ import annotations

from statistics import fmean

from training.mechanics.coach.seen import Finding, Seen

FAR = 0.1  # nats a token: bfloat16 in two engines is mostly a few hundredths apart


def sampled_otherwise(seen: Seen) -> Finding | None:
    """Over 3 rollouts the sampler's log-probabilities were 0.1 nats a token or more from those that are trained.

    Ratios are right all the same, for both of their parts are taken by the pass that is trained; but the completions are
    another distribution's, and its rare tokens are learned from as if the policy had chosen them.
    """
    values = seen.values("sampling_gap")[-3:]
    if len(values) < 3 or min(values) < FAR:
        return None
    return Finding(
        "sampled_otherwise",
        "What samples the completions is %(gap).2f nats a token away from the policy that learns from them.",
        {"gap": fmean(values)},
        cause="The two compute in different precision or by different kernels, or the sampler has not taken over all of the "
        "policy's weights.",
        advice="Turn bf16 off, or sample with our own engine; if the curve of sampling_gap rises from update to update, the "
        "sampler's weights are old ones.",
        since=seen.since("sampling_gap", back=3),
    )
