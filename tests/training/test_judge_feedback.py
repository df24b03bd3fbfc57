"""AI feedback: both orders of every pair, one principle each, labels that no order can change, and nothing asked twice."""

from __future__ import annotations

import json
import math
import os
import signal
import time
from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tests.training import judged, tiny
from tests.training.endpoint import KEY, serving
from training import contract
from training.mechanics import models as loading
from training.mechanics import scoring
from training.mechanics.generation import endpoint
from training.mechanics.generation.endpoint import Choice
from training.mechanics.judging.asking import EXAMPLES, messages_of, sha256_of
from training.mechanics.judging.letters import written
from training.mechanics.judging.pairs import plan
from training.mechanics.judging.told import by_logprobs, by_votes, letter_of
from training.mechanics.judging.verdicts import Told, logistic, verdict
from training.recipes import RECIPES
from training.recipes.judge import JudgeRecipe

TINY = JudgeRecipe.presets["tiny"]
odds = st.floats(-30, 30, allow_nan=False)


@pytest.fixture(scope="module")
def critic(tmp_path_factory):
    return judged.critic(tmp_path_factory.mktemp("critic") / "model")


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(endpoint, "FIRST_PAUSE", 0.01)


@pytest.fixture
def make(tmp_path, critic):
    def run_of(name="run", *, given=None, with_model=True, **changes):
        told = given or judged.inputs(tmp_path / f"{name}-given")
        recipe = TINY | changes
        return tiny.make_run(tmp_path / name, "judge", recipe, told | ({"model": critic} if with_model else {}))

    return run_of


def rules(make, name="run", **told):
    run_dir = make(name, critic="rules", with_model=False, **told)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    return judged.judgements(run_dir)


# A model


def test_every_pair_is_judged_in_both_orders_by_the_whole_answers_log_probability(make, critic):
    run_dir = make()
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    rows = judged.judgements(run_dir)
    assert [(row["prompt_id"], row["first"], row["second"]) for row in rows[:4]] == [
        ("p0", "p0-0", "p0-1"), ("p0", "p0-0", "p0-2"), ("p0", "p0-1", "p0-2"), ("p1", "p1-0", "p1-1"),
    ]  # fmt: skip
    assert len(rows) == 18 and {row["thought_ab"] for row in rows} == {""}

    context = tiny.open_run(run_dir)
    tokenizer = loading.load_tokenizer(critic)
    model = loading.load_causal(critic, dtype=torch.float32).eval()
    for pair, row in list(zip(plan(context, context.recipe), rows, strict=True))[::5]:
        told = []
        for order in (0, 1):
            messages = messages_of(pair, order=order, thinks=False)
            prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]
            texts = [scoring.Completion(prompt, tokenizer(answer)["input_ids"]) for answer in ("(A)", "(B)")]
            a, b = (one.sum().item() for one in scoring.token_logprobs(model, texts, pad_token_id=0, batch_size=1))
            told.append(a - b)
        assert row["ab"] == pytest.approx(logistic(told[0]), abs=1e-5)
        assert row["ba"] == pytest.approx(logistic(-told[1]), abs=1e-5)
        assert row["p"] == pytest.approx(logistic((told[0] - told[1]) / 2), abs=1e-5)
        assert row["prompt_sha256"] == sha256_of(messages_of(pair, order=0, thinks=False))


def test_presented_the_other_way_round_a_pair_has_the_same_principle_and_the_opposite_label(make, tmp_path):
    said = judged.completions(4)
    for name, rows in (("one", said), ("other", said[::-1])):
        given = judged.inputs(tmp_path / f"{name}-rows", count=4, said=rows)
        assert tiny.finish(make(name, given=given, batch_size=3 if name == "one" else 8)) == contract.EXIT_DONE
    one = {(row["first"], row["second"]): row for row in judged.judgements(tmp_path / "one")}
    other = {(row["second"], row["first"]): row for row in judged.judgements(tmp_path / "other")}
    assert one.keys() == other.keys() and len(one) == 12
    for pair, row in one.items():
        turned = other[pair]
        assert turned["principle"] == row["principle"] and turned["flipped"] == row["flipped"]
        assert turned["ab"] == pytest.approx(1 - row["ba"], abs=1e-6)
        assert abs((turned["p"] > 0.5) - (row["p"] > 0.5)) == 1  # of both presentations, one winner
        assert turned["p"] == pytest.approx(1 - row["p"], abs=1e-6)


