"""Prompts and ready-made completions: JSON lines, lists, CSV and Parquet, in the layouts of Hugging Face datasets."""

from __future__ import annotations

import gzip
import json

import pytest

from annotation.models import Completion, RankingTask
from tests.annotation.importing.files import a_draft, a_table, imported, lines, listed, told

pytestmark = pytest.mark.django_db

TALK = [
    {"role": "user", "content": "Why?"},
    {"role": "assistant", "content": "So."},
    {"role": "user", "content": "Oh?"},
]
SHAREGPT = [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "So."}, {"from": "human", "value": "Oh?"}]


def asked(campaign) -> list[str]:
    return sorted(prompt.messages[-1]["content"] for prompt in campaign.prompts.all())


@pytest.mark.parametrize("name", ["p.jsonl", "p.jsonl.gz", "p.ndjson"])
def test_json_lines_are_prompts(tmp_path, name):
    path = lines(tmp_path / name, {"prompt": "One?", "id": "a"}, {"messages": TALK}, {"conversations": SHAREGPT})
    campaign, report = imported(path)
    assert asked(campaign) == ["Oh?", "One?"]
    assert (report.counts.prompts, report.counts.known_prompts) == (2, 1)  # the two conversations are the same
    assert campaign.prompts.get(external_id="a").messages == [{"role": "user", "content": "One?"}]
    assert campaign.prompts.exclude(external_id="a").get().messages == TALK


def test_a_list_of_json_is_read_item_by_item(tmp_path):
    path = listed(tmp_path / "p.json", *({"prompt": f"Question {n}? " + "word " * 2000} for n in range(200)))
    assert path.stat().st_size > 2 * 10**6  # more than one window
    campaign, report = imported(path)
    assert (report.unit, report.counts.prompts, campaign.prompts.count()) == ("Item", 200, 200)


@pytest.mark.parametrize("name", ["p.csv", "p.parquet"])
def test_tables_are_prompts_with_a_completion_each(tmp_path, name):
    rows = [
        {
            "id": str(n),
            "prompt": f"Question {n % 2}?",
            "completion": f'Answer {n},\n\nin two "paragraphs".',
            "model": "m",
        }
        for n in range(6)
    ]
    _, report = imported(a_table(tmp_path / name, rows))
    assert (report.counts.prompts, report.counts.completions, report.made_tasks) == (2, 6, 2)
    assert [task.completions.count() for task in RankingTask.objects.all()] == [3, 3]
    assert Completion.objects.filter(text='Answer 3,\n\nin two "paragraphs".', model_label="m").exists()


def test_a_csv_may_have_semicolons_a_mark_and_json_in_its_cells(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text(
        "\ufeffid;messages\r\n7;" + json.dumps(json.dumps(TALK)).replace('\\"', '""') + "\r\n", encoding="utf-8"
    )
    campaign, _ = imported(path)
    assert campaign.prompts.get(external_id="7").messages == TALK


def test_a_conversation_that_ends_with_an_answer_gives_it_as_a_completion(tmp_path):
    campaign, report = imported(lines(tmp_path / "p.jsonl", {"messages": TALK[:2]}))
    assert asked(campaign) == ["Why?"]
    assert Completion.objects.get().text == "So."
    assert any("as a completion" in note for note in report.notes)


def test_lists_of_completions_are_tasks(tmp_path):
    row = {"instruction": "Add.", "input": "1 and 2", "responses": ["3", "three", "4"], "topic": "sums"}
    campaign, report = imported(lines(tmp_path / "p.jsonl", row))
    assert campaign.prompts.get().messages[0]["content"] == "Add.\n\n1 and 2"
    assert sorted(RankingTask.objects.get().completions.values_list("text", flat=True)) == ["3", "4", "three"]
    assert report.unread == ("topic",)


def test_the_same_file_once_more_adds_nothing(tmp_path):
    from annotation.importing.bringing import bring

    rows = [{"prompt": "Why?", "completion": text} for text in ("a", "b", "c", "d")]
    campaign, _ = imported(lines(tmp_path / "p.jsonl", *rows))
    again = bring(tmp_path / "p.jsonl", campaign=campaign, user=None)
    assert (again.counts.prompts, again.counts.completions, again.made_tasks) == (0, 0, 0)
    assert (again.counts.known_completions, Completion.objects.count(), RankingTask.objects.count()) == (4, 4, 1)


def test_optional_columns_are_read_in_one_place(tmp_path, monkeypatch):
    from annotation.importing import checking

    seen = []
    monkeypatch.setattr(checking, "optional_columns", lambda record: seen.append(dict(record)) or {})
    imported(lines(tmp_path / "p.jsonl", {"prompt": "Why?", "priority": 3}))
    assert seen[0]["priority"] == 3


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("{half", "not_json"),
        ("[1, 2]", "not_an_object"),
        ({"prompt": " "}, "bad_row"),
        ({"prompt": "a\x00b"}, "bad_text"),
        ({"prompt": "\ud800"}, "bad_text"),
        ('{"prompt": NaN}', "not_a_number"),
        ('{"prompt": "a", "prompt": "b"}', "twice"),
        ("[" * 100_000, "too_deep"),
        ('{"prompt": ' + '{"a":' * 900 + "1" + "}" * 900 + "}", "bad_prompt"),
        ({"prompt": "x" * 300_000}, "bad_row"),
        ({"prompt": "Why?", "id": [1]}, "bad_id"),
        ({"prompt": "Why?", "messages": TALK}, "two_prompts"),
        ({"text": "no prompt"}, "no_prompt"),
        ({"messages": []}, "bad_row"),
        ({"messages": [{"role": "judge", "content": "x"}]}, "bad_row"),
        ({"prompt": "Why?", "completions": [str(n) for n in range(10)]}, "bad_completions"),
        ({"prompt": "Why?", "completion": 7}, "bad_completions"),
    ],
)
def test_a_bad_line_has_its_number_a_code_and_a_sentence(tmp_path, row, code):
    path = lines(tmp_path / "p.jsonl", {"prompt": "Good?"}, "", row, {"prompt": "Good too?"})
    assert told(path) == [(3, code)]


def test_bytes_that_are_no_text_are_a_bad_line(tmp_path):
    (tmp_path / "p.jsonl").write_bytes(b'{"prompt": "Good?"}\n{"prompt": "\xff"}\n')
    assert told(tmp_path / "p.jsonl") == [(2, "not_utf8")]


def test_the_first_twenty_are_told_and_all_are_counted(tmp_path):
    from annotation.importing.bringing import bring, dry_run
    from annotation.importing.complaints import BadLines

    path = lines(tmp_path / "p.jsonl", {"prompt": "Good?"}, *["{half"] * 50)
    campaign = a_draft()
    report = dry_run(path, campaign=campaign)
    assert (report.num_bad, len(report.lines)) == (50, 20)
    with pytest.raises(
        BadLines, match=r"^Line 2: This is not JSON\. 49 more lines are bad. Nothing was imported."
    ) as error:
        bring(path, campaign=campaign, user=None)
    assert error.value.data["num_bad"] == 50
    assert not campaign.prompts.exists()
    assert bring(path, campaign=campaign, user=None, leaves_bad_out=True).counts.prompts == 1


def test_gzip_is_told_by_its_bytes_and_not_by_its_name(tmp_path):
    (tmp_path / "p.jsonl").write_bytes(gzip.compress(b'{"prompt": "Why?"}\n'))
    campaign, _ = imported(tmp_path / "p.jsonl")
    assert asked(campaign) == ["Why?"]
