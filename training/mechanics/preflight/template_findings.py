"""What is said of a chat template, and of rows as it renders them: pure functions of the figures that were counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.mechanics.coach.learning import ends_unlearned, few_trained_tokens, template_mismatch
from training.mechanics.coach.seen import Finding, Seen

HALF, SOME = 0.5, 0.01  # of the rows

Figures = Mapping[str, Any]


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
        severity="alarm" if share > HALF else "warning",
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
        severity="alarm" if share > HALF else "warning" if share > SOME else "note",
    )  # fmt: skip


def other_template(figures: Figures) -> Finding | None:
    if not figures.get("tuned_template_differs"):
        return None
    return Finding(
        "other_template",
        "The fine-tuned model has another chat template than the model that it is compared with.",
        {},
        cause="It was trained from another model, or its template was changed: what it learned is asked for in other words.",
        advice="Sample with the template that a model was trained with, and compare models of one template.",
    )
