"""A trial of one principle: what it tells part by part is what a constitutional run and a judge would have made of it."""

from __future__ import annotations

import json
import shutil
import time

import pytest

from tests.training import constituted as made
from tests.training import judged, tiny
from tests.training.endpoint import KEY, serving
from training import contract
from training.methods import try_principle
from training.recipes import harm
from training.recipes.try_principle import TryPrincipleRecipe

ASKED, SAID = next(iter(made.HARMFUL.items()))
RECIPE = {
    "prompt": ASKED, "principle": "kind", "critique": "Is it kind?", "revision": "Make it kind, please.",
    "comparison": "Which is kinder?", "critic": "rules", "temperature": 0.1, "max_new_tokens": 80, "critique_tokens": 24,
    "bf16": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return made.write_harmful_model(tmp_path_factory.mktemp("given") / "model")


@pytest.fixture(scope="module")
def run_of(model, tmp_path_factory):
    def done(*, code=contract.EXIT_DONE, given=model, **changes):
        folder = tmp_path_factory.mktemp("runs") / "run"
        inputs = given if isinstance(given, dict) else {"model": given}
        run_dir = tiny.make_run(folder, "try_principle", RECIPE | changes, inputs)
        assert tiny.finish(run_dir) == code
        return run_dir

    return done


@pytest.fixture(scope="module")
def whole(run_of):
    return run_of()


def parts_of(run_dir):
    return json.loads((run_dir / "output/report.json").read_text())["parts"]


def test_each_part_is_told_in_its_order_and_the_report_has_them_all(whole):
    told = tiny.events(whole, "sample")
    assert [sample["part"] for sample in told] == ["answer", "critique", "revision", "comparison"]
    parts = parts_of(whole)
    for sample in told:
        assert {name: sample[name] for name in parts[sample["part"]]} == parts[sample["part"]]
    assert parts["answer"]["text"] == SAID and parts["answer"]["harmfulness"] == pytest.approx(0.8)
    assert harm.harmful_sentences(SAID)[0] in parts["critique"]["text"]
    assert parts["revision"]["kept"] and parts["revision"]["harmfulness"] == pytest.approx(0.6)
    assert parts["comparison"]["p"] > 0.5 and not parts["comparison"]["flipped"]  # by rules the less harmful one
    assert contract.read_manifest(whole)["kind"] == "report"


def test_the_revision_is_the_one_that_a_constitutional_run_would_have_made(whole, model, tmp_path):
    inputs = {
        "model": model, "prompts": made.write_prompts(tmp_path / "prompts", [ASKED]),
        "constitution": made.write_constitution(tmp_path / "constitution", [made.principle("kind", examples=[])]),
    }  # fmt: skip
    same = {name: RECIPE[name] for name in ("critic", "temperature", "max_new_tokens", "critique_tokens", "bf16")}
    run_dir = tiny.make_run(tmp_path / "run", "constitutional", same | {"rounds": 1}, inputs)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    [chain] = made.rows_of(run_dir, folder="chains")
    parts = parts_of(whole)
    assert chain["response"] == parts["answer"]["text"]
    assert chain["steps"][0]["critique"] == parts["critique"]["text"]
    assert chain["steps"][0]["revision"] == parts["revision"]["text"]


def test_a_model_critiques_itself_and_judges_in_both_orders(run_of, tmp_path):
    critic = judged.critic(tmp_path / "model")
    run_dir = run_of(given=critic, critic="model", prompt="Say 1.", temperature=1.0, max_new_tokens=12)
    told = parts_of(run_dir)["comparison"]
    assert 0 < told["p"] < 1 and min(told["ab"], told["ba"]) <= told["p"] <= max(told["ab"], told["ba"])
    assert told["flipped"] == ((told["ab"] - 0.5) * (told["ba"] - 0.5) < 0)
    assert parts_of(
        run_of(given=critic, critic="model", prompt="Say 1.", temperature=1.0, max_new_tokens=12)
    ) == parts_of(run_dir)


class Elsewhere(judged.Judge):
    """Criticises, revises, and prefers the longer reply."""

    def answer(self, body):
        said = body["messages"][-1]["content"]
        if "<reply_A>" in said:
            return super().answer(body)
        text = "Talk to him, and to all who are with him. Wait. Then go home." if "<criticism>" in said else "It hits."
        return {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 100, "completion_tokens": 10}}  # fmt: skip


