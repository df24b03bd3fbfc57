"""How good decisions are: accuracy, F1 by label and over all, exact match, calibration, each with an interval over groups.

Entities count as in CoNLL's script and seqeval: right is one whose label, start and end are those of a true one. Macro F1 is
the mean over the labels that occur, in truth or in decisions. Intervals are 95 % by bootstrap over groups of rows.

Legend: G groups, L labels, R resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from training.mechanics.prompt_statistics import Array, interval
from training.mechanics.tasks import answers
from training.mechanics.tasks.deciding import Decision
from training.mechanics.tasks.rows import Row
from training.mechanics.trainers.judgement import binned_gap
from training.recipes.finetune import TaskName

Figures = dict[str, Any]


def figures_of(task: TaskName, rows: Sequence[Row], decisions: Sequence[Decision], *, seed: int = 0) -> Figures:
    """`score`, with its interval, is the one figure by which models on the task are set side by side."""
    match task:
        case "classification":
            found = of_labels(rows, [one.label for one in decisions], seed=seed)
            right = [row.label == one.label for row, one in zip(rows, decisions, strict=True)]
            found["ece"] = binned_gap([one.probability for one in decisions], right)
            named = "accuracy"
        case "entities":
            found, named = of_entities(rows, decisions, seed=seed), "f1"
        case "answers":
            found, named = of_answers(rows, [one.answer for one in decisions], seed=seed), "f1"
    scores = {f"score{end}": found[f"{named}{end}"] for end in ("", "_low", "_high")}
    return found | scores | {"n": len(rows)}


def groups_of(rows: Sequence[Row]) -> np.ndarray:
    """The number of each row's group."""
    _, number = np.unique(np.array([row.unit for row in rows]), return_inverse=True)
    return number.reshape(-1)


def with_interval(name: str, statistic: Callable[[Array], Array], *, num: int, seed: int) -> Figures:
    """Of all groups once each, and of resamples of them; no interval, which JSON can't hold, of one group."""
    low, high = interval(num, statistic, seed=seed)
    value = float(statistic(np.full((1, num), 1 / num))[0])
    ends = (low, high) if np.isfinite(low) else (value, value)
    return {name: value, f"{name}_low": ends[0], f"{name}_high": ends[1]}


# Labels