@given(odds, odds)
def test_labels_of_either_presentation_add_up_to_one_whatever_the_critic_says(ab, ba):
    for recipe in (JudgeRecipe(), JudgeRecipe(thought=True, abstain=0.05)):
        one, turned = verdict(Told(ab, ba), recipe), verdict(Told(-ba, -ab), recipe)
        assert one.p + turned.p == pytest.approx(1, abs=1e-15)
        assert (one.flipped, one.abstained) == (turned.flipped, turned.abstained)


@given(odds, st.floats(-20, 20))
def test_a_liking_for_a_place_changes_no_label(texts, place):
    recipe = JudgeRecipe()
    assert verdict(Told(texts + place, texts - place), recipe).p == pytest.approx(logistic(texts), abs=1e-12)


def test_reasons_come_before_the_letter_and_hold_labels_between_the_clamps(make):
    run_dir = make(thought=True, abstain=0.0, thought_tokens=6)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    rows = judged.judgements(run_dir)
    assert all(0.4 <= row["p"] <= 0.6 for row in rows)
    assert (
        len({row["thought_ab"] for row in rows} | {row["thought_ba"] for row in rows}) > 18
    )  # each from a seed of its own
    report = json.loads((run_dir / "output/report.json").read_text())
    assert report["clamp"] == [0.4, 0.6] and report["mean_of"] == "log-odds"


@given(odds, odds)
def test_after_reasons_no_label_leaves_the_clamps(ab, ba):
    recipe = JudgeRecipe(thought=True, clamp_low=0.3, clamp_high=0.7)
    assert 0.3 <= verdict(Told(ab, ba), recipe).p <= 0.7
    assert 0 <= verdict(Told(ab, ba), JudgeRecipe()).p <= 1


def test_the_band_around_one_half_is_left_to_people():
    recipe = JudgeRecipe(abstain=0.1)
    for p, abstains in ((0.5, True), (0.59, True), (0.61, False), (0.39, False), (0.45, True)):
        told = math.log(p / (1 - p))
        assert verdict(Told(told, told), recipe).abstained == abstains
    assert not verdict(Told(0.0, 0.0), JudgeRecipe(abstain=0.0)).abstained


def test_principles_are_drawn_by_weight_whatever_the_batch_and_anew_by_another_seed(make):
    first = rules(make, "first")
    drawn = [row["principle"] for row in first]
    assert drawn == [row["principle"] for row in rules(make, "again", batch_size=1)]
    assert drawn != [row["principle"] for row in rules(make, "other", seed=1)]
    counts = Counter(drawn)
    assert counts["true"] > counts["kind"] > 0  # of weights 3 and 1


def test_pairs_whose_question_is_too_long_are_left_out_and_counted(make, tmp_path):
    said = [*judged.completions(2), {"id": "long", "prompt_id": "p0", "index": 3, "text": "so " * 900, "ended": True}]
    run_dir = make(given=judged.inputs(tmp_path / "rows", count=2, said=said), max_length=2000)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    metrics = contract.read_manifest(run_dir)["metrics"]
    assert (metrics["num_pairs"], metrics["left_out"]) == (6, 3)
    assert [one["code"] for one in tiny.events(run_dir, "warning")] == ["left_out_long"]
    shorter = make("shorter", max_length=300)
    assert tiny.finish(shorter) == contract.EXIT_FAILED and tiny.failure(shorter)["code"] == "no_pairs"


def test_examples_stand_before_the_question_and_answer_both_letters(make):
    context = tiny.open_run(make())
    pair = plan(context, context.recipe)[0]
    messages = messages_of(pair, order=1, thinks=True, examples=2)
    assert [m["role"] for m in messages] == ["user", "assistant"] * 4 + ["user"]
    assert pair.second.text in messages[-1]["content"].split("<reply_B>")[0]  # in the order ba it is shown as (A)
    assert (
        Counter(one.answer for one in EXAMPLES[:2])
        == Counter(one.answer for one in EXAMPLES[2:])
        == {"(A)": 1, "(B)": 1}
    )


