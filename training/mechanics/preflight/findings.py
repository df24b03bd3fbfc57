"""What is said of a dataset and a model before fine-tuning, worst first: pure functions of the figures that were counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.mechanics.coach.learning import ends_unlearned, few_trained_tokens, template_mismatch
from training.mechanics.coach.seen import Finding, Seen

FEWEST, NARROW, BROAD = 100, 500, 1000  # examples: for anything; comfortable for one narrow task; for many kinds
NARROW_SHARE = 0.5  # of the questions begin alike: one kind of task
MANY, SOME = 0.05, 0.01
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
        few_shot,
        tuned,
    )
    found = [finding for check in checks if (finding := check(figures)) is not None]
    found += learned(figures)
    return sorted(found, key=lambda finding: ORDER[finding.severity])


def learned(figures: Figures) -> list[Finding]:
    """What the coach says at the first step of fine-tuning, said before it."""
    seen = Seen("sft", {}, final=figures.get("learned", {}))
    found = [check(seen) for check in (ends_unlearned, template_mismatch, few_trained_tokens)]
    share = seen.last("ends_learned")
    if share is not None and 0.5 <= share < 1:
        found.append(
            Finding(
                "some_ends_unlearned",
                "In %(percent).0f %% of the conversations no end of an answer is learned.",
                {"percent": 100 * (1 - share)},
                cause="The chat template ends some turns without the tokenizer's end token.",
                advice="Look at one of these conversations as the template renders it; the model may not stop after its like.",
            )
        )
    return [finding for finding in found if finding is not None]


def no_template(figures: Figures) -> Finding | None:
    if figures["has_template"]:
        return None
    return Finding(
        "no_template",
        "The model has no chat template: its %(rows)d conversations cannot be rendered.",
        {"rows": figures["rows"]},
        cause="It is a base model, or its tokenizer was taken over without its chat template.",
        advice="Put a chat_template into the tokenizer's folder, with turns that end in the end token, and import it again.",
        severity="alarm",
    )


def refused(figures: Figures) -> Finding | None:
    if not figures.get("refused"):
        return None
    return Finding(
        "template_refuses",
        "The chat template refuses %(count)d of %(rows)d conversations: %(reason)s",
        {"count": figures["refused"], "rows": figures["rows"], "reason": figures["refusal"]},
        cause="Some templates take no system message, or insist that user and assistant alternate.",
        advice="Change those conversations, or the template; fine-tuning would fail at the first of them.",
        severity="alarm",
    )


def no_roles(figures: Figures) -> Finding | None:
    if figures.get("tells_roles_apart", True):
        return None
    return Finding(
        "roles_not_told",
        "Between a question and its answer the chat template writes nothing but blanks.",
        {},
        cause="The template does not say who speaks, so the model cannot know where it is asked and where it answers.",
        advice="Choose a template that begins each turn with its role.",
        severity="alarm",
    )


def lost(figures: Figures) -> Finding | None:
    if not figures.get("lost"):
        return None
    return Finding(
        "template_loses_words",
        "In %(count)d of %(rows)d conversations the chat template leaves out or changes what a message says.",
        {"count": figures["lost"], "rows": figures["rows"]},
        cause="Templates drop system messages that they do not know, or strip parts of earlier answers.",
        advice="Look at one as it is rendered: what is left out is neither read nor learned.",
    )


def marked(figures: Figures) -> Finding | None:
    if not figures.get("marked"):
        return None
    return Finding(
        "rendered_before",
        "%(count)d of %(rows)d conversations have marks of a chat template in their words, such as %(mark)s",
        {"count": figures["marked"], "rows": figures["rows"], "mark": figures["mark"]},
        cause="They were rendered with another template before they were imported, and would be rendered again.",
        advice="Import the messages as they were before a template was laid over them.",
    )


def silent(figures: Figures) -> Finding | None:
    if not figures.get("silent"):
        return None
    share = figures["silent"] / figures["rows"]
    return Finding(
        "nothing_learned",
        "%(count)d of %(rows)d conversations (%(percent).1f %%) have no token that is learned, and would be left out.",
        {"count": figures["silent"], "rows": figures["rows"], "percent": 100 * share},
        cause="Their answers are empty, or the chat template does not show them.",
        advice="Look at one of them; nothing is learned from an empty answer.",
        severity="alarm" if share > 0.5 else "warning",
    )


def too_long(figures: Figures) -> Finding | None:
    if not figures.get("too_long"):
        return None
    share = figures["too_long"] / figures["rows"]
    return Finding(
        "too_long",
        "%(count)d of %(rows)d conversations (%(percent).1f %%) are longer than %(max_length)d tokens, and would be left out;"
        " the longest has %(longest)d.",
        {
            "count": figures["too_long"], "rows": figures["rows"], "percent": 100 * share,
            "max_length": figures["max_length"], "longest": figures["longest"],
        },
        cause="Rows are never cut: half an answer would teach the model to break off.",
        advice="Raise max_length if memory allows, or accept that the model learns nothing from long answers.",
        severity="alarm" if share > 0.5 else "warning" if share > SOME else "note",
    )  # fmt: skip


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
