"""Rankings of other tools: Anthropic HH, TRL, Argilla, Label Studio, Open-Assistant; good files and bad ones."""

from __future__ import annotations

import pytest

from annotation.importing.bringing import bring, dry_run
from annotation.models import Assignment, AssignmentState, Campaign, Completion, Ranking
from annotation.services.snapshot import freeze_snapshot
from tests.annotation.importing.files import a_draft, a_table, imported, lines, listed, orders, told

pytestmark = pytest.mark.django_db


def transcript(answer: str, *, asked: str = "Why?") -> str:
    return f"\n\nHuman: Hi.\n\nAssistant: Hello.\n\nHuman: {asked}\n\nAssistant: {answer}"


def hh(chosen: str, rejected: str, **fields: str) -> dict[str, str]:
    return {"chosen": transcript(chosen, **fields), "rejected": transcript(rejected, **fields)}


# Anthropic HH and TRL


@pytest.mark.parametrize("name", ["hh.jsonl", "hh.jsonl.gz"])
def test_hh_transcripts_are_tasks_of_two_with_one_ranking(tmp_path, name):
    path = lines(tmp_path / name, hh("So.", "Go away."), hh("", "No.", asked="How?"))
    campaign, report = imported(path)
    assert (report.format, report.counts.tasks, report.counts.rankings, report.counts.raters) == ("pairs", 2, 2, 1)
    assert sorted(orders(campaign)) == [[[""], ["No."]], [["So."], ["Go away."]]]
    messages = campaign.prompts.get(messages__2__content="Why?").messages
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]


def test_which_text_comes_first_does_not_tell_which_was_chosen(tmp_path):
    campaign, _ = imported(
        lines(tmp_path / "hh.jsonl", *(hh(f"{n}", f"{9 - n}", asked=f"{n}?") for n in range(10) if n != 4.5))
    )
    first = [task.entries.get(index=0).completion_id for task in campaign.tasks.all()]
    chosen = [str(ranking.tiers[0][0]) for ranking in Ranking.objects.all()]
    assert 3 <= sum(str(pk) in chosen for pk in first) <= 7


def test_the_same_pair_judged_twice_is_two_raters_and_a_copy_is_none(tmp_path):
    path = lines(tmp_path / "hh.jsonl", hh("A", "B"), hh("B", "A"), hh("A", "B"))
    campaign, report = imported(path)
    assert (report.counts.tasks, report.counts.rankings, report.counts.known_rankings) == (1, 2, 1)
    assert Ranking.objects.values("rater").distinct().count() == 2
    again = bring(path, campaign=campaign, user=None)
    assert (again.counts.rankings, again.counts.known_rankings) == (0, 3)


