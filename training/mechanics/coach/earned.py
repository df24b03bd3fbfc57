"""What the coach looks for in rewards that a policy earns: that they differ, rise, keep in bounds, and do not pay for length."""

from __future__ import annotations

from statistics import fmean, pstdev

from training.mechanics.coach.seen import Finding, Seen, correlation, quarters_of


def constant_reward(seen: Seen) -> Finding | None:
    """In 3 rollouts running all completions got the same reward: there is nothing to learn from."""
    values = seen.values("reward_std")
    if len(values) < 3 or max(values[-3:]) > 1e-6:
        return None
    return Finding(
        "constant_reward",
        "All completions of a rollout get the same reward (deviation 0 in %(rollouts)d rollouts): nothing tells good from bad.",
        {"rollouts": 3},
        cause="The reward is constant: the reward model scores every text alike, every score is cut at reward_clip, or all "
        "completions are the same.",
        advice="Score a few texts with the reward model, and look at its held-out accuracy.",
        severity="alarm",
        since=seen.since("reward_std", back=3),
    )


def zero_std_groups(seen: Seen) -> Finding | None:
    """More than half of the prompts, over 5 steps (3 at least), had samples of one and the same reward.

    Such a group has no advantage and teaches nothing (DAPO, Yu et al. 2025, arXiv 2503.14476, section 3.2).
    """
    values = seen.values("zero_std_groups")[-5:]
    if len(values) < 3 or fmean(values) <= 0.5:
        return None
    return Finding(
        "zero_std_groups",
        "For %(percent).0f %% of the prompts all samples got the same reward: they teach nothing.",
        {"percent": 100 * fmean(values)},
        cause="The reward is constant, the prompts are too easy or too hard for the policy, or its samples hardly differ.",
        advice="Raise the temperature or the samples a prompt, choose other prompts, or look at the reward model.",
        since=seen.since("zero_std_groups", back=len(values)),
    )


def reward_clipped(seen: Seen) -> Finding | None:
    """Mean rewards of 3 rollouts lie above 80 % of the bound that scores are cut at: better texts no longer score more."""
    bound, values = seen.recipe.get("reward_clip"), seen.values("reward")[-3:]
    if bound is None or len(values) < 3 or min(values) <= 0.8 * bound:
        return None
    return Finding(
        "reward_clipped",
        "Rewards have drifted to %(mean).1f deviations of the first rollout's, close to where they are cut (%(bound).1f).",
        {"mean": fmean(values), "bound": bound},
        cause="The policy writes texts unlike any that the reward model was trained on: it has found something that it likes.",
        advice="Read the samples, and let people rank them against the reference's before going on.",
        since=seen.since("reward", back=3),
    )


def length_hacking(seen: Seen) -> Finding | None:
    """Reward rose by a deviation of its rollouts, length by half, and both went together over rollouts (correlation 0.7).

    Singhal et al. 2023 (arXiv 2310.03716): most of what RLHF gains on learned rewards can be length.
    """
    name = "raw_score" if "raw_score" in seen.curves else "reward"
    rewards, lengths, spreads = seen.values(name), seen.values("length"), seen.values("reward_std")
    reward, length = quarters_of(rewards, least=8), quarters_of(lengths, least=8)
    if reward is None or length is None or len(rewards) != len(lengths):
        return None
    rise = (reward[1] - reward[0]) / max(pstdev(rewards), 1e-9)
    if rise < 1.0 or fmean(spreads or [1.0]) < 1e-6 or length[1] < 1.5 * length[0]:
        return None
    together = correlation(rewards, lengths)
    if together < 0.7:
        return None
    return Finding(
        "length_hacking",
        "Rewards and lengths rise together (correlation %(together).2f): completions went from %(before).0f to %(now).0f tokens.",
        {"together": together, "before": length[0], "now": length[1]},
        cause="The reward pays for length: writing more is the easiest way to score more, whether it is better or not.",
        advice="Look at the reward model's accuracy where the better text is the shorter one; let people rank long against "
        "short; cut at fewer tokens, or raise the price of KL.",
        since=seen.since("length", back=length[2]),
    )


def reward_falls(seen: Seen) -> Finding | None:
    """The last quarter of 8 rollouts or more scores half a deviation of single completions below the first."""
    quarters, spreads = quarters_of(seen.values("reward"), least=8), seen.values("reward_std")
    if quarters is None or not spreads or quarters[1] > quarters[0] - 0.5 * max(fmean(spreads), 1e-6):
        return None
    return Finding(
        "reward_falls",
        "The reward has fallen from %(before).2f to %(now).2f: the policy gets worse at the one thing it is trained for.",
        {"before": quarters[0], "now": quarters[1]},
        cause="Steps are too large, or advantages have the wrong sign or come from a critic that misleads.",
        advice="Lower the learning rate, and look at the critic's explained variance.",
        severity="alarm",
        since=seen.since("reward", back=quarters[2]),
    )


def longer_and_rewarded(seen: Seen) -> Finding | None:
    """On held-out prompts the reward is clearly higher and answers are half as long again, clearly so."""
    figures = seen.final
    names = ("reward_difference_low", "length_difference_low", "length_policy", "length_reference")
    if any(not isinstance(figures.get(name), int | float) for name in names):
        return None
    long, short = figures["length_policy"], figures["length_reference"]
    if figures["reward_difference_low"] <= 0 or figures["length_difference_low"] <= 0 or long < 1.5 * short:
        return None
    return Finding(
        "longer_and_rewarded",
        "The policy scores higher and writes far longer: %(policy).0f tokens where the reference writes %(reference).0f.",
        {"policy": long, "reference": short},
        cause="The reward may pay for length: writing more is the easiest way to score more, whether it is better or not.",
        advice="Let people rank its answers against the reference's before it is promoted.",
    )
