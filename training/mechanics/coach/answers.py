"""What the coach looks for in what a model writes: answers that do not end, that are empty, or that are all the same."""

from __future__ import annotations

from collections import Counter
from statistics import fmean

from training.mechanics.coach.seen import Finding, Seen, quarters_of

FEWEST_ANSWERS, FEWEST_SAMPLED = 4, 64
SHORT = 16  # tokens: a limit below it cuts on purpose
RARELY, MOSTLY = 0.2, 0.5
ENDS_CAUSE = (
    "The model does not end its answers by itself: its training data or its chat template has no end token, the end token "
    "was masked because it is the padding token too, or the length that answers are cut at is too short for them."
)
ENDS_ADVICE = (
    "Read the samples. If they are finished and go on: fine-tune on conversations whose template ends each turn. "
    "If they break off in the middle: allow more tokens."
)


def answers_do_not_end(seen: Seen) -> Finding | None:
    """While learning: none of 4 samples or more ended, at two looks running, in the second half of the run."""
    values, count = seen.values("eval_ended"), len(seen.latest_answers())
    limit = seen.recipe.get("sample_tokens", 0)
    if limit < SHORT or count < FEWEST_ANSWERS or len(values) < 2 or max(values[-2:]) > 0 or seen.share_done < 0.5:
        return None
    return Finding(
        "answers_do_not_end",
        "None of the %(count)d samples ended within %(limit)d tokens, twice running.",
        {"count": count, "limit": limit},
        cause=ENDS_CAUSE,
        advice=ENDS_ADVICE,
        since=seen.since("eval_ended", back=2),
    )


def completions_do_not_end(seen: Seen) -> Finding | None:
    """Fewer than a fifth of a run's completions, or of the first 64 of a policy, ended by themselves."""
    limit = seen.recipe.get("max_new_tokens", 0)
    rate, count = seen.final.get("ended_rate"), seen.final.get("num_completions", 0)
    if "ended" in seen.curves and "reward" in seen.curves:
        rollouts = seen.values("ended")[:4]
        rate, count = fmean(rollouts), len(rollouts) * seen.recipe.get("batch_size", 0)
        if count < FEWEST_SAMPLED:
            return None
    if rate is None or rate >= RARELY or count < SHORT or limit < SHORT:
        return None
    return Finding(
        "completions_do_not_end",
        "Of %(count)d completions %(percent).0f %% ended by themselves; the others were cut at %(limit)d tokens.",
        {"count": count, "percent": 100 * rate, "limit": limit},
        cause=ENDS_CAUSE,
        advice=ENDS_ADVICE,
        severity="warning",
    )


def ends_fall(seen: Seen) -> Finding | None:
    """The share of completions that end has halved since the first quarter of the rollouts, where most ended."""
    quarters = quarters_of(seen.values("ended"), least=8)
    if quarters is None or quarters[0] < MOSTLY or quarters[1] > quarters[0] / 2:
        return None
    return Finding(
        "ends_fall",
        "At first %(before).0f %% of the completions ended by themselves; now it is %(now).0f %%.",
        {"before": 100 * quarters[0], "now": 100 * quarters[1]},
        cause="The reward pays for going on: the policy has found out that it need not stop.",
        advice="Set missing_eos_penalty, allow more tokens, or look at whether the reward model likes length.",
        since=seen.since("ended", back=quarters[2]),
    )


def one_answer(seen: Seen) -> Finding | None:
    """Of the newest samples, 4 or more to 3 prompts or more, three quarters say the very same."""
    answers = seen.latest_answers()
    if len(answers) < FEWEST_ANSWERS or len({a.prompt for a in answers}) < 3 or (seen.step == 0 and not seen.is_over):
        return None  # step 0 is of the model that training begins with
    said, times = Counter(answer.text.strip() for answer in answers).most_common(1)[0]
    if not said or times < 0.75 * len(answers):
        return None
    return Finding(
        "one_answer",
        "%(times)d of %(count)d samples say the same, whatever was asked: “%(text)s”.",
        {"times": times, "count": len(answers), "text": shortened(said)},
        cause="The model has collapsed onto one answer: the data say one thing, the rate is too high, or the reward likes one "
        "text above all.",
        advice="Look at how many different answers the data have; lower the learning rate, raise beta or the price of KL.",
        severity="alarm",
        since=answers[0].step,
    )


def empty_answers(seen: Seen) -> Finding | None:
    """Three quarters of the newest samples, 4 at least, are empty."""
    answers = seen.latest_answers()
    empty = sum(not answer.text.strip() for answer in answers)
    if len(answers) < FEWEST_ANSWERS or empty < 0.75 * len(answers) or (seen.step == 0 and not seen.is_over):
        return None
    return Finding(
        "empty_answers",
        "%(empty)d of %(count)d samples are empty.",
        {"empty": empty, "count": len(answers)},
        cause="The model ends before it says anything: it is asked in another form than it was trained with (chat template), "
        "or its training answers are empty.",
        advice="Compare the chat template with the one of its training, and look at the answers that it learned.",
        severity="alarm",
        since=answers[0].step,
    )


def completions_alike(seen: Seen) -> Finding | None:
    """More than half of the completions repeat, word for word, another one of their prompt."""
    share = seen.final.get("repeated_share")
    if share is None or share <= 0.5:
        return None
    return Finding(
        "completions_alike",
        "%(percent).0f %% of the completions repeat another one of their prompt word for word.",
        {"percent": 100 * share},
        cause="The model is too sure of itself at these temperatures: there is nothing to rank between equal texts.",
        advice="Raise the temperatures or top_p, or take completions from several models.",
    )


def shortened(text: str, *, most: int = 60) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