def confusion(truth: Sequence[str], said: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Labels, and how often each (row) was called each (column)."""
    labels = sorted({*truth, *said})
    number = {label: i for i, label in enumerate(labels)}
    counts_LL = np.zeros((len(labels), len(labels)), dtype=int)
    for right, told in zip(truth, said, strict=True):
        counts_LL[number[right], number[told]] += 1
    return labels, counts_LL


def of_labels(rows: Sequence[Row], said: Sequence[str], *, seed: int = 0) -> Figures:
    """`accuracy` (which is micro F1, as each text has one label), `f1_macro`, and by label, with the confusion matrix."""
    truth = [row.label for row in rows]
    labels, counts_LL = confusion(truth, said)
    number = {label: i for i, label in enumerate(labels)}
    group, size = groups_of(rows), len(labels)
    num = int(group.max()) + 1
    counts_GLL = np.zeros((num, size, size))
    for place, right, told in zip(group, truth, said, strict=True):
        counts_GLL[place, number[right], number[told]] += 1

    def accuracy(weights_RG: Array) -> Array:
        counts_RLL = np.tensordot(weights_RG, counts_GLL, axes=1)
        right_R: Array = np.trace(counts_RLL, axis1=1, axis2=2) / counts_RLL.sum(axis=(1, 2))
        return right_R

    def macro(weights_RG: Array) -> Array:
        counts_RLL = np.tensordot(weights_RG, counts_GLL, axes=1)
        right_RL = np.diagonal(counts_RLL, axis1=1, axis2=2)
        return macro_f1(right_RL, counts_RLL.sum(axis=2), counts_RLL.sum(axis=1))

    by_label = {
        label: of_counts(counts_LL[i, i], true=counts_LL[i].sum(), told=counts_LL[:, i].sum())
        for i, label in enumerate(labels)
    }
    found = with_interval("accuracy", accuracy, num=num, seed=seed)
    return {
        **found,
        **with_interval("f1_macro", macro, num=num, seed=seed),
        "f1_micro": found["accuracy"],
        "by_label": by_label,
        "confusion": {"labels": labels, "counts": counts_LL.tolist()},
    }


def f1(right: Array, true: Array, told: Array) -> Array:
    found: Array = 2 * right / np.maximum(true + told, 1e-12)
    return found


def macro_f1(right_RL: Array, true_RL: Array, told_RL: Array) -> Array:
    """Labels that a resample does not hold are no part of its mean."""
    is_there = (true_RL + told_RL) > 0
    found: Array = (f1(right_RL, true_RL, told_RL) * is_there).sum(axis=1) / np.maximum(is_there.sum(axis=1), 1)
    return found


def of_counts(right: float, *, true: float, told: float) -> dict[str, float]:
    return {
        "precision": float(right / told) if told else 0.0,
        "recall": float(right / true) if true else 0.0,
        "f1": float(2 * right / (true + told)) if true + told else 0.0,
        "n": int(true),
    }


# Entities


def of_entities(rows: Sequence[Row], decisions: Sequence[Decision], *, seed: int = 0) -> Figures:
    """`precision`, `recall`, `f1` over all entities, `f1_macro` over their labels."""
    labels = sorted({span.label for row in rows for span in row.spans} | {s.label for d in decisions for s in d.spans})
    number = {label: i for i, label in enumerate(labels)}
    group = groups_of(rows)
    num = int(group.max()) + 1
    right_GL, true_GL, told_GL = (np.zeros((num, max(len(labels), 1))) for _ in range(3))
    for place, row, decision in zip(group, rows, decisions, strict=True):
        true, told = set(row.spans), set(decision.spans)
        for counts, spans in ((right_GL, true & told), (true_GL, true), (told_GL, told)):
            for span in spans:
                counts[place, number[span.label]] += 1

    def micro(weights_RG: Array) -> Array:
        right, true, told = ((weights_RG @ counts).sum(axis=1) for counts in (right_GL, true_GL, told_GL))
        return f1(right, true, told)

    def macro(weights_RG: Array) -> Array:
        return macro_f1(weights_RG @ right_GL, weights_RG @ true_GL, weights_RG @ told_GL)

    by_label = {
        label: of_counts(right_GL[:, i].sum(), true=true_GL[:, i].sum(), told=told_GL[:, i].sum())
        for i, label in enumerate(labels)
    }
    overall = of_counts(right_GL.sum(), true=true_GL.sum(), told=told_GL.sum())
    return {
        "precision": overall["precision"],
        "recall": overall["recall"],
        **with_interval("f1", micro, num=num, seed=seed),
        **with_interval("f1_macro", macro, num=num, seed=seed),
        "num_entities": int(true_GL.sum()),
        "by_label": by_label,
    }


# Answers


def of_answers(rows: Sequence[Row], said: Sequence[str], *, seed: int = 0) -> Figures:
    """`exact_match` and `f1` of words, by SQuAD's comparison."""
    rights = [[row.text[span.start : span.end] for span in row.spans] for row in rows]
    exact = [answers.exact_match(one, right) for one, right in zip(said, rights, strict=True)]
    words = [answers.overlap(one, right) for one, right in zip(said, rights, strict=True)]
    units = [row.unit for row in rows]
    return {**mean_over("exact_match", exact, units, seed=seed), **mean_over("f1", words, units, seed=seed)}


def mean_over(name: str, values: Sequence[float], units: Sequence[str], *, seed: int = 0) -> Figures:
    """A mean over rows, with its interval over the units that they belong to."""
    _, group = np.unique(np.array(units), return_inverse=True)
    sums_G, counts_G = np.bincount(group, weights=np.asarray(values, dtype=float)), np.bincount(group).astype(float)

    def mean(weights_RG: Array) -> Array:
        found: Array = (weights_RG @ sums_G) / (weights_RG @ counts_G)
        return found

    return with_interval(name, mean, num=len(sums_G), seed=seed)