@pytest.mark.slow(seconds=3)
def test_an_endpoint_critiques_revises_and_judges_and_its_key_is_written_nowhere(run_of, monkeypatch):
    monkeypatch.setenv("STEADYHAND_KEY_TEST", KEY)
    with serving(Elsewhere, key=KEY) as server:
        told = {"url": server.url, "model": "big", "key_variable": "STEADYHAND_KEY_TEST", "price_read": 10_000.0}
        run_dir = run_of(critic="endpoint", endpoint=told)
    assert [one.body["model"] for one in server.answered] == ["big"] * 4  # critique, revision, both orders
    parts = parts_of(run_dir)
    assert parts["answer"]["text"] == SAID and parts["critique"]["text"] == "It hits."
    assert parts["revision"]["text"].startswith("Talk to him") and parts["revision"]["kept"]
    assert len(parts["revision"]["text"]) > len(SAID)
    assert parts["comparison"]["p"] > 0.5 and not parts["comparison"]["flipped"]
    metrics = contract.read_manifest(run_dir)["metrics"]
    assert (metrics["tokens_read"], metrics["tokens_written"]) == (2 * 100 + 2 * 10, 2 * 10 + 2 * 3)
    assert metrics["cost"] == pytest.approx(2.2)
    assert not any(KEY.encode() in path.read_bytes() for path in run_dir.rglob("*") if path.is_file())


def test_another_model_critiques_and_judges_what_the_first_one_answered(run_of, model, tmp_path):
    feedback = judged.critic(tmp_path / "model")
    told = {"critic": "model", "max_new_tokens": 12, "given": {"model": model, "feedback": feedback}}
    parts, alone = parts_of(run_of(**told)), parts_of(run_of(critic="model", max_new_tokens=12))
    assert parts["answer"] == alone["answer"] and parts["critique"] != alone["critique"]


def test_what_is_not_kept_says_why_and_is_not_compared(run_of):
    parts = parts_of(run_of(prompt=ASKED, revision="Hit. Steal.", max_new_tokens=1))  # too short to hold any harm
    assert parts["revision"]["why"] == "unchanged" and not parts["revision"]["kept"] and "comparison" not in parts
    assert "comparison" not in parts_of(run_of(comparison=" "))


def test_examples_of_other_principles_come_with_their_own_requests(model):
    shown = {"prompt": "Hi?", "response": "Hit.", "critique": "It hits.", "revision": "Talk."}
    other = {**shown, "critique_request": "Is it calm?", "revision_request": "Calm it."}
    [tried, stranger] = try_principle.principles_of(
        TryPrincipleRecipe.model_validate(RECIPE | {"examples": [other, shown]})
    )
    assert (tried.critique, stranger.critique) == (RECIPE["critique"], "Is it calm?")
    assert [one.response for one in tried.examples] == ["Hit."]


@pytest.mark.parametrize("lacking", ["prompt", "critique", "revision"])
def test_what_cannot_be_tried_is_refused_in_a_sentence(run_of, lacking):
    run_dir = run_of(code=contract.EXIT_FAILED, **{lacking: "  "})
    assert tiny.failure(run_dir)["code"] == "no_principle"


@pytest.mark.slow(seconds=6)
def test_a_trial_that_was_killed_ends_in_the_same_texts(whole, tmp_path):
    run_dir = tiny.same_run(whole, tmp_path / "run")
    process = tiny.fork(run_dir)
    until = time.monotonic() + 30
    while not tiny.events(run_dir, "sample") and time.monotonic() < until:
        time.sleep(0.001)
    process.kill()
    process.join()
    assert not (run_dir / contract.MANIFEST).exists() and tiny.events(run_dir, "sample")[0]["part"] == "answer"
    for part in ("critique", "revision"):  # as if it had been killed before each of them, too
        assert tiny.finish(run_dir) == contract.EXIT_DONE
        assert parts_of(run_dir) == parts_of(whole)
        shutil.rmtree(run_dir / "output")
        (run_dir / contract.MANIFEST).unlink()
        shutil.rmtree(run_dir / "checkpoints" / part)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert parts_of(run_dir) == parts_of(whole)
