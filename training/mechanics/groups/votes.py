"""People's orders as rewards: a rollout's completions are asked about, waited for until a deadline, and scored by rank.

The score of a rank is what a reward of mean 0 and deviation 1 would on average give to it: the expected order statistic
of a standard normal. That is the scale on which a reward model's scores are put, so a prompt that people ranked and one
that the reward model scored weigh alike.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from statistics import NormalDist

import torch
from torch import Tensor

from training import questions
from training.context import RunContext, Stopped
from training.contract import Failure
from training.mechanics.datasets import Message
from training.mechanics.generation.sampling import Sample
from training.questions import Answer, Answers, AskedText, Question, Sheet

POLL_S = 0.5
TELL_S = 30.0  # a run that says nothing is taken for dead


def ask(
    context: RunContext,
    *,
    number: int,
    prompts: list[list[Message]],
    answers: list[Sample],
    minutes: float,
    firsts: Sequence[Sample] = (),
) -> Sheet:
    """Writes the questions of rollout `number`: `answers` are K a prompt, a prompt's together; `firsts`, one a prompt or
    none, are of the model that the run began from."""
    k = len(answers) // len(prompts)
    now = datetime.now(UTC)
    sheet = Sheet(
        number=number,
        asked_at=now.isoformat(),
        deadline_at=(now + timedelta(minutes=minutes)).isoformat(),
        questions=[
            Question(
                name_of(context, number, p),
                [dict(message) for message in messages],
                [
                    AskedText(name_of(context, number, p, i), answer.text, answer.ids, answer.ended)
                    for i, answer in enumerate(answers[p * k : (p + 1) * k])
                ]
                + [
                    AskedText(name_of(context, number, p, k), one.text, one.ids, one.ended, is_first=True)
                    for one in firsts[p : p + 1]
                ],
            )
            for p, messages in enumerate(prompts)
        ],
    )
    questions.write(questions.sheet_path(context.dir, number), sheet)
    return sheet


def name_of(context: RunContext, *parts: int) -> str:
    """A uuid that follows from the run and from what it asks: a resumed run finds its questions known."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, " ".join(map(str, (context.spec.run, *parts)))))


def asked_before(context: RunContext, *, number: int, prompts: list[list[Message]]) -> list[list[AskedText]] | None:
    """The completions about which rollout `number` has asked already, by prompt. Raises `Failure("other_questions")`."""
    sheet = questions.read_sheet(context.dir, number)
    if sheet is None:
        return None
    if [question.messages for question in sheet.questions] != [[dict(m) for m in messages] for messages in prompts]:
        raise Failure(
            "other_questions",
            f"Rollout {number + 1} has asked about other prompts than it would ask about now.",
            advice="Start a fresh run: this one's folder holds the questions of another recipe or dataset.",
        )
    return [question.own for question in sheet.questions]


def wait(context: RunContext, sheet: Sheet) -> Answers:
    """The answers, frozen: the same ones however often this is asked. Raises `Stopped` on request, and leaves them open."""
    taken = questions.taken_path(context.dir, sheet.number)
    frozen = questions.read_answers(taken)
    if frozen is not None:
        return frozen
    path, told_at, told = questions.answers_path(context.dir, sheet.number), -math.inf, -1
    while True:
        found = questions.read_answers(path) or Answers()
        done, total = found.num_complete(sheet), len(sheet.questions)
        if done > told or time.monotonic() >= told_at + TELL_S:
            told, told_at = done, time.monotonic()
            context.progress("waiting for votes", done, total, unit="prompts", is_paced=False)
        late = (datetime.now(UTC) - sheet.deadline).total_seconds()
        if done == total or found.is_closed or late > questions.GRACE_S:
            break
        if context.stop_requested:
            raise Stopped
        time.sleep(POLL_S)
    questions.write(taken, found)
    return found


def scores_of(sheet: Sheet, answers: Answers) -> tuple[Tensor, Tensor]:
    """Scores [B], not a number where nobody judged, and whether people decided the completion's prompt [B]."""
    scores, voted = [], []
    for question in sheet.questions:
        names = [text.id for text in question.own]
        answer = answers.answers.get(question.id, Answer([], False))
        by_rank = [ranked for tiers in answer.rankings if (ranked := rank_scores(tiers, names=names))]
        for name in names:
            found = [ranked[name] for ranked in by_rank if name in ranked]
            scores.append(sum(found) / len(found) if found else math.nan)
        voted += [bool(by_rank)] * len(names)
    return torch.tensor(scores), torch.tensor(voted)


def rank_scores(tiers: list[list[str]], *, names: list[str]) -> dict[str, float]:
    """The score of each judged completion; tied ones share the mean of their ranks' scores. None of fewer than two.

    >>> rank_scores([["a"], ["b", "c"]], names=["a", "b", "c"])
    {'a': 0.8694237732888861, 'b': -0.43471188664444306, 'c': -0.43471188664444306}
    """
    known = [kept for tier in tiers if (kept := [name for name in tier if name in names])]
    total = sum(map(len, known))
    found: dict[str, float] = {}
    for tier in known if total > 1 else []:
        ranks = range(len(found) + 1, len(found) + len(tier) + 1)
        score = sum(normal_score(rank, total) for rank in ranks) / len(tier)
        found |= dict.fromkeys(tier, score)
    return found


def normal_score(rank: int, total: int) -> float:
    """The expected value of the `rank`-th greatest of `total` standard normals, to within 0.01 (Blom 1958): 1 is the best.

    >>> round(normal_score(1, 4), 2), round(normal_score(2, 4), 2)
    (1.05, 0.3)
    """
    return NormalDist().inv_cdf((total - rank + 1 - 0.375) / (total + 0.25))
