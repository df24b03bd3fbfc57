"""The look before fine-tuning: what speaks against it is found where it was planted, and nowhere else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.training import tiny
from training import contract
from training.mechanics.preflight import alike, few_shot, findings, rendering
from training.recipes.preflight import PreflightRecipe

RECIPE = PreflightRecipe.presets["tiny"]


def look(tmp_path, train, test=None, *, template: str | None = tiny.CHATML, **more: Any) -> dict[str, Any]:
    """The report on these rows, by a model of two layers."""
    given = {
        "model": tiny.write_model(tmp_path / "model"),
        "instructions": tiny.write_dataset(tmp_path / "data", train, test),
        **more,
    }
    if template != tiny.CHATML:
        words = tiny.tokenizer()
        words.chat_template = template
        words.save_pretrained(tmp_path / "model")
        if template is None:
            (tmp_path / "model" / "chat_template.jinja").unlink()
    run_dir = tiny.make_run(tmp_path / "run", "preflight", RECIPE, given)
    assert tiny.finish(run_dir) == contract.EXIT_DONE, tiny.failure(run_dir)
    return json.loads((run_dir / "output" / "report.json").read_text())


def codes(report: dict[str, Any]) -> set[str]:
    return {finding["code"] for finding in report["findings"]}


def row(number: int, question: str, answer: str) -> dict[str, Any]:
    return {"id": str(number), "messages": [tiny.user(question), tiny.assistant(answer)]}


def test_planted_faults_are_found_and_counted(tmp_path):
    train = [row(i, f"What is the colour of thing number {i}?", f"Thing {i} is red.") for i in range(20)]
    train += [row(20, "What is the colour of thing number 3?", "thing 3 is RED")]  # but for case and a stop
    train += [row(21, "Say nothing.", ""), row(22, "Say a lot.", "ab" * 200), row(23, "Go.", "<|im_start|>user")]
    test = [row(90, "what is the colour of thing number 5", "Red."), row(91, "Which way is north?", "Up.")] * 3
    report = look(tmp_path, train, test)
    figures = report["figures"]
    assert figures["repeated"] == 1 and figures["too_long"] == 1 and figures["silent"] == 0
    assert (figures["leaked"], figures["held_out_questions"]) == (3, 6)
    assert figures["marked"] == 1 and figures["is_narrow"] and not figures["refused"]
    assert {"too_few", "repeated", "too_long", "rendered_before", "leak"} <= codes(report)
    assert report["findings"][0]["severity"] == "alarm"
    assert all(finding["template"] % finding["figures"] == finding["sentence"] for finding in report["findings"])
    assert figures["measured"] == 6 and figures["bits"]["zero_shot"]["num_rows"] == 6


def test_a_model_without_a_template_is_told_and_not_measured(tmp_path):
    report = look(tmp_path, tiny.instruction_rows(8), template=None)
    assert "no_template" in codes(report) and "bits" not in report["figures"]


def test_a_template_that_never_ends_a_turn_or_tells_no_roles_is_an_alarm(tmp_path):
    plain = "{% for message in messages %}{{ message['content'] + '\n' }}{% endfor %}"
    report = look(tmp_path, tiny.instruction_rows(8), template=plain)
    assert {"roles_not_told", "ends_unlearned"} <= codes(report)


def test_a_template_that_drops_or_refuses_a_system_message_is_found():
    words = tiny.tokenizer()
    talk = [{"role": "system", "content": "Be brief."}, tiny.user("Why?"), tiny.assistant("So.")]
    assert rendering.render(words, [talk]).lost == 0
    words.chat_template = tiny.CHATML.replace("{% for message in messages %}", "{% for message in messages[1:] %}")
    assert rendering.render(words, [talk]).lost == 1
    words.chat_template = "{{ raise_exception('No system, please.') }}"
    found = rendering.render(words, [talk])
    assert (found.refused, found.refusal) == (1, "No system, please.")


def test_a_killed_look_goes_on_to_the_same_report(tmp_path):
    given = {
        "model": tiny.write_model(tmp_path / "model"),
        "instructions": tiny.write_dataset(
            tmp_path / "data", tiny.instruction_rows(30), tiny.instruction_rows(9, first=30)
        ),
        "tuned": tiny.write_model(tmp_path / "tuned", seed=1),
    }
    whole = tiny.make_run(tmp_path / "whole", "preflight", RECIPE, given)
    assert tiny.finish(whole) == contract.EXIT_DONE
    again = tiny.same_run(whole, tmp_path / "again")
    parts = sorted((whole / "checkpoints" / "no-examples").iterdir())
    assert len(parts) > 1
    (again / "checkpoints" / "no-examples").mkdir(parents=True)
    (again / "checkpoints" / "no-examples" / parts[0].name).write_bytes(parts[0].read_bytes())  # as far as it came
    assert tiny.finish(again) == contract.EXIT_DONE
    assert contract.folder_files(again / "output") == contract.folder_files(whole / "output")
    assert "tuning_helps_little" in codes(json.loads((again / "output" / "report.json").read_text()))


def test_alike_finds_what_shares_its_words_and_nothing_else():
    base = " ".join(f"word{number}" for number in range(40)) + " gently"
    texts = [
        base,
        base.replace("gently", "softly"),
        "a wholly different sentence about trains and their timetables in winter",
    ]
    assert alike.first_alike(texts) == [None, 0, None]
    assert alike.first_alike(["no"], ["yes", "No!"]) == [1]


def test_a_completion_is_the_last_answer_with_its_end_whatever_stands_before():
    words = tiny.tokenizer()
    shots = [[tiny.user("1?"), tiny.assistant("one")]]
    talk = [{"role": "system", "content": "Brief."}, tiny.user("2?"), tiny.assistant("two")]
    found = few_shot.completion_of(words, few_shot.with_shots(talk, shots))
    assert words.decode(found.ids) == "two<|im_end|>"
    assert words.decode(found.prompt).startswith("<|im_start|>system\nBrief.<|im_end|>\n<|im_start|>user\n1?")
    assert words.decode(found.prompt).endswith("<|im_start|>user\n2?<|im_end|>\n<|im_start|>assistant\n")


@pytest.mark.parametrize(
    ("rows", "begin_alike", "is_narrow", "code"),
    [(40, 0.9, True, "too_few"), (300, 0.9, True, "few_for_a_task"), (600, 0.9, True, "enough_for_a_task"),
     (600, 0.1, False, "few_for_many_kinds"), (3000, 0.1, False, "enough")],
)  # fmt: skip
def test_how_many_examples_are_enough_goes_by_the_task(rows, begin_alike, is_narrow, code):
    found = findings.examples({"rows": rows, "begin_alike": begin_alike, "is_narrow": is_narrow})
    assert found.code == code and str(f"{rows}") in found.sentence


def test_few_shot_is_recommended_where_it_clearly_saves_bits_and_not_by_luck():
    def said(low: float) -> str:
        bits = {"zero_shot": {"value": 1.5}, "few_shot": {"value": 1.0}}
        gain = {"value": 0.5, "low": low, "high": 0.9}
        return findings.few_shot({"bits": bits, "gain_of_shots": gain, "shots": 3, "measured": 50}).code

    assert (said(0.1), said(-0.1)) == ("try_few_shot", "few_shot_helps_little")