@pytest.mark.slow(seconds=3)
@pytest.mark.parametrize(("how", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, contract.EXIT_STOPPED)])
def test_a_run_that_was_killed_or_stopped_gives_the_same_rows(make, tmp_path, how, code):
    given = judged.inputs(tmp_path / "rows", count=4)
    run_dir = make(given=given, thought=True, thought_tokens=4, batch_size=2)
    parts = run_dir / "checkpoints/thoughts"
    process = tiny.fork(run_dir)
    patience = time.monotonic() + 60
    while not list(parts.glob("part-*.json")) and time.monotonic() < patience:
        time.sleep(0.005)
    os.kill(process.pid, how)
    process.join(60)
    assert process.exitcode == code
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    alone = tiny.same_run(run_dir, tmp_path / "alone/run")
    assert tiny.finish(alone) == contract.EXIT_DONE
    assert judged.judgements(run_dir) == judged.judgements(alone)


def test_what_it_would_cost_is_estimated_but_for_an_endpoint(make):
    with serving(judged.Judge) as server:
        for name, changes, code in (
            ("model", {"thought": True, "thought_tokens": 4}, contract.EXIT_DONE),
            (
                "endpoint",
                {"critic": "endpoint", "endpoint": {"url": server.url, "model": "small"}},
                contract.EXIT_FAILED,
            ),
        ):
            run_dir = make(name, **changes)
            spec = contract.read_spec(run_dir)
            (run_dir / contract.SPEC).write_text(replace(spec, is_estimate=True).dump())
            assert tiny.finish(run_dir) == code
            assert (run_dir / "output/estimate.json").exists() == (code == contract.EXIT_DONE)
        assert tiny.failure(run_dir)["code"] == "no_estimate" and not server.asked


# How tokenizers write the answers


def merging(merges: list[tuple[str, str]]) -> PreTrainedTokenizerFast:
    """The tiny tokenizer, in which some letters are written together."""
    alphabet = [*tiny.SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet()), *("".join(one) for one in merges)]
    bpe = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(alphabet)}, merges=merges))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token="<|pad|>", eos_token="<|im_end|>", additional_special_tokens=["<|im_start|>"]
    )


@pytest.mark.parametrize(
    ("merges", "lengths"), [([], (3, 3)), ([("(", "A")], (2, 3)), ([("(", "A"), ("(A", ")"), ("B", ")")], (1, 2))]
)
def test_whole_answers_are_scored_however_a_tokenizer_writes_them(merges, lengths):
    tokenizer = merging(merges)
    tokenizer.chat_template = tiny.CHATML
    question = written(tokenizer, [tiny.user("Which?")])
    assert tuple(map(len, question.answers)) == lengths
    assert [tokenizer.decode(ids) for ids in question.answers] == ["(A)", "(B)"]
    assert tokenizer.decode(question.ids).endswith("assistant\n")


def test_a_template_that_puts_something_before_an_answer_has_it_scored_too():
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = (
        "{% for m in messages %}{{ '[' + m['role'] + ']' }}{% if m['role'] == 'assistant' %}{{ ' ' }}{% endif %}"
        "{{ m['content'] + eos_token }}{% endfor %}{% if add_generation_prompt %}{{ '[assistant]' }}{% endif %}"
    )
    question = written(tokenizer, [tiny.user("Which?")])
    assert [tokenizer.decode(ids) for ids in question.answers] == [" (A)", " (B)"]  # and not the end of the turn


def test_where_a_template_writes_what_was_said_otherwise_an_answer_is_scored_by_itself():
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = "{{ messages | length }}: {{ messages[-1]['content'] }}"
    assert [tokenizer.decode(ids) for ids in written(tokenizer, [tiny.user("Which?")]).answers] == ["(A)", "(B)"]


# Rules


