"""What a rater can say beside an order: texts left out, that there is none, ratings, a better version."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from django.db import IntegrityError, transaction

from annotation.models import Assignment, AssignmentState, Completion, Ranking
from annotation.services.agreement import agreement_of
from annotation.services.assign import lease_next
from annotation.services.campaigns import BadCampaign, create_campaign
from annotation.services.completions import make_tasks
from annotation.services.judge import BadRanking, Edit, Submission
from annotation.services.progress import campaign_progress
from annotation.services.rank import UuidReused, correct_ranking, submit_ranking
from annotation.services.snapshot import freeze_snapshot
from registry.services.datasets import read_rows
from registry.services.export import export_dataset
from tests.annotation.arrange import a_campaign, a_submission

pytestmark = pytest.mark.django_db
HELPFUL = {"name": "helpful", "levels": 5, "low": "useless", "high": "just it", "is_required": True}
HONEST = {"name": "honest", "levels": 2, "low": "no", "high": "yes", "is_required": False}
BETTER = Edit("b", "A better answer.")


def ranked(campaign, rater, submission):
    return submit_ranking(lease_next(campaign, rater=rater), rater=rater, submission=submission)


def frozen(campaign, name="first"):
    """Its comparisons, and its rankings as they lie beside them."""
    dataset = freeze_snapshot(campaign, name=name, user=None)
    rows = [row for split in ("train", "test") for row in read_rows(dataset, split=split)]
    files = sorted((dataset.artifact.folder / "rankings").glob("*.parquet"))
    return dataset, rows, [row for path in files for row in pq.read_table(path).to_pylist()]


# Left out


def test_a_text_left_out_gives_no_comparison_and_stands_in_the_rankings_file(campaign, ada):
    ranking = ranked(campaign, ada, a_submission("b>a", unranked=["c"]))
    a, b, c = ranking.assignment.order
    assert (ranking.tiers, ranking.unranked) == ([[b], [a]], [c])
    _, rows, rankings = frozen(campaign)
    texts = {str(pk): text for pk, text in Completion.objects.values_list("pk", "text")}
    assert [(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in rows] == [(texts[b], texts[a])]
    assert {text["id"]: text["left_out"] for text in rankings[0]["texts"]} == {a: False, b: False, c: True}
    assert {text["id"] for text in rankings[0]["completions"]} == {a, b, c}


@pytest.mark.parametrize(
    ("tiers", "unranked", "complaint"),
    [
        ("a>b", (), "Not ranked yet: C"),
        ("a", ("b", "c"), "Rank two texts at least"),
        ("a>b", ("b", "c"), "B stands twice"),
        ("a>b", ("c", "d"), "There is no text D"),
    ],
)
def test_an_order_says_of_every_text_where_it_stands(campaign, ada, tiers, unranked, complaint):
    with pytest.raises(BadRanking, match=complaint):
        ranked(campaign, ada, a_submission(tiers, unranked=unranked))


def test_a_replay_that_leaves_out_another_text_is_another_ranking(campaign, ada):
    key = uuid.uuid4()
    first = ranked(campaign, ada, a_submission("a>b", unranked=["c"], client_uuid=key))
    again = a_submission("a>b", unranked=["C"], client_uuid=key)
    assert submit_ranking(first.assignment, rater=ada, submission=again) == first
    with pytest.raises(UuidReused):
        submit_ranking(first.assignment, rater=ada, submission=a_submission("a>c", unranked=["b"], client_uuid=key))


# Cannot be ranked


def test_what_cannot_be_ranked_fills_its_place_and_gives_no_comparison(ada, bea):
    campaign = a_campaign(raters=[ada, bea], num_prompts=2, overlap=1)
    ranking = ranked(campaign, ada, Submission(uuid.uuid4(), cannot_rank="other", reason="Two tasks in one."))
    assert Assignment.objects.get().state == AssignmentState.DONE
    assert (ranking.tiers, ranking.cannot_rank, ranking.reason) == ([], "other", "Two tasks in one.")
    other = ranked(campaign, ada, a_submission())
    assert lease_next(campaign, rater=bea) is None
    progress = campaign_progress(campaign)
    assert (progress.slots_done, progress.rankings, progress.cannot_rank) == (2, 2, 1)
    dataset, rows, rankings = frozen(campaign)
    assert {row["ranking_id"] for row in rows} == {str(other.pk)}
    told = next(row for row in rankings if row["ranking_id"] == str(ranking.pk))
    assert (told["tiers"], told["cannot_rank"], len(told["completions"])) == ([], "other", 3)
    assert "cannot be ranked" in dataset.card


def test_agreement_is_of_orders_alone(ada, bea):
    campaign = a_campaign(raters=[ada, bea], num_prompts=1, overlap=2)
    ranked(campaign, ada, Submission(uuid.uuid4(), cannot_rank="unclear"))
    ranked(campaign, bea, a_submission())
    assert agreement_of(campaign) is None


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"cannot_rank": "boring"}, "no reason called boring .*; there are unclear, broken"),
        ({"cannot_rank": "other", "reason": " "}, "Say in the reason"),
        ({"cannot_rank": "unclear", "tiers": [["a"], ["b"], ["c"]]}, "take back the one or the other"),
        ({"cannot_rank": "unclear", "all_bad": True}, "take back the one or the other"),
        ({"cannot_rank": "unclear", "edit": BETTER}, "leads an order"),
    ],
)
def test_it_is_ranked_or_it_cannot_be_and_not_both(campaign, ada, fields, complaint):
    with pytest.raises(BadRanking, match=complaint):
        ranked(campaign, ada, Submission(uuid.uuid4(), **fields))


def test_the_database_holds_an_order_or_why_there_is_none(campaign, ada):
    ranking = ranked(campaign, ada, a_submission())
    for wrong in (
        {"cannot_rank": "unclear"},
        {"tiers": []},
        {"tiers": [], "strengths": [], "cannot_rank": "boring"},
        {"tiers": [], "strengths": [], "cannot_rank": "other", "reason": ""},
        {"tiers": [], "strengths": [], "cannot_rank": "unclear", "all_bad": True},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            Ranking.objects.filter(pk=ranking.pk).update(**wrong)


def test_all_bad_reaches_the_rankings_file_and_gives_no_comparison(campaign, ada):
    bad = ranked(campaign, ada, Submission(uuid.uuid4(), all_bad=True))
    ranked(campaign, ada, a_submission())
    _, rows, rankings = frozen(campaign)
    told = next(row for row in rankings if row["all_bad"])
    assert (told["ranking_id"], len(told["tiers"])) == (str(bad.pk), 1)
    assert str(bad.pk) not in {row["ranking_id"] for row in rows}


# Ratings


@pytest.fixture
def rated(ada):
    campaign = a_campaign(raters=[ada], num_prompts=1, overlap=1)
    campaign.attributes = [HELPFUL, HONEST]
    campaign.save()
    return campaign


def test_ratings_are_kept_by_text_and_frozen_with_the_ranking(rated, ada):
    given = {"a": {"helpful": 5, "honest": 2}, "B": {"helpful": 1}}
    ranking = ranked(rated, ada, a_submission("a>b", unranked=["c"], ratings=given))
    a, b, _ = ranking.assignment.order
    assert ranking.ratings == {a: {"helpful": 5, "honest": 2}, b: {"helpful": 1}}
    dataset, _, rankings = frozen(rated)
    told = {text["id"]: json.loads(text["ratings"]) for text in rankings[0]["texts"]}
    assert (told[a], told[b]) == ({"helpful": 5, "honest": 2}, {"helpful": 1})
    assert dataset.query["attributes"] == [HELPFUL, HONEST]


def test_a_required_rating_is_asked_of_what_is_ranked_alone(rated, ada):
    with pytest.raises(BadRanking, match="Rate text B on helpful"):
        ranked(rated, ada, a_submission("a>b", unranked=["c"], ratings={"a": {"helpful": 5}}))
    ranked(rated, ada, Submission(uuid.uuid4(), cannot_rank="broken"))


def test_a_campaign_without_attributes_takes_no_ratings(campaign, ada):
    with pytest.raises(BadRanking, match="this campaign asks for none"):
        ranked(campaign, ada, a_submission(ratings={"a": {"helpful": 5}}))


def test_a_campaign_refuses_scales_that_cannot_be_used(db):
    with pytest.raises(BadCampaign, match="2 to 7 levels"):
        create_campaign("Bad", k=2, overlap=1, guideline="", user=None, attributes=[HELPFUL | {"levels": 9}])


# A better version


def test_a_better_version_leads_its_raters_order_and_is_frozen_as_one_more_text(campaign, ada):
    ranking = ranked(campaign, ada, a_submission("a>b=c", edit=replace(BETTER, text=" A better\r\nanswer. ")))
    _, b, _ = ranking.assignment.order
    edit = ranking.edit
    assert (edit.author, str(edit.parent_id), edit.text, edit.model) == (ada, b, "A better\nanswer.", None)
    assert (ranking.tiers[0], ranking.strengths) == ([str(edit.pk)], [1, 1])
    dataset, rows, rankings = frozen(campaign)
    won = [row["rejected"][0]["content"] for row in rows if row["chosen"][0]["content"] == edit.text]
    assert len(won) == 3  # over its original, and over the others
    assert edit.parent.text in won
    assert abs(sum(row["weight"] for row in rows) - 1) < 1e-9
    own = next(text for text in rankings[0]["texts"] if text["better_than"])
    assert (own["id"], own["better_than"]) == (str(edit.pk), b)
    assert dataset.query["num_edits"] == 1


def test_nobody_else_is_shown_a_better_version_and_its_author_has_no_name_in_exports(campaign, ada, bea, tmp_path):
    ranking = ranked(campaign, ada, a_submission(edit=BETTER))
    assert make_tasks(campaign) == 0
    while (assignment := lease_next(campaign, rater=bea)) is not None:
        assert str(ranking.edit_id) not in assignment.order
        submit_ranking(assignment, rater=bea, submission=a_submission())
    assert campaign_progress(campaign).completions == 9
    dataset, _, _ = frozen(campaign)
    folder = export_dataset(dataset, fmt="rankings-jsonl", out=tmp_path / "out")
    lines = [line for path in folder.rglob("*.jsonl") for line in path.read_text().splitlines()]
    assert not any(
        re.search(r"\bada\b", line) for line in lines
    )  # ids are hexadecimal: the letters alone may be chance
    both = next(row for line in lines if len((row := json.loads(line))["rankings"]) == 2)
    assert len(both["completions"]) == 4  # of two raters, one wrote a better version


@pytest.mark.parametrize(
    ("tiers", "fields", "complaint"),
    [
        ("a>b>c", {"edit": Edit("b", " \n")}, "version of B is empty"),
        ("a>b>c", {"edit": Edit("z", "Better.")}, "no text z to better"),
        ("a>b>c", {"edit": Edit("b", "x" * 50_001)}, "at most 50,000"),
        ("a>b>c", {"edit": Edit("b", "a\x00")}, "a NUL character in your better version of B"),
        ("a>c", {"unranked": ["b"], "edit": BETTER}, "Rank B, or take back"),
    ],
)
def test_a_better_version_that_does_not_fit_is_refused(campaign, ada, tiers, fields, complaint):
    with pytest.raises(BadRanking, match=complaint):
        ranked(campaign, ada, a_submission(tiers, **fields))
    assert not Completion.objects.filter(parent__isnull=False).exists()


def test_a_better_version_says_what_no_text_said(campaign, ada):
    assignment = lease_next(campaign, rater=ada)
    texts = [Completion.objects.get(pk=pk).text for pk in assignment.order]
    for text, complaint in ((texts[1], "the same as B"), (texts[2], "the same as C: rank C higher")):
        with pytest.raises(BadRanking, match=complaint):
            submit_ranking(assignment, rater=ada, submission=a_submission(edit=Edit("b", text)))


def test_a_replay_with_a_better_version_makes_one_text_and_another_version_is_refused(campaign, ada):
    key = uuid.uuid4()
    submission = a_submission(edit=BETTER, client_uuid=key)
    first = ranked(campaign, ada, submission)
    assert submit_ranking(first.assignment, rater=ada, submission=submission) == first
    with pytest.raises(UuidReused):
        other = a_submission(edit=Edit("b", "Another."), client_uuid=key)
        submit_ranking(first.assignment, rater=ada, submission=other)
    assert Completion.objects.filter(parent__isnull=False).count() == 1


def test_a_correction_says_everything_anew(campaign, ada):
    first = ranked(campaign, ada, a_submission(edit=BETTER, flags={"a": ["unsafe"]}))
    second = correct_ranking(first, rater=ada, submission=a_submission("c>a", unranked=["b"], edit=Edit("c", "Best.")))
    assert (second.edit.text, second.flags, len(second.unranked)) == ("Best.", {}, 1)
    third = correct_ranking(second, rater=ada, submission=Submission(uuid.uuid4(), cannot_rank="outside"))
    assert (third.edit, third.tiers, third.cannot_rank) == (None, [], "outside")
    assert Ranking.objects.get(is_live=True) == third


def test_the_database_keeps_a_better_version_to_a_person_and_one_ranking(campaign, ada):
    ranking = ranked(campaign, ada, a_submission(edit=BETTER))
    with pytest.raises(IntegrityError), transaction.atomic():
        Completion.objects.filter(pk=ranking.edit_id).update(author=None)
    other = ranked(campaign, ada, a_submission())
    with pytest.raises(IntegrityError), transaction.atomic():
        Ranking.objects.filter(pk=other.pk).update(edit=ranking.edit)
