"""One form of a conversation, its end of turn included, in fine-tuning, reward models, DPO, PPO and when a model is asked.

A reward model that is trained on texts with their end token and asked about texts without it scores something else; a
policy that learned one header and is asked behind another has not learned to answer. So all of them are compared here.
"""

from __future__ import annotations

import pytest
import torch

from tests.training import tiny
from tests.training.tiny_reward import write_reward_model
from training.mechanics import datasets, models
from training.mechanics.generation import sampling
from training.mechanics.instructions.talks import IGNORED, encode
from training.mechanics.online.judge import Said, read_answer
from training.mechanics.people import rankings
from training.methods import dpo
from training.recipes import RECIPES

ASKED = [{"role": "system", "content": "Be brief."}, tiny.user("What is rain?")]
TEXT, OTHER = "Water that falls.", "I do not know."
# Ends a turn with its end token and nothing behind it, as others do; the other one writes a line break there.
BARE = tiny.CHATML.replace("'<|im_end|>\n'", "'<|im_end|>'")
TEMPLATES = {"a line break behind each turn": tiny.CHATML, "nothing behind a turn": BARE}


@pytest.fixture(params=TEMPLATES.values(), ids=TEMPLATES.keys())
def words(request):
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = request.param
    return tokenizer


@pytest.fixture
def whole(words) -> list[int]:
    """What a reward model is trained on."""
    return datasets.render_conversation(words, [*ASKED, tiny.assistant(TEXT)])


def row():
    texts = {"prompt": ASKED, "chosen": [tiny.assistant(TEXT)], "rejected": [tiny.assistant(OTHER)]}
    return tiny.preference_rows(1)[0] | texts


def test_a_reward_model_is_trained_on_what_it_is_asked_about(words, whole, tmp_path):
    context = tiny.open_run(tiny.make_run(tmp_path / "run", "reward", {}, {}))
    [group] = rankings.tokenised(
        rankings.of_comparisons([row()]), tokenizer=words, max_length=500, context=context, split="train"
    )
    assert [*group.ids[0]] == whole
    judged = read_answer(words, Said(ASKED, TEXT, [0, 1]))
    assert judged.ids == whole


def test_a_policy_is_asked_behind_what_fine_tuning_has_answers_behind_and_ends_where_they_end(words, whole):
    example = encode(words, [*ASKED, tiny.assistant(TEXT)])
    learned = [i for i, label in enumerate(example.labels) if label != IGNORED]
    assert example.input_ids == whole
    assert whole[: learned[0]] == datasets.render_prompt(words, ASKED)
    assert whole[learned[-1]] == words.eos_token_id
    assert whole[learned[0] : learned[-1]] == words(TEXT, add_special_tokens=False)["input_ids"]


def test_dpo_learns_the_tokens_that_a_policy_would_write(words, whole, tmp_path):
    model = tiny.write_model(tmp_path / "model")
    words.save_pretrained(model.path)
    inputs = {"model": model, "preferences": tiny.write_dataset(tmp_path / "data", [row()])}
    run_dir = tiny.make_run(tmp_path / "run", "dpo", RECIPES["dpo"].presets["tiny"], inputs)
    context = tiny.open_run(run_dir)
    trainer = dpo.build(context, context.recipe, rows=[row()], held_out=[], tokenizer=words)
    [learned] = trainer.train_dataset
    asked = datasets.render_prompt(words, ASKED)
    assert learned["prompt_ids"] == asked
    written = learned["chosen_ids"]
    assert written == whole[len(asked) : len(asked) + len(written)]
    assert words.eos_token_id in written


def test_a_model_stops_at_the_token_that_its_answers_ended_with(words, whole, tmp_path):
    given = tiny.write_model(tmp_path / "model")
    model = models.load_causal(given, dtype=torch.float32)
    ends = sampling.end_tokens(model, words)
    behind = whole[len(datasets.render_prompt(words, ASKED)) :]
    assert [token for token in behind if token in ends] == [words.eos_token_id]


def test_a_reward_models_folder_carries_the_form_it_was_trained_in(tmp_path):
    given = write_reward_model(tmp_path / "reward")
    kept = models.load_tokenizer(given)
    assert kept.chat_template == tiny.tokenizer().chat_template
    assert read_answer(kept, Said(ASKED, TEXT, [0])).ids == datasets.render_conversation(
        tiny.tokenizer(), [*ASKED, tiny.assistant(TEXT)]
    )
