"""Critique and revision by principles: harm falls round by round, draws follow weights and seed, and a killed run ends alike."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from registry.services.datasets import tally_of
from tests.training import constituted as made
from tests.training import tiny
from tests.training.endpoint import KEY, serving
from tests.training.tiny_reward import write_reward_model
from training import contract
from training.context import RunContext
from training.mechanics.constitutional import chains, principles
from training.mechanics.constitutional.critics import ModelCritic
from training.mechanics.constitutional.leaks import Cleaned
from training.mechanics.constitutional.principles import Example, Principle
from training.mechanics.constitutional.prompts import Ask, messages_of
from training.mechanics.constitutional.rounds import reply_in
from training.mechanics.memory import Room
from training.mechanics.models import load_causal, load_tokenizer
from training.recipes import harm
from training.recipes.constitutional import ConstitutionalRecipe

RECIPE = {
    "critic": "rules",
    "temperature": 0.1,
    "max_new_tokens": 80,
    "critique_tokens": 24,
    "batch_size": 8,
    "bf16": False,
}
ASKED = list(made.HARMFUL)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    return {
        "model": made.write_harmful_model(folder / "model"),
        "prompts": made.write_prompts(folder / "prompts", ASKED[:2], ASKED[2:]),
        "constitution": made.write_constitution(folder / "constitution"),
    }


@pytest.fixture(scope="module")
def helped(inputs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("helped")
    # One of them stands among the held-out prompts to be revised.
    return inputs | {"helpful": made.write_prompts(folder / "helpful", [f"Say {i}" for i in range(12)] + ASKED[2:])}


@pytest.fixture(scope="module")
def run_of(tmp_path_factory):
    def done(inputs, *, code=contract.EXIT_DONE, **changes):
        run_dir = tiny.make_run(tmp_path_factory.mktemp("runs") / "run", "constitutional", RECIPE | changes, inputs)
        assert tiny.finish(run_dir) == code
        return run_dir

    return done


@pytest.fixture(scope="module")
def whole(helped, run_of):
    return run_of(helped)


def metrics_of(run_dir):
    return contract.read_manifest(run_dir)["metrics"]


def all_chains(run_dir, kind="revised"):
    rows = [row for split in ("train", "test") for row in made.rows_of(run_dir, split, "chains")]
    return [row for row in rows if row["kind"] == kind]


# Rounds


def test_by_rules_harm_falls_with_every_round_of_every_chain_and_every_revision_is_kept(whole):
    rows = all_chains(whole)
    assert [row["response"] for row in rows] == list(made.HARMFUL.values())
    for row in rows:
        texts = [row["response"], *(step["revision"] for step in row["steps"])]
        assert row["scores"] == [harm.harmfulness(text) for text in texts] == pytest.approx([0.8, 0.6, 0.4, 0.2, 0.0])
        assert [step["round"] for step in row["steps"]] == [1, 2, 3, 4] and all(step["kept"] for step in row["steps"])
        for before, step in zip(texts, row["steps"], strict=False):
            assert harm.harmful_sentences(before)[0] in step["critique"]
        assert row["chosen"] == texts[1:]
    assert tiny.curve(whole, "harmfulness") == pytest.approx({0: 0.8, 1: 0.6, 2: 0.4, 3: 0.2, 4: 0.0})
    assert tiny.curve(whole, "kept") == dict.fromkeys(range(1, 5), 1.0)
    assert {(s["prompt"], s["step"]): s["text"] for s in tiny.events(whole, "sample")}[ASKED[0], 4] == rows[0][
        "chosen"
    ][-1]


def test_rows_are_a_dataset_of_instructions_with_splits_kept_apart_and_chains_beside_it(whole):
    tally = tally_of(whole / "output", kind="instructions")  # as the platform checks it on publishing
    assert tally.splits == {"train": 2 * 4 + 12, "test": 4 + 1}  # the helpful prompt that is held out, too
    train = made.rows_of(whole)
    assert train[3]["messages"] == [tiny.user(ASKED[0]), tiny.assistant(all_chains(whole)[0]["chosen"][-1])]
    assert len({row["id"] for row in train}) == 20
    assert made.schema_of(whole, "chains").equals(chains.CHAINS)
    helpful = all_chains(whole, "helpful")
    assert len(helpful) == 13 and all(not row["steps"] and row["chosen"] == [row["response"]] for row in helpful)
    metrics = metrics_of(whole)
    assert (metrics["num_revised"], metrics["num_helpful"], metrics["revisions_kept"]) == (12, 13, 1.0)
    assert "by a list of harmful words" in (whole / "output/README.md").read_text()


def test_the_last_revision_alone_and_a_share_of_helpful_answers(helped, run_of):
    run_dir = run_of(helped, learn="last", helpful_share=0.75)
    rows = all_chains(run_dir)
    assert all(row["chosen"] == [row["steps"][-1]["revision"]] for row in rows)
    assert metrics_of(run_dir)["num_revised"] == 3
    assert len(made.rows_of(run_dir)) == 2 + 6  # three quarters of them helpful
    assert [warning["code"] for warning in tiny.events(run_dir, "warning")] == ["few_helpful"]  # in the test split
    again = run_of(helped, learn="last", helpful_share=0.75)
    assert contract.read_manifest(again)["sha256"] == contract.read_manifest(run_dir)["sha256"]


def test_without_rounds_answers_are_learned_as_they_are(inputs, run_of):
    run_dir = run_of(inputs, rounds=0, score="none")
    assert [row["chosen"] for row in all_chains(run_dir)] == [[text] for text in made.HARMFUL.values()]
    assert all(row["scores"] == [] for row in all_chains(run_dir)) and not tiny.curve(run_dir, "harmfulness")


def test_texts_that_were_cut_or_that_only_refuse_can_be_left_out(inputs, helped, run_of):
    cut = run_of(helped, drop_cut=True, max_new_tokens=60)
    chosen = [row["chosen"] for row in all_chains(cut, "helpful")]
    assert [] in chosen and [made.HARMFUL[ASKED[2]]] in chosen  # what was learned by heart has ended
    recipe = ConstitutionalRecipe(drop_cut=True, drop_evasive=True)
    assert reply_in(recipe, None, None, {"text": "It br", "ended": False, "is_too_long": False}).why == "cut"  # type: ignore[arg-type]

    chain = chains.Chain("p", "revised", "train", 0, [tiny.user("Hi.")], 0, "Hit him.")
    for number, text in enumerate(
        ["I won't do that. You matter.", "I won't do that. Ask a lawyer: he knows."], start=1
    ):
        chain.take(number, Principle("a", "?", "!"), critique="", answer=text, cleaned=Cleaned(text))
    assert chains.learned(recipe, chain) == ["I won't do that. Ask a lawyer: he knows."]
    assert len(chains.learned(ConstitutionalRecipe(), chain)) == 2


def test_once_nothing_is_harmful_rules_leave_the_text_alone(inputs, run_of):
    run_dir = run_of(inputs, rounds=6)
    for row in all_chains(run_dir):
        assert [(step["kept"], step["why"]) for step in row["steps"]] == [(True, "")] * 4 + [(False, "unchanged")] * 2
        assert row["scores"][4:] == [0, 0, 0] and len(row["chosen"]) == 4
    assert tiny.curve(run_dir, "unchanged")[6] == 1


def test_what_rules_put_in_is_one_harmless_sentence_for_every_kind_of_harm():
    assert harm.SAFE.keys() == harm.HARMFUL.keys()
    for sentence in (sentence for own in harm.SAFE.values() for sentence in own):
        assert harm.sentences(sentence) == [sentence] and not harm.harmful_sentences(sentence)


def test_texts_of_each_round_are_scored_by_a_reward_model(inputs, run_of, tmp_path):
    reward = write_reward_model(tmp_path / "reward")
    run_dir = run_of(inputs | {"reward": reward}, score="reward", rounds=2)
    scores = [row["scores"] for row in all_chains(run_dir)]
    assert all(len(own) == 3 and len(set(own)) == 3 for own in scores)
    assert tiny.curve(run_dir, "score")[2] == pytest.approx(sum(own[2] for own in scores) / 3)


# Principles


def test_principles_are_drawn_by_weight():
    given = [
        Principle("a", "?", "!", weight=1),
        Principle("b", "?", "!", weight=3),
        Principle("c", "?", "!", weight=0.5),
    ]
    drawn = Counter(principles.draw(given, seed, number).id for seed in range(900) for number in range(1, 6))
    # Within four standard deviations of 4500 lots.
    assert [drawn[name] / 4500 for name in "abc"] == pytest.approx([1 / 4.5, 3 / 4.5, 0.5 / 4.5], abs=0.03)


def test_which_principle_is_drawn_follows_from_the_seed_and_not_from_the_batch(inputs, whole, run_of):
    def drawn(run_dir):
        return [[step["principle"] for step in row["steps"]] for row in all_chains(run_dir)]

    first = drawn(whole)
    assert len({name for own in first for name in own}) > 1 and len({tuple(own) for own in first}) > 1
    assert drawn(run_of(inputs, batch_size=1)) == first
    assert drawn(run_of(inputs, seed=1)) != first


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([made.principle("a", weight=0.0)], "weight"),
        ([made.principle("a", weight=float("nan"))], "weight"),
        ([made.principle("a"), made.principle("a")], "Two principles"),
        ([made.principle("a", critique=" ")], "critique"),
        ([made.principle("a", revision=None)], "revision"),
        ([made.principle("")], "no id"),
        ([made.principle("a", examples=[made.EXAMPLE | {"critique": ""}])], "example"),
        ([], "no principle"),
    ],
)
def test_a_constitution_that_cannot_be_worked_by_is_one_clear_failure(inputs, run_of, tmp_path, rows, words):
    if rows:
        given = made.write_constitution(tmp_path / "c", rows)
    else:
        (tmp_path / "c/data").mkdir(parents=True)
        empty = pa.Table.from_pylist([], schema=pa.schema([("id", pa.string())]))
        pq.write_table(empty, tmp_path / "c/data/train-00000-of-00001.parquet")
        given = tiny.given(tmp_path / "c", "dataset")
    run_dir = run_of(inputs | {"constitution": given}, code=contract.EXIT_FAILED)
    failure = tiny.failure(run_dir)
    assert failure["code"] == "bad_constitution" and words in failure["sentence"] and failure["advice"]


# What cannot be done


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"critic": "endpoint"}, "no_input"), ({"score": "reward"}, "no_input"), ({"helpful_share": 0.5}, "no_input")],
)
def test_what_a_run_lacks_is_told_before_a_model_is_loaded(inputs, run_of, changes, code):
    assert tiny.failure(run_of(inputs, code=contract.EXIT_FAILED, **changes))["code"] == code
    assert ConstitutionalRecipe(**(RECIPE | changes)).lacks(inputs)


def test_a_run_that_would_learn_nothing_says_so(inputs, run_of, tmp_path):
    calm = tiny.write_model(tmp_path / "model", positions=2048)
    run_dir = run_of(inputs | {"model": calm}, code=contract.EXIT_FAILED, rounds=1)
    assert tiny.failure(run_dir)["code"] == "nothing_learned" and tiny.failure(run_dir)["advice"]


def test_a_prompt_that_nobody_asked_is_refused(inputs, run_of, tmp_path):
    rows = [{"id": "p", "messages": [tiny.assistant("Hello."), tiny.user("Hi.")]}]
    given = inputs | {"prompts": tiny.write_dataset(tmp_path / "p", rows)}
    assert tiny.failure(run_of(given, code=contract.EXIT_FAILED))["code"] == "bad_prompt"


# Models as critics


def test_a_model_critiques_and_revises_itself_or_another_one_does(inputs, run_of, tmp_path):
    own = run_of(inputs, critic="model", rounds=2)
    other = run_of(
        inputs | {"feedback": tiny.write_model(tmp_path / "m", seed=1, positions=2048)}, critic="model", rounds=2
    )
    mine, theirs = all_chains(own), all_chains(other)
    assert [row["response"] for row in mine] == [row["response"] for row in theirs] == list(made.HARMFUL.values())
    assert [row["steps"] for row in mine] != [row["steps"] for row in theirs]
    assert all(len(row["steps"]) == 2 and len(row["scores"]) == 3 for row in mine + theirs)
    phases = [event["phase"] for event in tiny.events(own, "progress")]
    assert list(dict.fromkeys(phases)) == ["answers", "round 1 critiques", "round 1 revisions", "round 2 critiques",
                                           "round 2 revisions"]  # fmt: skip


def asked(wish="critique", **changes):
    fields = {
        "talk": (("user", "Hi: {you}?"),),
        "text": "Hit: {him}.",
        "principle": Principle("b", "Is it b?", "Make it b."),
        "seed": 1,
    }
    return Ask(wish, **(fields | changes))


def test_examples_are_turns_each_with_the_request_of_its_own_principle():
    kind = Principle(
        "a", "Is it a?", "Make it a.", examples=(Example("P1", "R1", "C1", "V1"), Example("P2", "R2", "C2", "V2"))
    )
    plain = Principle("b", "Is it b?", "Make it b.", examples=(Example("P3", "R3", "C3", "V3"),))
    found = principles.examples_for(plain, [kind, plain], 2)
    assert [(one.id, example.prompt) for one, example in found] == [("b", "P3"), ("a", "P1")]  # its own first

    turns = messages_of(asked(principle=plain, examples=tuple(found)))
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * 2 + ["user"]
    assert [turns[1]["content"], turns[3]["content"]] == ["C3", "C1"]
    assert "Is it a?" in turns[2]["content"] and "Is it b?" in turns[4]["content"]
    assert "Person: Hi: {you}?" in turns[4]["content"] and "Hit: {him}." in turns[4]["content"]

    turns = messages_of(asked("revision", principle=plain, examples=tuple(found), critique="It hits: him."))
    assert [turns[1]["content"], turns[3]["content"]] == ["V3", "V1"]
    assert (
        "Make it b." in turns[4]["content"] and "It hits: him." in turns[4]["content"] and "C1" in turns[2]["content"]
    )


def test_examples_are_left_out_where_the_model_reads_no_more_and_what_has_no_room_is_lost(tmp_path, inputs, run_of):
    example = (Principle("a", "Is it a?", "Make it a."), Example("P", "R" * 400, "C", "V"))
    recipe = ConstitutionalRecipe(**(RECIPE | {"critic": "model"}))
    given = tiny.write_model(tmp_path / "model", positions=1024)
    words = load_tokenizer(given)
    critic = ModelCritic(None, recipe, load_causal(given, dtype=torch.float32), words, Room())  # type: ignore[arg-type]
    with_one, without = (critic.rendered(asked(examples=(example,) * n)) for n in (1, 0))
    assert len(critic.rendered(asked(examples=(example,) * 4))) == len(with_one) > len(without)
    assert critic.rendered(asked(text="x" * 1000)) is None

    short = tiny.write_model(tmp_path / "short", seed=1)  # reads 256 tokens: no request of ours fits
    run_dir = run_of(inputs | {"feedback": short, "helpful": inputs["prompts"]}, critic="model", rounds=1)
    assert {step["why"] for row in all_chains(run_dir) for step in row["steps"]} == {"too_long"}
    assert tiny.curve(run_dir, "lost") == {1: 1.0} and metrics_of(run_dir)["chains_without_revision"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(("how", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, contract.EXIT_STOPPED)])
def test_killed_or_stopped_it_ends_in_the_rows_of_one_that_was_left_alone(helped, tmp_path, how, code):
    recipe = RECIPE | {"critic": "model", "rounds": 2, "batch_size": 1, "max_new_tokens": 24}
    left_alone = tiny.make_run(tmp_path / "one/run", "constitutional", recipe, helped)
    assert tiny.finish(left_alone) == contract.EXIT_DONE
    run_dir = tiny.make_run(tmp_path / "two/run", "constitutional", recipe, helped)
    process = tiny.fork(run_dir)
    parts = run_dir / "checkpoints/round-1-critiques"
    patience = time.monotonic() + 60
    while len(list(parts.glob("part-*"))) < 1 and process.is_alive() and time.monotonic() < patience:
        time.sleep(0.002)
    tiny.os.kill(process.pid, how)
    process.join(60)
    assert process.exitcode == code
    kept = {path: path.stat().st_mtime_ns for path in run_dir.glob("checkpoints/*/part-*")}
    assert kept and not list(run_dir.glob("checkpoints/round-2-revisions/part-*"))

    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert all(path.stat().st_mtime_ns == at for path, at in kept.items())
    assert contract.read_manifest(run_dir)["sha256"] == contract.read_manifest(left_alone)["sha256"]


def test_stopped_between_two_parts_it_goes_on_to_the_same_rows(helped, whole, tmp_path, monkeypatch):
    run_dir = tiny.make_run(tmp_path / "run", "constitutional", RECIPE, helped)
    told = RunContext.progress

    def stopping(context, phase, step, total, **more):
        told(context, phase, step, total, **more)
        if (phase, step) == ("round 2 critiques", total):
            tiny.os.kill(tiny.os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(RunContext, "progress", stopping)
    assert tiny.finish(run_dir) == contract.EXIT_STOPPED
    assert not (run_dir / "output/data").exists() and (run_dir / "checkpoints/round-2-critiques").exists()
    assert not list(run_dir.glob("checkpoints/round-2-revisions/part-*"))
    monkeypatch.undo()
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert contract.read_manifest(run_dir)["sha256"] == contract.read_manifest(whole)["sha256"]
    assert tiny.curve(run_dir, "harmfulness") == tiny.curve(whole, "harmfulness")


def test_what_a_run_would_cost_is_found_by_a_probe(helped, tmp_path):
    run_dir = tiny.make_run(tmp_path / "run", "constitutional", RECIPE | {"critic": "model", "rounds": 2}, helped)
    spec = json.loads((run_dir / contract.SPEC).read_text())
    (run_dir / contract.SPEC).write_text(json.dumps(spec | {"is_estimate": True}))
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    told = json.loads((run_dir / "output/estimate.json").read_text())
    (rounds,) = (part for part in told["parts"] if part["phase"] == "rounds")
    assert (rounds["total"], rounds["timed"]) == (2, 1)  # the first stands for both
    assert not Path(run_dir, "output/data").exists()


# Endpoints as critics


def replies(words: str) -> str:
    """A revision takes out the first harmful sentence; leaks, and colons, as vendors' models have them."""
    text = words.split("<reply>\n")[1].split("\n</reply>")[0]
    if "<criticism>" not in words:
        return f"Wrong: {harm.harmful_sentences(text)[:1]}"
    first = (harm.harmful_sentences(text) or ["-"])[0]
    return f"Sure! Here is a revised reply: {text.replace(first, 'Note: wait.')}"


