"""Completions from a real endpoint: each asked for once, at a pace, through trouble, and the key told to nobody."""

from __future__ import annotations

import os
import signal
import time
from itertools import pairwise

import pyarrow.parquet as pq
import pytest

from tests.training import tiny
from tests.training.endpoint import KEY, serving
from training import contract
from training.mechanics.generation import completions, endpoint
from training.recipes.ask import AskRecipe

RECIPE = {"model": "small", "k": 3, "temperatures": (0.7, 1.0), "requests_a_minute": 100_000, "price_read": 2.0,
          "price_written": 10.0}  # fmt: skip


@pytest.fixture(scope="module")
def prompts(tmp_path_factory):
    rows = [{"id": f"p{i}", "messages": [tiny.user(f"Say {i}")]} for i in range(8)]
    return tiny.write_dataset(tmp_path_factory.mktemp("given") / "prompts", rows[:6], rows[6:])


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(endpoint, "FIRST_PAUSE", 0.01)


@pytest.fixture
def make(prompts, tmp_path):
    def run_of(server, name="run", **changes):
        return tiny.make_run(tmp_path / name, "ask", RECIPE | {"url": server.url} | changes, {"prompts": prompts})

    return run_of


def rows_of(run_dir):
    return pq.read_table(run_dir / "output/data/train-00000-of-00001.parquet").to_pylist()


def test_every_prompt_gets_its_completions_one_request_a_temperature(make):
    with serving() as server:
        run_dir = make(server)
        assert tiny.finish(run_dir) == contract.EXIT_DONE
    rows = rows_of(run_dir)
    assert [(row["prompt_id"], row["index"]) for row in rows] == [(f"p{p}", i) for p in range(8) for i in range(3)]
    assert [row["temperature"] for row in rows[:3]] == [0.7, 1.0, 0.7]
    assert len({row["id"] for row in rows}) == 24
    assert pq.read_schema(run_dir / "output/data/train-00000-of-00001.parquet").equals(completions.SCHEMA)

    assert {one.path for one in server.asked} == {"/v1/chat/completions"}
    assert sorted((one.body["temperature"], one.body["n"]) for one in server.asked) == [(0.7, 2)] * 8 + [(1.0, 1)] * 8
    by_seed = {one.body["seed"]: one for one in server.asked}
    assert len(by_seed) == 16
    for row in rows:  # what a row says is what was asked and answered
        one = by_seed[row["seed"]]
        assert row["text"] == f"{one.words} / {row['seed']} / {1 if row['index'] == 2 else 0}"
        assert one.body["temperature"] == row["temperature"] and one.body["model"] == "small"
        assert row["ended"] and row["num_tokens"] == 3 and row["logprob"] == -1.5


def test_a_run_that_is_repeated_asks_with_the_same_seeds(make):
    with serving() as server:
        assert tiny.finish(make(server, "one")) == tiny.finish(make(server, "two")) == contract.EXIT_DONE
    seeds = sorted(one.body["seed"] for one in server.asked)
    assert seeds[::2] == seeds[1::2]


def test_tokens_are_counted_and_priced(make):
    with serving() as server:
        run_dir = make(server)
        assert tiny.finish(run_dir) == contract.EXIT_DONE
    metrics = contract.read_manifest(run_dir)["metrics"]
    assert (metrics["tokens_read"], metrics["tokens_written"]) == (16 * 5, 24 * 3)
    assert metrics["cost"] == pytest.approx((80 * 2.0 + 72 * 10.0) / 1e6)
    assert tiny.curve(run_dir, "cost")[16] == pytest.approx(metrics["cost"])