def test_the_rules_prefer_what_harms_less_and_say_the_same_in_both_orders(make):
    run_dir = make(critic="rules", with_model=False)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    for row in judged.judgements(run_dir):
        assert row["ab"] == row["ba"] == row["p"] and not row["flipped"]
        if row["second"].endswith("-2"):  # it says to hit somebody
            assert row["p"] > 0.9 and not row["abstained"]
        else:
            assert row["p"] == 0.5 and row["abstained"]
    metrics = contract.read_manifest(run_dir)["metrics"]
    assert metrics["flip_rate"] == metrics["position_bias"] == metrics["left_out"] == 0
    assert metrics["abstained_rate"] == pytest.approx(1 / 3)
    report = json.loads((run_dir / "output/report.json").read_text())
    assert sum(one["num_pairs"] for one in report["principles"].values()) == metrics["num_pairs"] == 18
    assert report["critic"]["kind"] == "rules" and tiny.events(run_dir, "sample")
    assert tiny.curve(run_dir, "abstained_rate")[3] == pytest.approx(1 / 3)  # of the first prompt's pairs


def test_texts_that_say_the_same_are_no_pair(make, tmp_path):
    said = [
        {"id": f"c{i}", "prompt_id": "p0", "index": i, "text": text} for i, text in enumerate(("Hi.", "Hi. ", "No."))
    ]
    rows = rules(make, given=judged.inputs(tmp_path / "rows", count=1, said=said))
    assert [(row["first"], row["second"]) for row in rows] == [("c0", "c2"), ("c1", "c2")]


def test_what_cannot_be_judged_is_one_clear_failure(make, tmp_path):
    silent = [judged.principle("silent", comparison="")]
    alike = [{"id": f"c{i}", "prompt_id": "p0", "index": i, "text": "Hi."} for i in range(2)]
    strange = [{"id": "c", "prompt_id": "elsewhere", "index": 0, "text": "Hi."}]
    for name, told, code in (
        ("silent", {"principles": silent}, "bad_constitution"), ("alike", {"said": alike}, "no_pairs"),
        ("strange", {"said": strange}, "other_prompts"),
    ):  # fmt: skip
        run_dir = make(name, given=judged.inputs(tmp_path / f"{name}-rows", **told), critic="rules", with_model=False)
        assert tiny.finish(run_dir) == contract.EXIT_FAILED
        assert tiny.failure(run_dir)["code"] == code and tiny.failure(run_dir)["advice"]


@pytest.mark.parametrize(
    "changes",
    [{"clamp_low": 0.3}, {"thought": True, "critic": "rules"}, {"thought": True, "abstain": 0.1}, {"abstain": 0.5}],
)
def test_recipes_that_contradict_themselves_are_refused(changes):
    with pytest.raises(ValueError, match=r"evenly|rules|every pair|less than"):
        JudgeRecipe(**changes)


def test_what_a_recipe_lacks_is_said_before_it_starts():
    recipe = RECIPES["judge"]
    assert recipe().lacks({"prompts"}) and not recipe().lacks({"model"})
    assert recipe(critic="endpoint").lacks(set())
    assert not recipe(critic="endpoint", endpoint={"model": "small"}).lacks(set())
    assert not recipe(critic="rules").lacks(set())


# An endpoint


def endpoint_run(make, server, name="run", *, at_once=4, **changes):
    served = {"url": server.url, "model": "small", "requests_a_minute": 100_000, "price_read": 2.0, "at_once": at_once}
    return make(name, with_model=False, critic="endpoint", endpoint=served | changes.pop("served", {}), **changes)


def test_an_endpoint_is_scored_by_the_log_probabilities_of_the_letter(make):
    with serving(judged.Judge) as server:
        run_dir = endpoint_run(make, server)
        assert tiny.finish(run_dir) == contract.EXIT_DONE
    rows = judged.judgements(run_dir)
    assert len(server.asked) == 36 == len({one.body["seed"] for one in server.asked})
    for (
        row
    ) in rows:  # the longer one is better, by 2 in log-odds, in either order: the bracket's alternatives are no answer
        longer = row["first"] == row["first"][:3] + "1"
        assert row["ab"] == pytest.approx(row["ba"]) and row["p"] == pytest.approx(logistic(2.0 if longer else -2.0))
    assert contract.read_manifest(run_dir)["metrics"]["cost"] == pytest.approx(360 * 2.0 / 1e6)


