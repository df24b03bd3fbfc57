"""Rankings from elsewhere: all of a file or none of it, with the lines to mend, and once however often."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import call_command

from accounts.models import User
from annotation.importing.bringing import import_rankings
from annotation.importing.complaints import BadLines
from annotation.models import Assignment, AssignmentState, Campaign, Completion, Ranking, RankingTask, Slot
from annotation.services.snapshot import freeze_snapshot
from tests.annotation.arrange import a_file, a_row

pytestmark = pytest.mark.django_db

ANN = {"rater": "ann", "tiers": [["x"], ["y", "z"]], "seconds": 12.5}
BOB = {"rater": "bob", "tiers": [["z"], ["y"], ["x"]], "strengths": [1, 3]}


def test_a_file_makes_a_campaign_with_its_rankings(tmp_path):
    path = a_file(tmp_path / "r.jsonl", a_row(1, rankings=[ANN, BOB]), a_row(2, rankings=[ANN]))
    done = import_rankings(path, name="Theirs", user=None)
    assert (done.num_tasks, done.num_rankings, done.num_raters) == (2, 3, 2)
    campaign = Campaign.objects.get(name="Theirs")
    assert (campaign.state, campaign.k, campaign.overlap) == ("draft", 3, 2)
    first = Ranking.objects.get(task__prompt__messages__0__content="What is 1?", seconds=12.5)
    names = {str(completion.pk): completion.external_id for completion in Completion.objects.all()}
    assert [sorted(names[name] for name in tier) for tier in first.tiers] == [["x"], ["y", "z"]]
    assert Slot.objects.filter(is_free=True).count() == 1


def test_raters_of_elsewhere_cannot_log_in_and_their_labels_are_nowhere(tmp_path):
    path = a_file(tmp_path / "r.jsonl", a_row(1, rankings=[ANN | {"rater": "ann@example.org"}]))
    import_rankings(path, name="Theirs", user=None)
    rater = User.objects.get()
    assert not rater.is_active
    assert not rater.has_usable_password()
    assert "ann" not in rater.username


def test_the_same_file_again_changes_nothing(tmp_path):
    path = a_file(tmp_path / "r.jsonl", a_row(1, rankings=[ANN, BOB]))
    import_rankings(path, name="Theirs", user=None)
    again = import_rankings(path, name="Theirs", user=None)
    assert (again.num_tasks, again.num_rankings, again.num_known) == (0, 0, 2)
    assert (RankingTask.objects.count(), Ranking.objects.count(), Slot.objects.count()) == (1, 2, 2)


def test_a_rater_who_ranks_otherwise_than_before_is_told_and_nothing_is_kept(tmp_path):
    import_rankings(a_file(tmp_path / "r.jsonl", a_row(1, rankings=[ANN])), name="Theirs", user=None)
    other = a_file(
        tmp_path / "s.jsonl", a_row(2, rankings=[ANN]), a_row(1, rankings=[ANN | {"tiers": [["x", "y", "z"]]}])
    )
    with pytest.raises(BadLines, match="Line 2: Rater ann has ranked these completions otherwise before"):
        import_rankings(other, name="Theirs", user=None)
    assert Ranking.objects.count() == 1


def test_rankings_beyond_the_overlap_are_kept_as_surplus(tmp_path):
    import_rankings(a_file(tmp_path / "r.jsonl", a_row(1, rankings=[ANN])), name="Theirs", user=None)
    import_rankings(a_file(tmp_path / "s.jsonl", a_row(1, rankings=[BOB])), name="Theirs", user=None)
    states = Assignment.objects.order_by("leased_at").values_list("state", flat=True)
    assert list(states) == [AssignmentState.DONE, AssignmentState.SURPLUS]


def test_every_bad_line_is_told_by_its_number_and_nothing_is_imported(tmp_path):
    row = a_row(1)
    same = [{"id": "x", "text": "one"}, {"id": "x", "text": "two"}]
    path = a_file(
        tmp_path / "r.jsonl",
        a_row(0, rankings=[ANN]),
        "not json",
        [],
        row | {"completions": row["completions"][:1]},
        row | {"completions": same},
        row | {"rankings": [ANN | {"tiers": [["x"], ["y"]]}]},
        row | {"rankings": [ANN | {"tiers": [["x"], ["y"], ["z"], ["q"]]}]},
        row | {"rankings": [ANN, ANN]},
        row | {"rankings": [ANN | {"seconds": -1}]},
        row | {"rankings": [ANN | {"strengths": [True]}]},
        row | {"prompt": []},
        row | {"score": 3},
        '{"prompt": NaN}',
        "[" * 100_000,
    )
    with pytest.raises(BadLines) as told:
        import_rankings(path, name="Theirs", user=None)
    assert [line["line"] for line in told.value.data["lines"]] == list(range(2, 15))
    assert told.value.sentence.startswith("Line 2: This is not JSON. 12 more lines are bad.")
    assert not Campaign.objects.exists()


def test_a_prompt_may_come_with_several_sets_of_completions(tmp_path):
    one, two = a_row(1, rankings=[ANN]), a_row(1, rankings=[ANN])
    two["completions"] = [dict(each, text=each["text"] + " Otherwise.") for each in two["completions"]]
    import_rankings(a_file(tmp_path / "r.jsonl", one, two), name="Theirs", user=None)
    campaign = Campaign.objects.get()
    assert (campaign.prompts.count(), campaign.tasks.count()) == (1, 2)
    assert freeze_snapshot(campaign, name="theirs", user=None).num_rows == 4


def test_rankings_by_programs_are_marked_simulated(tmp_path):
    import_rankings(a_file(tmp_path / "r.jsonl", a_row(1, rankings=[ANN])), name="Theirs", user=None, is_simulated=True)
    assert Ranking.objects.get().is_simulated
    assert freeze_snapshot(Campaign.objects.get(), name="theirs", user=None).is_simulated


def test_from_the_command_line_a_file_becomes_a_dataset(tmp_path):
    path = a_file(tmp_path / "r.jsonl", *(a_row(n, rankings=[ANN, BOB]) for n in range(3)))
    out = io.StringIO()
    call_command("import_rankings", str(path), campaign="Theirs", open=True, json=True, stdout=out)
    slug = json.loads(out.getvalue())["campaign"]
    out = io.StringIO()
    call_command("snapshot", slug, "theirs-1", json=True, stdout=out)
    assert json.loads(out.getvalue())["comparisons"] == 3 * (2 + 3)


def test_the_command_tells_a_bad_line_and_fails(tmp_path):
    err = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("import_rankings", str(a_file(tmp_path / "r.jsonl", "{")), campaign="Theirs", stderr=err)
    assert "bad_lines: Line 1: This is not JSON." in err.getvalue()
