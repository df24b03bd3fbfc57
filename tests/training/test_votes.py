"""People's orders as rewards: waited for until a deadline, asked for once, frozen; what they leave is scored or masked."""

from __future__ import annotations

import json
import shutil
import threading
import time

import pytest

from tests.training import tiny
from tests.training.tiny_reward import ppo_inputs
from tests.training.voters import answers_to, capitals, voting
from training import contract, questions
from training.mechanics.groups import votes
from training.methods import rloo
from training.questions import Answer, Answers, AskedText, Question, Sheet
from training.recipes import RECIPES

SOON = {"votes": {"deadline_minutes": 0.001}}
LATER = {"votes": {"deadline_minutes": 10}}
SHORT = {"episodes": 32, "batch_size": 8, "minibatch_size": 4, "max_new_tokens": 8, "epochs": 2, "lora": None, "bf16": False,
         "learning_rate": 2e-3}  # fmt: skip


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(votes, "POLL_S", 0.01)
    monkeypatch.setattr(questions, "GRACE_S", 0.0)


def a_run(folder, recipe, *, method="rloo", reward=True):
    inputs = ppo_inputs(folder)
    if not reward:
        del inputs["reward"]
    return tiny.make_run(folder / "run", method, recipe, inputs)


def weights_of(run_dir):
    return contract.read_manifest(run_dir)["files"]["model.safetensors"]


def shares(run_dir):
    """Of capital letters, by rollout, of the completions that were asked about."""
    told = []
    for path in sorted((run_dir / questions.QUESTIONS).glob("[0-9]*[0-9].json")):
        sheet = questions.read_sheet(run_dir, int(path.stem))
        texts = [one.text for each in sheet.questions for one in each.completions]
        told.append(sum(map(capitals, texts)) / len(texts))
    return told


# Scores


def test_a_rank_scores_what_a_normal_reward_would_give_it_on_average():
    scores = votes.rank_scores([["a"], ["b"], ["c"], ["d"]], names=list("abcd"))
    assert list(scores.values()) == pytest.approx([1.03, 0.30, -0.30, -1.03], abs=0.02)  # tables of order statistics
    assert sum(scores.values()) == pytest.approx(0)


def test_tied_texts_share_the_mean_of_their_ranks_and_unknown_ones_are_passed_over():
    scores = votes.rank_scores([["a", "b"], ["x"], ["c"]], names=list("abc"))
    assert scores["a"] == scores["b"] == pytest.approx((0.87 + 0) / 2, abs=0.02)
    assert scores["c"] == pytest.approx(-0.87, abs=0.02)


def test_one_judged_text_alone_says_nothing():
    assert votes.rank_scores([["a"]], names=["a", "b"]) == {}


def test_raters_are_averaged_and_a_text_that_all_left_out_is_masked():
    texts = [AskedText(name, name, [1], ended=True) for name in "abc"]
    sheet = Sheet(0, "", "", [Question("q", [], texts), Question("r", [], texts)])
    told = Answers({"q": Answer([[["a"], ["b"]], [["b"], ["a"]], [["a"], ["b"]]], is_complete=True)})
    scores, voted = votes.scores_of(sheet, told)
    best = votes.normal_score(1, 2)
    assert scores[:2].tolist() == pytest.approx([best / 3, -best / 3])
    assert scores[2:].isnan().all()
    assert voted.tolist() == [True] * 3 + [False] * 3


# Runs


@pytest.mark.slow(seconds=5)
@pytest.mark.parametrize("method", ["rloo", "grpo", "online_dpo"])
def test_peoples_order_is_the_reward_without_any_reward_model(method, tmp_path):
    recipe = RECIPES[method].presets["tiny"] | LATER | {"episodes": 256, "max_new_tokens": 12}
    run_dir = a_run(tmp_path, recipe, method=method, reward=False)
    with voting(run_dir, capitals):
        assert tiny.finish(run_dir) == contract.EXIT_DONE
    told = shares(run_dir)
    assert set(tiny.curve(run_dir, "voted").values()) == {1.0}
    assert set(tiny.curve(run_dir, "masked").values()) == {0.0}
    assert sum(told[-2:]) / 2 > 1.3 * sum(told[:2]) / 2


@pytest.mark.slow(seconds=2)
def test_peoples_word_goes_before_the_reward_models(tmp_path):
    recipe = RECIPES["rloo"].presets["tiny"] | LATER | {"episodes": 256, "max_new_tokens": 12}
    run_dir = a_run(tmp_path, recipe)
    with voting(run_dir, lambda text: -capitals(text)):
        assert tiny.finish(run_dir) == contract.EXIT_DONE
    metrics = contract.read_manifest(run_dir)["metrics"]
    assert metrics["raw_score"] < 0.8 * metrics["raw_score_before"]  # it rates capitals, which people rank last


