"""What is checked before a run exists, and what is written when it does."""

from __future__ import annotations

import pytest

from accounts.errors import NotFound
from audit.models import AuditEvent
from registry.services.names import NameTaken
from runs.models import Run
from runs.services.inputs import BadInput, find_input
from runs.services.start import BadRecipe, start_run
from tests.runs.conftest import a_dataset, a_model, a_tokenizer_run, an_artifact

pytestmark = pytest.mark.django_db


def test_a_run_stores_its_whole_recipe_so_that_it_can_be_repeated(ada, corpus):
    run = start_run(
        "tokenizer", recipe={"min_frequency": 3}, preset="tiny", inputs={"corpus": corpus.artifact}, user=ada
    )
    assert run.recipe == {"vocab_size": 512, "min_frequency": 3, "chat_template": "chatml", "special_tokens": []}


def test_starting_is_written_down_with_who_did_it(ada, corpus):
    run = a_tokenizer_run(corpus, ada)
    event = AuditEvent.objects.get(action="run.start")
    assert (event.actor, event.target_id) == (ada, str(run.pk))


def test_a_field_beyond_its_bound_is_named_with_the_bound(corpus):
    with pytest.raises(BadRecipe, match="vocab_size: Input should be less than or equal to 262144") as refused:
        start_run("tokenizer", recipe={"vocab_size": 10**6}, inputs={"corpus": corpus.artifact}, user=None)
    assert refused.value.data["fields"][0]["field"] == "vocab_size"
    assert not Run.objects.exists()


def test_a_typo_in_a_recipe_is_refused(corpus):
    with pytest.raises(BadRecipe, match="vocab_sise"):
        start_run("tokenizer", recipe={"vocab_sise": 512}, inputs={"corpus": corpus.artifact}, user=None)


def test_an_unknown_method_is_told_which_there_are():
    with pytest.raises(NotFound, match="tokenizer"):
        start_run("ppoo", recipe={}, inputs={}, user=None)


def test_a_reward_model_cannot_be_sampled_from(corpus):
    scorer, prompts = a_model("scorer", role="reward"), a_dataset("questions", kind="prompts")
    with pytest.raises(BadInput, match="Input model must be a model, not a reward model"):
        start_run("generate", recipe={}, inputs={"model": scorer.artifact, "prompts": prompts.artifact}, user=None)


def test_a_missing_input_is_named():
    with pytest.raises(BadInput, match="Input corpus is missing: a corpus dataset"):
        start_run("tokenizer", recipe={}, inputs={}, user=None)


def test_an_input_that_the_method_does_not_know_is_refused(corpus):
    with pytest.raises(BadInput, match="no input called corpse"):
        start_run("tokenizer", recipe={}, inputs={"corpus": corpus.artifact, "corpse": corpus.artifact}, user=None)


def test_the_output_of_an_earlier_run_is_checked_by_what_it_will_be(corpus):
    earlier = a_tokenizer_run(corpus)
    lessons = a_dataset("lessons", kind="instructions")
    with pytest.raises(BadInput, match="must be a model, not a tokenizer"):
        start_run("sft", recipe={}, inputs={"model": earlier, "instructions": lessons.artifact}, user=None)
    waiting = start_run(
        "pretrain", recipe={}, preset="tiny", inputs={"tokenizer": earlier, "corpus": corpus.artifact}, user=None
    )
    assert waiting.inputs.get(name="tokenizer").after == earlier


def test_a_masked_model_is_refused_where_a_model_must_write_and_so_is_a_run_that_will_make_one(corpus):
    filler, lessons = a_model("filler", role="masked"), a_dataset("lessons", kind="instructions")
    run = start_run("pretrain", recipe={"architecture": "bert"}, preset="tiny", user=None,
                    inputs={"tokenizer": a_tokenizer_run(corpus), "corpus": corpus.artifact})  # fmt: skip
    for model in (filler.artifact, run):
        with pytest.raises(BadInput, match="Input model must be a model, not a masked language model"):
            start_run("sft", recipe={}, inputs={"model": model, "instructions": lessons.artifact}, user=None)


def test_two_runs_under_way_cannot_make_things_of_one_name(corpus):
    a_tokenizer_run(corpus, output_name="words")
    with pytest.raises(NameTaken, match="words is taken"):
        a_tokenizer_run(corpus, output_name="words")


def test_inputs_are_found_by_name_by_id_and_by_the_name_of_what_a_run_will_make(corpus):
    run = a_tokenizer_run(corpus, output_name="words")
    model = a_model("addresses-base", role="base")
    assert find_input("addresses") == corpus.artifact
    assert find_input("addresses-base") == find_input(str(model.pk)) == model.artifact
    assert find_input(str(corpus.artifact.pk)) == corpus.artifact
    assert find_input("words") == find_input(str(run.pk)) == run
    assert find_input(str(an_artifact("tokenizer").pk)).kind == "tokenizer"
    with pytest.raises(NotFound):
        find_input("nothing-of-that-name")