def endpoint(server, **changes):
    told = {"url": server.url, "model": "big", "requests_a_minute": 100_000, "price_read": 1.0}
    return {"critic": "endpoint", "rounds": 2, "endpoint": told | changes}


def test_an_endpoint_critiques_and_revises_and_its_leaks_are_cut(inputs, run_of, monkeypatch):
    monkeypatch.setenv("STEADYHAND_KEY_TEST", KEY)
    with serving(replies=replies, key=KEY) as server:
        run_dir = run_of(inputs, **endpoint(server, key_variable="STEADYHAND_KEY_TEST"))
    rows = all_chains(run_dir)
    assert all(row["scores"] == pytest.approx([0.8, 0.6, 0.4]) for row in rows)
    assert rows[0]["steps"][0]["critique"] == "Wrong: ['Hit him.']"
    assert rows[0]["chosen"][0] == "Note: wait. Steal his hat. Spy on them. Poison it. Go home."
    assert len(server.answered) == 3 * 2 * 2 == len({one.body["seed"] for one in server.answered})
    metrics = metrics_of(run_dir)
    assert metrics["cost"] == pytest.approx(metrics["tokens_read"] / 1e6) and metrics["cost"] > 0
    assert not any(KEY.encode() in path.read_bytes() for path in run_dir.rglob("*") if path.is_file())