def test_where_nobody_answers_the_reward_model_scores_and_the_run_is_the_one_without_votes(tmp_path):
    plain, asked = a_run(tmp_path / "plain", SHORT), a_run(tmp_path / "asked", SHORT | SOON)
    assert tiny.finish(plain) == tiny.finish(asked) == contract.EXIT_DONE
    assert set(tiny.curve(asked, "voted").values()) == {0.0}
    assert weights_of(asked) == weights_of(plain)


@pytest.mark.parametrize("method", ["rloo", "grpo", "online_dpo"])
def test_where_nobody_answers_and_nothing_scores_all_is_masked_and_nothing_is_learned(method, tmp_path):
    run_dir = a_run(tmp_path, SHORT | SOON, method=method, reward=False)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert set(tiny.curve(run_dir, "masked").values()) == {1.0}
    assert set(tiny.curve(run_dir, "kl").values()) == {0.0}


def test_a_part_of_the_prompts_may_be_answered(tmp_path):
    run_dir = a_run(tmp_path, SHORT | LATER | {"episodes": 8, "batch_size": 8}, reward=False)

    def wait_until_told(done):
        while not any(
            event["phase"] == "waiting for votes" and event["step"] == done
            for event in tiny.events(run_dir, "progress")
        ):
            time.sleep(0.01)

    def answer_one():
        wait_until_told(0)  # the sheet lies there a little before
        sheet = questions.open_sheets(run_dir)[0]
        first, second = sheet.questions
        told = answers_to(sheet, capitals).answers | {second.id: Answer([], is_complete=True)}
        questions.write(questions.answers_path(run_dir, 0), Answers({first.id: told[first.id]}))
        wait_until_told(1)
        questions.write(questions.answers_path(run_dir, 0), Answers(told))

    thread = threading.Thread(target=answer_one)
    thread.start()
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    thread.join()
    assert tiny.curve(run_dir, "voted") == {1: 0.5}
    assert tiny.curve(run_dir, "masked") == {1: 0.5}
    told = [event for event in tiny.events(run_dir, "progress") if event["phase"] == "waiting for votes"]
    assert [(event["step"], event["total"], event["unit"]) for event in told] == [(n, 2, "prompts") for n in range(3)]


# Stopped, killed, resumed


def test_stopped_while_it_waits_it_asks_nobody_twice_and_ends_in_the_same_bits(tmp_path):
    recipe = SHORT | LATER
    whole = a_run(tmp_path, recipe, reward=False)
    with voting(whole, capitals):
        assert tiny.finish(whole) == contract.EXIT_DONE

    run_dir = tiny.same_run(whole, tmp_path / "stopped")
    questions.answers_path(run_dir, 0).parent.mkdir()
    context = tiny.open_run(run_dir)

    def answer_once_then_stop():
        while not (sheets := questions.open_sheets(run_dir)):
            time.sleep(0.01)
        questions.write(questions.answers_path(run_dir, 0), answers_to(sheets[0], capitals))
        while questions.read_sheet(run_dir, 1) is None:
            time.sleep(0.01)
        context.stop_requested = True

    thread = threading.Thread(target=answer_once_then_stop)
    thread.start()
    with pytest.raises(votes.Stopped):
        rloo.run(context)
    thread.join()
    context.events.close()
    asked = questions.sheet_path(run_dir, 1).read_bytes()

    with voting(run_dir, capitals):
        assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert questions.sheet_path(run_dir, 1).read_bytes() == asked
    assert weights_of(run_dir) == weights_of(whole)


def test_answers_that_were_used_are_used_again_whatever_became_of_them(tmp_path):
    recipe = SHORT | LATER
    run_dir = a_run(tmp_path, recipe, reward=False)
    with voting(run_dir, capitals):
        assert tiny.finish(run_dir) == contract.EXIT_DONE
    first = weights_of(run_dir)

    # All but questions and answers is lost, and somebody writes other answers.
    for name in (contract.OUTPUT, contract.CHECKPOINTS):
        shutil.rmtree(run_dir / name)
    (run_dir / contract.MANIFEST).unlink()
    for number in range(4):
        other = answers_to(questions.read_sheet(run_dir, number), lambda text: -capitals(text))
        questions.write(questions.answers_path(run_dir, number), other)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert weights_of(run_dir) == first


def test_a_broken_file_of_answers_ends_the_run_with_a_sentence(tmp_path):
    run_dir = a_run(tmp_path, SHORT | LATER, reward=False)
    path = questions.answers_path(run_dir, 0)
    path.parent.mkdir()
    path.write_text(json.dumps({"answers": {"x": {"tiers": []}}, "is_closed": True}))
    assert tiny.finish(run_dir) == contract.EXIT_FAILED
    assert tiny.failure(run_dir)["code"] == "bad_answers"
    # The samples are in the sheet: mended, the run goes on with them.
    path.unlink()
    with voting(run_dir, capitals):
        assert tiny.finish(run_dir) == contract.EXIT_DONE
