"""What people read of runs in their own language, and what stays as it is whoever reads it."""

from __future__ import annotations

import pytest
from django.utils.translation import ngettext, override
from pydantic import ValidationError

from runs.models import Run
from runs.recipe_form import errors_of
from runs.recipe_words import COMPLAINTS, REFUSALS, said
from runs.words import pace
from training.recipes import RECIPES

WRONG = [
    ("ppo", {"episodes": 0}),
    ("ppo", {"clip": 1}),
    ("ppo", {"clip": 0}),
    ("ppo", {"epochs": 33}),
    ("ppo", {"episodes": "many"}),
    ("ppo", {"gamma": "much"}),
    ("evaluate", {"utility": "all"}),
    ("ppo", {"sed": 1}),
    ("ppo", {"batch_size": 32, "minibatch_size": 5}),
    ("rloo", {"batch_size": 32, "k": 5}),
    ("online_dpo", {"batch_size": 27, "minibatch_size": 3, "k": 3}),
    ("pretrain", {"hidden_size": 100, "num_heads": 3}),
    ("pretrain", {"batch_size": 8, "accumulation": 3}),
    ("pretrain", {"masking": {}}),
    ("pretrain", {"architecture": "modernbert", "masking": {"next_sentence": True}}),
    ("pretrain", {"sweep": [0.0]}),
    ("generate", {"temperatures": [3.0]}),
    ("generate", {"min_new_tokens": 97}),
    ("generate", {"stop_strings": [""]}),
    ("dpo", {"more_losses": ["nothing:1"]}),
    ("dpo", {"loss": "exo_pair"}),
    ("dpo", {"loss": "hinge", "label_smoothing": 0.1}),
    ("dpo", {"loss": "ipo", "flips": "estimated"}),
    ("dpo", {"loss": "bco_pair", "f_divergence_type": "forward_kl"}),
    ("dpo", {"f_alpha_divergence_coef": 0.3}),
    ("dpo", {"discopop_tau": 0.1}),
    ("dpo", {"loss": "aot", "use_weighting": True}),
    ("reward", {"heads": 3, "groups": "estimated"}),
    ("reward", {"num_groups": 3, "groups": "campaign"}),
    ("ppo", {"samples_per_prompt": 3}),
    ("curate", {"decontamination": {"ngram": 6, "shortest": 7}}),
    ("curate", {"quality": {"min_words": 9, "max_words": 8}}),
    ("curate", {"repetition": {"max_most_frequent": [0.2, 0.2, 1.2]}}),
    ("tokenizer", {"vocab_size": 300, "special_tokens": [f"<{n}>" for n in range(60)]}),
    ("tokenizer", {"special_tokens": ["<a>", "<a>"]}),
    ("finetune", {"task": "entities", "max_length": 64, "stride": 63}),
    ("finetune", {"task": "entities", "class_weights": True}),
    ("sft", {"adapter": "prompt", "lora": {"r": 4}}),
    ("sft", {"weights": [1.0, 0.0]}),
]


def refused(method: str, fields: dict[str, object]) -> ValidationError:
    with pytest.raises(ValidationError) as told:
        RECIPES[method].model_validate(fields)
    return told.value


@pytest.mark.parametrize(("method", "fields"), WRONG)
def test_a_refused_recipe_says_why_in_the_readers_language(method, fields):
    error = refused(method, fields)
    english = [detail["msg"].removeprefix("Value error, ") for detail in error.errors()]
    assert list(errors_of(error).values()) == english  # as pydantic has it: ours must not drift from it
    with override("de"):
        german = list(errors_of(error).values())
    assert german != english and "%" not in german[0]


def test_every_refusal_of_a_recipe_is_one_that_is_translated():
    said_so = {detail["msg"] for method, fields in WRONG for detail in refused(method, fields).errors()}
    assert {f"Value error, {refusal}" for refusal in REFUSALS} <= said_so
    types = {detail["type"] for method, fields in WRONG for detail in refused(method, fields).errors()}
    assert types - {"value_error"} <= COMPLAINTS.keys()


def test_recipes_are_shown_translated():
    with override("de"):
        assert said(RECIPES["reward"].summary) == "Ein Belohnungsmodell auf einem Präferenzdatensatz trainieren."
        assert said("") == ""


def test_the_pace_of_a_run_is_told_with_the_numbers_of_the_language():
    run = Run(step=1200, total=6000, unit="steps", rate=2.13, eta_s=2400)
    assert pace(run) == "1,200 of 6,000 steps, 2.13 steps/s, about 40 min 00 s left"
    with override("de"):
        assert pace(run) == "1.200 / 6.000 Schritte, 2,13 Schritte/s, noch etwa 40 min 00 s"


def test_what_is_counted_has_a_word_of_its_own_in_arabic_from_none_to_many():
    with override("ar"):
        told = {ngettext("%(num)s row", "%(num)s rows", n) for n in (0, 1, 2, 3, 11, 100)}
    assert len(told) == 6