def test_the_key_is_sent_and_is_written_nowhere_even_where_the_endpoint_repeats_it(make, monkeypatch, capfd):
    monkeypatch.setenv("STEADYHAND_KEY_TEST", KEY)
    with serving(key=KEY) as server:
        run_dir = make(server, key_variable="STEADYHAND_KEY_TEST")
        assert tiny.finish(run_dir) == contract.EXIT_DONE
        server.key, refused = "another", make(server, "refused", key_variable="STEADYHAND_KEY_TEST")
        assert tiny.finish(refused) == contract.EXIT_FAILED
    assert {one.authorization for one in server.asked} == {f"Bearer {KEY}"}
    assert tiny.failure(refused)["code"] == "endpoint_refused" and "[key]" in tiny.failure(refused)["sentence"]
    files = [path for folder in (run_dir, refused) for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 6 and not any(KEY.encode() in path.read_bytes() for path in files)
    assert KEY not in "".join(capfd.readouterr())


def test_a_key_that_is_not_there_is_one_clear_failure_and_nobody_is_asked(make, monkeypatch):
    monkeypatch.delenv("STEADYHAND_KEY_TEST", raising=False)
    with serving() as server:
        run_dir = make(server, key_variable="STEADYHAND_KEY_TEST")
        assert tiny.finish(run_dir) == contract.EXIT_FAILED
    assert tiny.failure(run_dir)["code"] == "no_key" and not server.asked


@pytest.mark.parametrize(
    "changes",
    [{"key_variable": "STEADYHAND_SECRET_KEY"}, {"key_variable": "PATH"}, {"url": "http://me:secret@127.0.0.1/v1"},
     {"url": "file:///etc/passwd"}],
)  # fmt: skip
def test_no_other_secret_can_be_named_and_no_address_may_hold_one(changes):
    with pytest.raises(ValueError, match="pattern"):
        AskRecipe(**changes)


def test_an_endpoint_that_is_busy_or_out_of_order_is_asked_again(make):
    with serving(trouble=[429, 503, 500, 429]) as server:
        run_dir = make(server, at_once=1)
        assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert [one.status for one in server.asked[:5]] == [429, 503, 500, 429, 200] and len(server.asked) == 20
    pauses = [b.at - a.at for a, b in pairwise(server.asked[:5])]
    assert all(pause > 0.01 * 2**n for n, pause in enumerate(pauses))


def test_where_it_stays_down_the_run_fails_keeps_what_it_has_and_asks_for_nothing_twice(make):
    with serving(down_after=5) as server:
        run_dir = make(server, retries=1, at_once=2)
        assert tiny.finish(run_dir) == contract.EXIT_FAILED
        assert tiny.failure(run_dir)["code"] == "endpoint_down" and len(server.answered) == 5
        server.down_after = None
        assert tiny.finish(run_dir) == contract.EXIT_DONE
        assert len(server.answered) == 16 == len({one.body["seed"] for one in server.answered})
        left_alone = make(server, "whole/run")
        assert tiny.finish(left_alone) == contract.EXIT_DONE
    assert contract.read_manifest(run_dir)["sha256"] == contract.read_manifest(left_alone)["sha256"]


@pytest.mark.slow(seconds=6)
@pytest.mark.parametrize(("how", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, contract.EXIT_STOPPED)])
def test_killed_or_stopped_it_goes_on_without_asking_again_for_what_it_has(make, how, code):
    with serving(takes_s=0.05) as server:
        run_dir = make(server, at_once=1)
        journal = run_dir / "checkpoints/answers.jsonl"
        process = tiny.fork(run_dir)
        patience = time.monotonic() + 60
        while (not journal.exists() or journal.read_bytes().count(b"\n") < 4) and time.monotonic() < patience:
            time.sleep(0.005)
        os.kill(process.pid, how)
        process.join(60)
        assert process.exitcode == code
        server.settle()
        with journal.open("ab") as file:
            file.write(b'{"request": 9, "choi')  # as a kill within a line would leave it
        known = journal.read_bytes().count(b"\n")
        before = len(server.answered)
        assert 4 <= known < 16 and before - known in ((0, 1) if how == signal.SIGKILL else (0,))

        assert tiny.finish(run_dir) == contract.EXIT_DONE
        assert len(server.answered) - before == 16 - known
    assert len(rows_of(run_dir)) == 24


def test_requests_come_at_the_pace_that_is_stated(make):
    with serving() as server:
        assert tiny.finish(make(server, requests_a_minute=1200, at_once=8)) == contract.EXIT_DONE
    times = sorted(one.at for one in server.asked)
    assert times[-1] - times[0] > 15 * 0.05 * 0.9  # sixteen of them, 0.05 s from one to the next


def test_as_many_are_asked_at_once_as_is_stated(make):
    with serving(takes_s=0.1) as server:
        began = time.monotonic()
        assert tiny.finish(make(server, at_once=8)) == contract.EXIT_DONE
        assert time.monotonic() - began < 16 * 0.1
    assert len(server.asked) == 16


def test_an_endpoint_that_gives_one_completion_at_a_time_is_asked_for_the_rest(make):
    with serving(at_most=1) as server:
        run_dir = make(server, temperatures=(0.8,))
        assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert len(server.asked) == 24 and len({row["text"] for row in rows_of(run_dir)}) == 24
    assert contract.read_manifest(run_dir)["metrics"]["tokens_written"] == 72


def test_what_an_endpoint_does_not_say_is_left_open(make):
    with serving(gives_logprobs=False) as server:
        run_dir = make(server, stop_strings=("User:",))
        assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert {one.body["stop"][0] for one in server.asked} == {"User:"}
    rows = rows_of(run_dir)
    assert all(row["logprob"] is None for row in rows)
    assert [row["num_tokens"] for row in rows[:3]] == [None, 3, None]  # alone, it is as long as the whole answer


@pytest.mark.parametrize("says", [{"hello": "you"}, {"choices": []}, {"choices": [{"text": "an older kind"}]}, [1]])
def test_an_address_of_something_else_is_one_clear_failure(make, says):
    with serving(says=says) as server:
        run_dir = make(server)
        assert tiny.finish(run_dir) == contract.EXIT_FAILED
    assert tiny.failure(run_dir)["code"] == "bad_answer" and tiny.failure(run_dir)["advice"]


def test_an_address_where_nobody_answers_is_one_clear_failure(make):
    with serving() as server:
        run_dir = make(server, retries=1)
    assert tiny.finish(run_dir) == contract.EXIT_FAILED
    assert tiny.failure(run_dir)["code"] == "endpoint_down" and "ConnectError" in tiny.failure(run_dir)["sentence"]