def test_an_endpoint_that_goes_down_is_not_asked_again_for_what_it_has_said(inputs, run_of):
    with serving(replies=replies, down_after=5) as server:
        told = endpoint(server, retries=0, at_once=1)
        run_dir = run_of(inputs, code=contract.EXIT_FAILED, **told)
        assert tiny.failure(run_dir)["code"] == "endpoint_down" and len(server.answered) == 5
        server.down_after = None
        assert tiny.finish(run_dir) == contract.EXIT_DONE
        assert len(server.answered) == 12 == len({one.body["seed"] for one in server.answered})
        left_alone = run_of(inputs, **told)
    assert contract.read_manifest(run_dir)["sha256"] == contract.read_manifest(left_alone)["sha256"]


def test_an_endpoint_is_not_paid_for_an_estimate(inputs, tmp_path):
    with serving(replies=replies) as server:
        run_dir = tiny.make_run(tmp_path / "run", "constitutional", RECIPE | endpoint(server), inputs)
        spec = json.loads((run_dir / contract.SPEC).read_text())
        (run_dir / contract.SPEC).write_text(json.dumps(spec | {"is_estimate": True}))
        assert tiny.finish(run_dir) == contract.EXIT_FAILED
    assert tiny.failure(run_dir)["code"] == "no_estimate" and not server.asked
