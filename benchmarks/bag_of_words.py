"""What the words of two texts say about which one people prefer, without their order: what a reward model has to beat."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import real_rankings
from benchmarks.real_rankings import Rankings, Row
from training.mechanics.trainers.judgement import accuracy, interval

PENALTIES = (3.0, 10.0, 30.0, 100.0, 300.0)  # of bags of words; chosen on the training prompts alone


def bag_of_words(train: Sequence[Rankings], test: Sequence[Rankings]) -> tuple[float, float, float]:
    """Held-out accuracy, with its interval, of a logistic regression on differences of log(1 + how often a word stands)."""
    sides = [[row for task in tasks for row in real_rankings.comparisons(task)] for tasks in (train, test)]
    held_back = {row["group_id"] for row in sides[0] if int(row["group_id"][-2:], 16) < 51}  # a fifth
    fitted_on = [row for row in sides[0] if row["group_id"] not in held_back]
    judged_on = [row for row in sides[0] if row["group_id"] in held_back]
    seen = {p: accuracy(margins(fitted_on, judged_on, penalty=p)) for p in PENALTIES}
    found = margins(*sides, penalty=max(PENALTIES, key=lambda p: seen[p]))
    low, high = interval(found, [row["group_id"] for row in sides[1]])
    return accuracy(found), low, high


def margins(train: Sequence[Row], test: Sequence[Row], *, penalty: float) -> list[float]:
    """What the words of the better text come to less those of the other; words of one comparison alone are none."""
    counted = [[(bag(row, "chosen"), bag(row, "rejected")) for row in rows] for rows in (train, test)]
    times = Counter(word for both in counted[0] for word in both[0].keys() | both[1].keys())
    column = {word: i for i, word in enumerate(sorted(word for word, n in times.items() if n > 1))}
    train_ND, test_ND = (torch.stack([difference(*both, column) for both in some]) for some in counted)
    weights_N = torch.tensor([row["weight"] for row in train])
    weights_N = weights_N / weights_N.mean()
    beta_D = torch.zeros(len(column), requires_grad=True)
    optimizer = torch.optim.LBFGS([beta_D], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (weights_N * F.softplus(-(train_ND @ beta_D))).sum() + penalty / 2 * beta_D.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    found: list[float] = (test_ND @ beta_D.detach()).tolist()
    return found


def bag(row: Row, side: str) -> Counter[str]:
    return words_of(row[side][-1]["content"])


def difference(better: Counter[str], worse: Counter[str], column: dict[str, int]) -> Tensor:
    found_D = torch.zeros(len(column))
    for sign, words in ((1, better), (-1, worse)):
        for word, n in words.items():
            if word in column:
                found_D[column[word]] += sign * torch.log1p(torch.tensor(float(n)))
    return found_D


def words_of(text: str) -> Counter[str]:
    return Counter(re.findall(r"[\w']+|[^\w\s]", text.lower()))
