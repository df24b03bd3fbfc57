"""What is said of a dataset and a model before fine-tuning, worst first: pure functions of the figures that were counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.mechanics.coach.seen import Finding
from training.mechanics.preflight.template_findings import (
    learned,
    lost,
    marked,
    no_roles,
    no_template,
    other_template,
    refused,
    silent,
    too_long,
)

FEWEST, NARROW, BROAD = 100, 500, 1000  # examples: for anything; comfortable for one narrow task; for many kinds
NARROW_SHARE = 0.5  # of the questions begin alike: one kind of task
MANY, SOME = 0.05, 0.01  # of the rows
CLEAR_GAIN = 0.05  # of the bits: what a few examples must save to be worth a word
ORDER = {"alarm": 0, "warning": 1, "note": 2}

Figures = Mapping[str, Any]


def findings_of(figures: Figures) -> list[Finding]:
    checks = (
        no_template,
        refused,
        no_roles,
        lost,
        marked,
        silent,
        too_long,
        examples,
        repeated,
        alike,
        leaks,
        other_template,
        few_shot,
        tuned,
    )
    found = [finding for check in checks if (finding := check(figures)) is not None]
    found += learned(figures)
    return sorted(found, key=lambda finding: ORDER[finding.severity])


def examples(figures: Figures) -> Finding:
    told = {"count": figures["rows"], "percent": 100 * figures["begin_alike"]}
    if figures["rows"] < FEWEST:
        return Finding(
            "too_few",
            "There are %(count)d examples to learn from: too few even for one narrow task.",
            told,
            cause="With fewer than about 100 to 500 examples a model learns these answers by heart, and little else.",
            advice="Put some of them into a few-shot prompt instead, or collect 1,000 to 10,000 of them.",
            severity="alarm",
        )
    if figures["is_narrow"]:
        return narrow(figures["rows"], told)
    if figures["rows"] < BROAD:
        return Finding(
            "few_for_many_kinds",
            "There are %(count)d examples of many kinds (%(percent).0f %% of the questions begin alike); 1,000 to 10,000 are"
            " recommended.",
            told,
            cause="Each kind of question is met a few times only: the model learns the tone of the answers, not the tasks.",
            advice="Collect more, or fine-tune on one kind of task; a small learning rate and few epochs do least harm.",
        )
    return Finding(
        "enough",
        "There are %(count)d examples of many kinds: within or above the 1,000 to 10,000 that are recommended.",
        told, cause="", advice="", severity="note",
    )  # fmt: skip


def narrow(rows: int, told: dict[str, float | int | str]) -> Finding:
    if rows < NARROW:
        return Finding(
            "few_for_a_task",
            "There are %(count)d examples of one narrow task (%(percent).0f %% of the questions begin alike): it can do, and"
            " 500 would do better.",
            told,
            cause="100 to 500 examples are the least for a task with one form of answer.",
            advice="Hold enough of them out to see whether it worked, and compare with a few-shot prompt.",
            severity="note",
        )
    return Finding(
        "enough_for_a_task",
        "There are %(count)d examples of one narrow task (%(percent).0f %% of the questions begin alike): enough for it.",
        told, cause="", advice="", severity="note",
    )  # fmt: skip


def repeated(figures: Figures) -> Finding | None:
    share = figures["repeated"] / max(figures["compared"], 1)
    if not figures["repeated"]:
        return None
    return Finding(
        "repeated",
        "%(count)d of %(rows)d conversations (%(percent).1f %%) repeat another one word for word.",
        {"count": figures["repeated"], "rows": figures["compared"], "percent": 100 * share},
        cause="Copies count as often as they stand there: their answers are learned by heart.",
        advice="Leave the copies out before freezing.",
        severity="warning" if share > SOME else "note",
    )


def alike(figures: Figures) -> Finding | None:
    share = figures["alike"] / max(figures["compared"], 1)
    if not figures["alike"]:
        return None
    return Finding(
        "alike",
        "%(count)d more of %(rows)d conversations (%(percent).1f %%) are nearly the same as an earlier one.",
        {"count": figures["alike"], "rows": figures["compared"], "percent": 100 * share},
        cause="At least four in five of their runs of three words are the same. A long instruction that all questions share"
        " does that too, and is no fault.",
        advice="Read a few such pairs; leave out what says the same.",
        severity="warning" if share > MANY else "note",
    )


def leaks(figures: Figures) -> Finding | None:
    count, near = figures["leaked"], figures["leaked_nearly"]
    if not count and not near:
        return None
    return Finding(
        "leak",
        "Of %(held_out)d held-out questions %(count)d stand among those that are trained on, and %(near)d nearly so.",
        {"held_out": figures["held_out_questions"], "count": count, "near": near},
        cause="A model that has learned a question's answer by heart looks better on it than it is.",
        advice="Leave those out of the training rows, or judge by other prompts.",
        severity="alarm" if count > MANY * figures["held_out_questions"] else "warning",
    )


def few_shot(figures: Figures) -> Finding | None:
    bits, gain = figures.get("bits", {}), figures.get("gain_of_shots")
    if not bits.get("zero_shot") or gain is None:
        return None
    told = {
        "shots": figures["shots"], "rows": figures["measured"], "zero": bits["zero_shot"]["value"],
        "few": bits["few_shot"]["value"], "percent": 100 * gain["value"] / max(bits["zero_shot"]["value"], 1e-9),
    }  # fmt: skip
    if gain["low"] is not None and gain["low"] > 0 and told["percent"] >= 100 * CLEAR_GAIN:
        return Finding(
            "try_few_shot",
            "This may not need fine-tuning: with %(shots)d examples in the prompt the model foresees %(rows)d held-out answers"
            " at %(few).3f bits a byte, without them at %(zero).3f: %(percent).0f %% less.",
            told,
            cause="The model can do some of this already, once it sees what is wanted.",
            advice="Try a few-shot prompt first. A fine-tuned model is worth its cost where it goes clearly below that figure.",
            severity="note",
        )
    return Finding(
        "few_shot_helps_little",
        "%(shots)d examples in the prompt change little: %(few).3f bits a byte on %(rows)d held-out answers, without them"
        " %(zero).3f.",
        told,
        cause="The model does not learn this from a prompt, or it knows it already.",
        advice="This speaks for fine-tuning, where the answers without examples are not good enough.",
        severity="note",
    )


def tuned(figures: Figures) -> Finding | None:
    bits, gain = figures.get("bits", {}), figures.get("gain_of_tuning")
    if not bits.get("tuned") or gain is None:
        return None
    told = {
        "rows": figures["measured"], "tuned": bits["tuned"]["value"], "few": bits["few_shot"]["value"],
        "shots": figures["shots"],
    }  # fmt: skip
    if gain["low"] is not None and gain["low"] > 0:
        return Finding(
            "tuning_helps",
            "The fine-tuned model foresees %(rows)d held-out answers at %(tuned).3f bits a byte, the model with %(shots)d"
            " examples in its prompt at %(few).3f: fine-tuning is worth it.",
            told, cause="", advice="", severity="note",
        )  # fmt: skip
    return Finding(
        "tuning_helps_little",
        "The fine-tuned model foresees %(rows)d held-out answers at %(tuned).3f bits a byte, no clearer than the model with"
        " %(shots)d examples in its prompt at %(few).3f.",
        told,
        cause="What was learned is what the examples show as well.",
        advice="Use the few-shot prompt, or look for what the training rows lack.",
    )