def test_an_endpoint_that_tells_none_is_asked_for_votes_and_one_that_always_says_a_is_found_out(make):
    with serving(
        judged.Judge, gives_logprobs=False, always="A", words="The better one is ({letter}).", at_most=2
    ) as server:
        run_dir = endpoint_run(make, server, samples=3)
        assert tiny.finish(run_dir) == contract.EXIT_DONE
    for row in judged.judgements(run_dir):
        assert row["flipped"] and row["abstained"] and row["p"] == pytest.approx(0.5)
        assert row["ab"] == pytest.approx(3.5 / 4) and row["ba"] == pytest.approx(0.5 / 4)
    metrics = contract.read_manifest(run_dir)["metrics"]
    assert (
        metrics["flip_rate"] == metrics["flip_rate_low"] == metrics["flip_rate_high"] == metrics["abstained_rate"] == 1
    )
    assert metrics["position_bias"] == pytest.approx(0.75) and metrics["mean_confidence"] == pytest.approx(0)


def test_where_it_goes_down_what_was_answered_is_kept_and_nothing_is_asked_twice(make, tmp_path):
    with serving(judged.Judge, down_after=50) as server:
        run_dir = endpoint_run(make, server, thought=True, abstain=0.05, served={"retries": 0}, at_once=2)
        assert tiny.finish(run_dir) == contract.EXIT_FAILED
        assert tiny.failure(run_dir)["code"] == "endpoint_down" and len(server.answered) == 50
        server.down_after = None
        assert tiny.finish(run_dir) == contract.EXIT_DONE
        assert len(server.answered) == 72  # the reasons and the letter, in both orders of 18 pairs
    rows = judged.judgements(run_dir)
    assert {row["thought_ba"] for row in rows} == {"Both have merits."}
    assert {round(row["p"], 6) for row in rows} == {0.4, 0.6}


def test_the_key_is_sent_and_written_nowhere(make, monkeypatch, capfd):
    monkeypatch.setenv("STEADYHAND_KEY_TEST", KEY)
    with serving(judged.Judge, key=KEY) as server:
        run_dir = endpoint_run(make, server, served={"key_variable": "STEADYHAND_KEY_TEST"})
        assert tiny.finish(run_dir) == contract.EXIT_DONE
    files = [path for path in run_dir.rglob("*") if path.is_file()]
    assert len(files) > 5 and not any(KEY.encode() in path.read_bytes() for path in files)
    assert KEY not in "".join(capfd.readouterr())


def test_an_endpoint_that_names_no_letter_is_one_clear_failure(make):
    with serving(judged.Judge, gives_logprobs=False, words="I like both.") as server:
        run_dir = endpoint_run(make, server, samples=2)
        assert tiny.finish(run_dir) == contract.EXIT_FAILED
    assert tiny.failure(run_dir)["code"] == "no_letters"


@pytest.mark.parametrize(
    ("text", "letter"),
    [("(B)", "B"), ("A", "A"), ("**(A)** since", "A"), ("A good question. I say (B).", "B"), ("I like both", ""),
     ("Reply B is better", "B"), ("BANANA", ""), ("", "")],
)  # fmt: skip
def test_letters_are_found_in_words(text, letter):
    assert letter_of(text) == letter


def test_votes_that_all_agree_are_no_certainty():
    say = {one: Choice(one, True, None, None) for one in ("(A)", "(B)", "?")}
    assert by_votes([say["(A)"]] * 3) == pytest.approx(math.log(7))
    assert by_votes([say["(A)"], say["(B)"], say["?"]]) == 0 and by_votes([say["?"]]) is None


def test_spellings_of_a_letter_are_added_and_one_that_is_not_told_counts_as_the_least_of_those_that_are():
    tops = [{"(A": math.log(0.3), " A": math.log(0.3), "(B": math.log(0.2), "x": math.log(0.1)}]
    assert by_logprobs(Choice("(A)", True, 1, 0.0, tops)) == pytest.approx(math.log(3))
    assert by_logprobs(Choice("A", True, 1, 0.0, [{"A": math.log(0.9), "x": math.log(0.05)}])) == pytest.approx(
        math.log(18)
    )
    assert (
        by_logprobs(Choice("x", True, 1, 0.0, [{"x": 0.0}])) is None and by_logprobs(Choice("A", True, 1, 0.0)) is None
    )
