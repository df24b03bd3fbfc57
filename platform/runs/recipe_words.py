"""What recipes say of themselves, in the reader's language: summaries, names and help of fields, what is wrong with a value.

`training` knows no Django, so it cannot mark its own words: `recipe_marks` does so for it.
"""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext, gettext_noop
from pydantic_core import ErrorDetails

from accounts.numbers import digits

# Pydantic's own sentences, by the kind of error; the bound stands in its context.
COMPLAINTS = {
    "greater_than": gettext_noop("Input should be greater than %(gt)s"),
    "greater_than_equal": gettext_noop("Input should be greater than or equal to %(ge)s"),
    "less_than": gettext_noop("Input should be less than %(lt)s"),
    "less_than_equal": gettext_noop("Input should be less than or equal to %(le)s"),
    "int_parsing": gettext_noop("Input should be a valid integer, unable to parse string as an integer"),
    "float_parsing": gettext_noop("Input should be a valid number, unable to parse string as a number"),
    "literal_error": gettext_noop("Input should be %(expected)s"),
    "string_too_long": gettext_noop("Input should have at most %(max_length)s characters"),
    "missing": gettext_noop("Field required"),
    "extra_forbidden": gettext_noop("Extra inputs are not permitted"),
}
# What recipes say where their fields don't fit together.
REFUSALS = (
    gettext_noop("a stop string must not be empty"),
    gettext_noop("accumulation must divide batch_size"),
    gettext_noop("masking is for the architectures bert and modernbert"),
    gettext_noop("next_sentence is for the architecture bert"),
    gettext_noop("sweep must be multiples above 0 and up to 1000"),
    gettext_noop("discopop_tau is for the loss discopop"),
    gettext_noop("estimated flips are for the losses sigmoid and robust, beside which no other takes them"),
    gettext_noop("exo_pair needs a label_smoothing above 0, such as 0.001"),
    gettext_noop("f_alpha_divergence_coef is for the f_divergence_type alpha_divergence"),
    gettext_noop(
        "f_divergence_type is for the losses discopop, exo_pair, hinge, ipo, robust, sft, sigmoid and sigmoid_norm"
    ),
    gettext_noop("label_smoothing is for the losses sigmoid, robust, exo_pair, aot and aot_unpaired"),
    gettext_noop("min_new_tokens must not be above max_new_tokens"),
    gettext_noop("shortest must not be above ngram"),
    gettext_noop("min_words must not be above max_words"),
    gettext_noop("shares lie between 0 and 1"),
    gettext_noop("vocab_size must leave room for 256 bytes and the special tokens"),
    gettext_noop("special tokens must differ, and neither be empty nor begin or end with a space"),
    gettext_noop("k must divide batch_size"),
    gettext_noop("minibatch_size must be even: completions are learned from in pairs"),
    gettext_noop("minibatch_size must divide batch_size"),
    gettext_noop("more_losses are other losses, each with a weight above 0 and up to 100, such as sft:1"),
    gettext_noop("num_heads must divide hidden_size into heads of even width"),
    gettext_noop("num_groups is of estimated groups: a campaign's are as many as it names"),
    gettext_noop("several heads are an ensemble or those of groups of raters, not both"),
    gettext_noop("use_weighting is not for aot and aot_unpaired, whose sorted margins belong to no comparison"),
    gettext_noop("temperatures must lie above 0 and at most at 2"),
    gettext_noop("samples_per_prompt must divide minibatch_size"),
    gettext_noop("stride is at most half of max_length: a window must reach beyond the one before"),
    gettext_noop("class_weights are of a classification"),
    gettext_noop("lora has the settings of the adapters lora and qlora, not of virtual tokens"),
    gettext_noop("weights are above 0; a dataset that is not to be learned is left out of the inputs"),
)

# What a run would lack, whose recipe's fields do fit together.
LACKS = (
    gettext_noop("Nobody would score the completions: choose a reward model, or let people vote."),
    gettext_noop("Give one dataset, of the kind that is to be curated: a corpus or instructions."),
    gettext_noop("There is one weight a dataset of instructions, in the order of the inputs, or none."),
    gettext_noop("Choose a set to measure on: a corpus, instructions or labelled texts."),
    gettext_noop("The critic is an endpoint, and none is told: fill in its address and model."),
    gettext_noop("The critic is a model: choose one as the input model."),
    gettext_noop("Texts are to be scored by a reward model: choose one as the input reward."),
    gettext_noop("A share of helpful samples is asked for: choose prompts as the input helpful."),
    gettext_noop("There is nothing to answer yet: write a prompt."),
    gettext_noop("A principle is tried by its critique request and its revision request: write both."),
)


def said(text: str) -> str:
    """A word or sentence of a recipe, translated; "" stays so."""
    return gettext(text) if text else ""


def complaint(error: ErrorDetails) -> str:
    """What is wrong with a field; in English where pydantic says what we have no words for."""
    sentence = COMPLAINTS.get(error["type"])
    if sentence is None:
        return said(error["msg"].removeprefix("Value error, "))
    context: dict[str, Any] = error.get("ctx", {})
    bounds = {name: digits(value, form="g") if isinstance(value, float) else value for name, value in context.items()}
    return gettext(sentence) % bounds