def test_what_is_wrong_with_a_pair_is_told(tmp_path):
    other = {"chosen": transcript("A", asked="Why?"), "rejected": transcript("B", asked="How?")}
    path = lines(
        tmp_path / "hh.jsonl", hh("A", "B"), other, hh("A", "A"), {"chosen": transcript("A")},
        {"chosen": "A", "rejected": "B"}, {"chosen": transcript("A"), "rejected": transcript("B") + "\n\nHuman: And?"},
    )  # fmt: skip
    assert told(path) == [
        (2, "different_prompts"), (3, "same_texts"), (4, "no_pair"), (5, "no_prompt"), (6, "no_answer"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["trl.jsonl", "trl.parquet"])
def test_trl_pairs_with_a_prompt_are_read(tmp_path, name):
    rows = [
        {"id": "1", "prompt": [{"role": "user", "content": "Why?"}], "chosen": [{"role": "assistant", "content": "So."}],
         "rejected": [{"role": "assistant", "content": "No."}], "rater": "r-1", "margin": 1.0},
    ]  # fmt: skip
    path = a_table(tmp_path / name, rows) if name.endswith("parquet") else lines(tmp_path / name, *rows)
    campaign, report = imported(path)
    assert orders(campaign) == [[["So."], ["No."]]]
    assert report.unread == ("margin",)


def test_what_was_frozen_here_comes_in_again(tmp_path):
    campaign, _ = imported(lines(tmp_path / "hh.jsonl", hh("A", "B")))
    frozen = freeze_snapshot(campaign, name="theirs", user=None)
    parquet = next((frozen.artifact.folder / "data").glob("*.parquet"))
    again = a_draft("Again")
    assert bring(parquet, campaign=again, user=None).counts.rankings == 1
    assert orders(again) == orders(campaign)


@pytest.mark.slow(seconds=3)
def test_real_transcripts_come_in_but_for_those_that_do_not_compare(data):
    path = data / "hh_harmless" / "pairs.jsonl.gz"
    campaign = a_draft(k=2, overlap=1)
    report = dry_run(path, campaign=campaign)
    assert report.num_bad == 4 + sum(line.code == "same_texts" for line in report.lines)
    assert {line.code for line in report.lines} <= {"different_prompts", "same_texts", "bad_row"}
    done = bring(path, campaign=campaign, user=None, leaves_bad_out=True)
    assert done.counts == report.counts
    assert campaign.tasks.count() == done.counts.tasks > 1600
    assert freeze_snapshot(campaign, name="hh", user=None).num_rows == done.counts.rankings


# Argilla


def argilla(number: int, **responses: list[dict[str, object]]) -> dict[str, object]:
    return {
        "id": str(number), "fields": {"instruction": f"Question {number}?", "response1": "A", "response2": "B", "response3": "C"},
        "metadata": {}, "suggestions": {}, "responses": responses, "vectors": {}, "_server_id": "x",
    }  # fmt: skip


ANN, BOB = "0a", "0b"
BEST_2 = {"value": ["response2", "response1", "response3"], "user_id": ANN}
TIED = {
    "value": [{"value": "response3", "rank": 1}, {"value": "response1", "rank": 2}, {"value": "response2", "rank": 2}],
    "user_id": BOB, "status": "submitted",
}  # fmt: skip


def test_argilla_records_are_tasks_ranked_by_each_of_their_users(tmp_path):
    other = {"value": ["yes", "no"], "user_id": ANN}
    path = listed(tmp_path / "a.json", argilla(1, labels=[other], ranking=[BEST_2, TIED]), argilla(2, ranking=[BEST_2]))
    campaign, report = imported(path)
    assert (report.format, report.counts.tasks, report.counts.rankings, report.counts.raters) == ("argilla", 2, 3, 2)
    assert orders(campaign) == [[["B"], ["A"], ["C"]], [["C"], ["A", "B"]], [["B"], ["A"], ["C"]]]
    assert "ranking" in report.notes[0]


def test_records_and_tasks_that_nobody_has_ranked_yet_are_tasks_once_it_is_known_what_is_ranked(tmp_path):
    campaign, report = imported(listed(tmp_path / "a.json", argilla(1), argilla(2, ranking=[BEST_2]), argilla(3)))
    assert (report.counts.tasks, report.counts.rankings, campaign.tasks.count()) == (2, 1, 2)
    assert any("nobody has ranked" in note for note in report.notes)
    texts = {"answer1": "A", "answer2": "B"}
    _, report = imported(
        listed(tmp_path / "l.json", label_studio(1, pairwise("left"), **texts), label_studio(2, **texts)), k=2
    )
    assert (report.counts.tasks, report.counts.rankings) == (2, 1)


def test_argillas_drafts_and_discarded_answers_are_left_out(tmp_path):
    path = lines(tmp_path / "a.jsonl", argilla(1, ranking=[BEST_2, TIED | {"status": "discarded"}]))
    _, report = imported(path)
    assert report.counts.rankings == 1


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_argillas_flat_records_are_read(tmp_path, name):
    row = {
        "id": "1", "status": "completed", "_server_id": "x", "prompt": "Question 1?", "reply-a": "A", "reply-b": "B",
        "ranking.responses": [["reply-b", "reply-a"], ["reply-a", "reply-b"]],
        "ranking.responses.users": [ANN, BOB], "ranking.responses.status": ["submitted", "draft"],
    }  # fmt: skip
    path = a_table(tmp_path / name, [row]) if name.endswith("parquet") else lines(tmp_path / name, row)
    campaign, _ = imported(path, k=2)
    assert orders(campaign) == [[["B"], ["A"]]]


def test_argillas_older_feedback_is_read(tmp_path):
    row = {
        "prompt": "Question 1?", "response-1": "A", "response-2": "B", "external_id": None,
        "best": [{"user_id": ANN, "value": [{"rank": 2, "value": "response-1"}, {"rank": 1, "value": "response-2"}],
                  "status": "submitted"}],
    }  # fmt: skip
    campaign, _ = imported(lines(tmp_path / "a.jsonl", row), k=2)
    assert orders(campaign) == [[["B"], ["A"]]]


def test_options_stand_for_fields_of_much_the_same_name(tmp_path):
    row = argilla(1, ranking=[{"value": ["Completion 3", "Completion 1", "Completion 2"], "user_id": ANN}])
    campaign, _ = imported(listed(tmp_path / "a.json", row))
    assert orders(campaign) == [[["C"], ["A"], ["B"]]]


def test_what_is_wrong_with_a_record_of_argilla_is_told(tmp_path):
    path = listed(
        tmp_path / "a.json",
        argilla(1, ranking=[BEST_2]),
        {"id": 2, "fields": {}, "responses": {}},
        argilla(3, ranking=[{"value": ["one", "two"], "user_id": ANN}]),
        argilla(4, ranking=[BEST_2, BEST_2]),
        argilla(5, ranking=[BEST_2]) | {"fields": {"response1": "A", "response2": "B", "response3": "C"}},
        {"id": 6},
    )
    assert told(path) == [
        (2, "no_ranking"), (3, "no_such_field"), (4, "ranked_twice"), (5, "no_prompt"), (6, "no_ranking"),
    ]  # fmt: skip


# Label Studio

ITEMS = [{"id": "x", "title": "model-x", "body": "A"}, {"id": "y", "body": "B"}, {"id": "z", "body": "C"}]


def label_studio(number: int, *annotations: dict[str, object], **data: object) -> dict[str, object]:
    return {
        "id": number,
        "data": {"prompt": f"Question {number}?", **(data or {"items": ITEMS})},
        "annotations": list(annotations),
    }


def ranker(value: object, *, by: object = 1, **fields: object) -> dict[str, object]:
    result = [{"type": "ranker", "from_name": "rank", "to_name": "results", "value": {"ranker": value}}]
    return {"completed_by": by, "result": result, "was_cancelled": False, "lead_time": 12.5, **fields}


def pairwise(selected: str, *, by: object = 1, to_name: object = "answer1,answer2") -> dict[str, object]:
    result = [{"type": "pairwise", "from_name": "pw", "to_name": to_name, "value": {"selected": selected}}]
    return {"completed_by": by, "result": result, "lead_time": 3.0}


def test_label_studios_ranker_is_an_order(tmp_path):
    path = listed(
        tmp_path / "l.json",
        label_studio(
            1, ranker({"rank": ["z", "x", "y"]}), ranker(["x", "y", "z"], by={"id": 7, "email": "ann@example.org"})
        ),
        label_studio(2, ranker({"rank": ["y", "x", "z"]}, was_cancelled=True)),
    )
    campaign, report = imported(path)
    assert (report.format, report.counts.tasks, report.counts.rankings) == ("label-studio", 2, 2)
    assert orders(campaign) == [[["C"], ["A"], ["B"]], [["A"], ["B"], ["C"]]]
    assert Ranking.objects.filter(seconds=12.5).count() == 2
    assert Completion.objects.filter(model_label="model-x").count() == 2
    assert not any("ann" in name for name in Ranking.objects.values_list("rater__username", flat=True))


def test_buckets_are_tiers_and_what_is_in_none_is_left_out(tmp_path):
    path = listed(tmp_path / "l.json", label_studio(1, ranker({"_": ["y"], "good": ["x"], "bad": ["z"]})))
    campaign, report = imported(path)
    ranking = Ranking.objects.get()
    assert orders(campaign) == [[["A"], ["C"]]]
    assert len(ranking.unranked) == 1
    assert "Buckets are read best first" in report.notes[0]


@pytest.mark.parametrize("columns", [("answer1", "answer2"), ("text_left", "text_right")])
def test_label_studios_pairwise_is_a_choice(tmp_path, columns):
    data = dict(zip(columns, ("A", "B"), strict=True))
    path = listed(tmp_path / "l.json", label_studio(1, pairwise("right"), pairwise("left", by=2), **data))
    campaign, report = imported(path)
    assert sorted(orders(campaign)) == [[["A"], ["B"]], [["B"], ["A"]]]
    assert (report.counts.tasks, report.counts.raters) == (1, 2)


def test_what_is_wrong_with_a_task_of_label_studio_is_told(tmp_path):
    three = {"answer1": "A", "answer2": "B", "answer3": "C"}
    path = listed(
        tmp_path / "l.json",
        label_studio(1, ranker({"rank": ["z", "x", "y"]})),
        label_studio(2, ranker({"rank": ["z", "x", "y", "q"]})),
        label_studio(3, ranker({"rank": "z"})),
        label_studio(4, pairwise("both", to_name="a,b"), answer1="A", answer2="B"),
        label_studio(5, pairwise("left", to_name="a,b"), **three),
        {"data": {"items": ITEMS}, "annotations": []},
        {"data": [], "annotations": []},
    )
    assert told(path) == [
        (2, "bad_ranking"), (3, "bad_ranking"), (4, "bad_ranking"), (5, "no_items"), (6, "no_prompt"), (7, "bad_shape"),
    ]  # fmt: skip


# Open-Assistant


def message(name: str, role: str, *replies: dict[str, object], **fields: object) -> dict[str, object]:
    return {"message_id": name, "role": role, "text": f"{name} says", "lang": "en", "replies": list(replies), **fields}


def tree(*replies: dict[str, object], **fields: object) -> dict[str, object]:
    return {
        "message_tree_id": "p",
        "tree_state": "ready_for_export",
        "prompt": message("p", "prompter", *replies, **fields),
    }


@pytest.mark.parametrize("name", ["t.jsonl", "t.jsonl.gz"])
def test_a_tree_is_a_task_wherever_answers_to_a_prompt_are_ranked(tmp_path, name):
    deep = message(
        "b", "assistant",
        message("q", "prompter", message("c", "assistant", rank=0), message("d", "assistant", rank=1), rank=0),
        rank=1,
    )  # fmt: skip
    gone = message("e", "assistant", rank=2, deleted=True)
    path = lines(tmp_path / name, tree(message("a", "assistant", rank=0, synthetic=True, model_name="m"), deep, gone))
    campaign, report = imported(path)
    assert (report.format, report.counts.tasks, report.counts.rankings, report.counts.raters) == (
        "open-assistant",
        2,
        2,
        1,
    )
    assert orders(campaign) == [[["a says"], ["b says"]], [["c says"], ["d says"]]]
    longest = campaign.prompts.get(external_id="q").messages
    assert [(turn["role"], turn["content"]) for turn in longest] == [
        ("user", "p says"), ("assistant", "b says"), ("user", "q says"),
    ]  # fmt: skip
    assert Completion.objects.get(text="a says").model_label == "m"


def test_answers_without_a_rank_are_left_out_and_a_tree_without_any_is_a_prompt(tmp_path):
    path = lines(
        tmp_path / "t.jsonl",
        tree(*(message(name, "assistant", rank=rank) for name, rank in (("a", 1), ("b", 0), ("c", None)))),
        tree(message("f", "assistant"), message("g", "assistant"), text="Other"),
        tree(text="Alone"),
    )
    campaign, report = imported(path)
    assert (report.counts.prompts, report.counts.tasks, report.counts.rankings) == (3, 2, 1)
    assert orders(campaign) == [[["b says"], ["a says"]]]


def test_what_is_wrong_with_a_tree_is_told(tmp_path):
    leaf = message("z", "assistant")
    deep = leaf
    for n in range(120):
        deep = message(f"m{n}", "assistant" if n % 2 else "prompter", deep)
    many = [message(f"a{n}", "assistant", rank=n) for n in range(12)]
    path = lines(
        tmp_path / "t.jsonl", tree(message("a", "assistant", rank=0), message("b", "assistant", rank=1)),
        {"prompt": message("p", "judge")}, tree(deep), tree(*many), {"prompt": message("p", "prompter") | {"replies": "none"}},
    )  # fmt: skip
    assert told(path) == [(2, "bad_shape"), (3, "too_deep"), (4, "bad_completions"), (5, "bad_shape")]


# What holds for all of them


def test_rankings_beyond_the_overlap_are_told_before_and_kept_as_surplus(tmp_path):
    campaign = a_draft(overlap=1)
    path = listed(tmp_path / "a.json", argilla(1, ranking=[BEST_2, TIED]))
    assert dry_run(path, campaign=campaign).counts.surplus == 1
    assert bring(path, campaign=campaign, user=None).counts.surplus == 1
    assert sorted(Assignment.objects.values_list("state", flat=True)) == [AssignmentState.DONE, AssignmentState.SURPLUS]
    assert not campaign.slots.filter(is_free=True).exists()


def test_a_rater_who_contradicts_herself_is_told_by_line(tmp_path):
    path = listed(
        tmp_path / "a.json", argilla(1, ranking=[BEST_2]),
        argilla(1, ranking=[BEST_2 | {"value": ["response1", "response2", "response3"]}]),
    )  # fmt: skip
    assert told(path) == [(2, "ranked_otherwise")]


def test_scales_that_a_campaign_asks_for_are_missed_in_rankings_without_them(tmp_path):
    scale = {"name": "helpful", "levels": 5, "low": "no", "high": "yes", "is_required": True}
    campaign = a_draft(attributes=[scale])
    report = dry_run(lines(tmp_path / "hh.jsonl", hh("A", "B")), campaign=campaign)
    assert [(line.line, line.code) for line in report.lines] == [(1, "bad_ranking")]


def test_a_chosen_format_is_kept_to(tmp_path):
    path = lines(tmp_path / "p.jsonl", {"prompt": "Why?"})
    report = dry_run(path, campaign=Campaign(name="Nobody's"), format="pairs")
    assert (report.format, report.lines[0].code) == ("pairs", "no_pair")


def test_a_dry_run_writes_nothing_at_all(tmp_path, django_assert_num_queries):
    path = listed(tmp_path / "a.json", *(argilla(n, ranking=[BEST_2, TIED]) for n in range(40)))
    campaign = a_draft()
    with django_assert_num_queries(2) as asked:
        dry_run(path, campaign=campaign)
    assert all(query["sql"].startswith("SELECT") for query in asked.captured_queries)
