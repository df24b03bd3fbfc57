"""Snapshots: what a frozen dataset says of rankings, and what it must not."""

from __future__ import annotations

from collections import defaultdict

import pyarrow.parquet as pq
import pytest

from annotation.models import Completion, Ranking, RankingTask, TaskKind
from annotation.services.assign import lease_next
from annotation.services.campaigns import create_campaign
from annotation.services.completions import save_tasks
from annotation.services.prompts import BadPrompt, add_prompts
from annotation.services.rank import correct_ranking, submit_ranking
from annotation.services.snapshot import NoRankings, freeze_snapshot
from registry.services.datasets import read_rows
from registry.services.names import NameTaken
from tests.annotation.arrange import a_campaign, a_person, a_submission

pytestmark = pytest.mark.django_db


@pytest.fixture
def ranked(ada):
    """30 prompts, so that some are held out; Ada ranks all, a simulated rater all too."""
    sim = a_person("sim", is_simulated=True)
    campaign = a_campaign(raters=[ada, sim], num_prompts=30, overlap=2)
    for rater, line in ((ada, "a>b=c"), (sim, "c>b>a")):
        while (assignment := lease_next(campaign, rater=rater)) is not None:
            submit_ranking(assignment, rater=rater, submission=a_submission(line))
    return campaign


def rows_of(dataset):
    return {split: list(read_rows(dataset, split=split)) for split in ("train", "test")}


def test_each_prompt_weighs_one_and_stands_in_one_split(ranked):
    rows = rows_of(freeze_snapshot(ranked, name="first", user=None))
    weights: defaultdict[str, float] = defaultdict(float)
    for split in rows.values():
        for row in split:
            weights[row["group_id"]] += row["weight"]
    assert len(weights) == 30
    assert all(abs(weight - 1) < 1e-9 for weight in weights.values())
    train, test = ({row["group_id"] for row in rows[split]} for split in ("train", "test"))
    assert train
    assert test
    assert not train & test


def test_rows_say_what_the_rankings_said(ranked):
    rows = [row for split in rows_of(freeze_snapshot(ranked, name="first", user=None)).values() for row in split]
    assert len(rows) == 30 * (2 + 3)  # a>b=c gives two comparisons, c>b>a three
    rankings = {str(ranking.pk): ranking for ranking in Ranking.objects.all()}
    texts = {str(pk): text for pk, text in Completion.objects.values_list("pk", "text")}
    for row in rows:
        place = {texts[name]: i for i, tier in enumerate(rankings[row["ranking_id"]].tiers) for name in tier}
        gap = place[row["rejected"][0]["content"]] - place[row["chosen"][0]["content"]]
        assert gap == row["margin"] > 0


def test_simulated_rankings_are_marked_row_by_row(ranked):
    dataset = freeze_snapshot(ranked, name="first", user=None)
    marks = {row["rater"]: row["simulated"] for split in rows_of(dataset).values() for row in split}
    assert sorted(marks.values()) == [False, True]
    assert dataset.is_simulated
    assert dataset.query["num_simulated"] == 30
    assert "simulated raters" in dataset.card


def test_raters_have_another_name_in_every_dataset_and_never_their_own(ranked):
    names = []
    for name in ("first", "second"):
        dataset = freeze_snapshot(ranked, name=name, user=None)
        names.append({row["rater"] for split in rows_of(dataset).values() for row in split})
    assert not names[0] & names[1]
    assert not {"ada", "sim"} & (names[0] | names[1])


def test_whole_rankings_lie_beside_the_comparisons(ranked):
    dataset = freeze_snapshot(ranked, name="first", user=None)
    folder = dataset.artifact.folder / "rankings"
    told = [row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    stored = {str(ranking.pk): ranking.tiers for ranking in Ranking.objects.all()}
    assert {row["ranking_id"]: row["tiers"] for row in told} == stored


def test_the_shuffled_control_changes_training_rows_alone_and_says_so(ranked):
    plain, control = freeze_snapshot(ranked, name="plain", user=None), freeze_snapshot(
        ranked, name="control", user=None, shuffled_seed=7
    )  # fmt: skip

    def orders(dataset, split):
        return {
            (row["id"], row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in rows_of(dataset)[split]
        }

    assert orders(plain, "test") == orders(control, "test")
    same = len(orders(plain, "train") & orders(control, "train")) / len(orders(plain, "train"))
    assert same < 0.5  # by chance a third of the places of a>b>c stay
    assert control.query["shuffled_seed"] == 7
    assert "Shuffled control" in control.card
    again = freeze_snapshot(ranked, name="again", user=None, shuffled_seed=7)
    assert orders(again, "train") == orders(control, "train")


def test_two_seeds_of_a_lot_say_the_opposite_of_each_other(ranked):
    def told(seed):
        dataset = freeze_snapshot(ranked, name=f"control-{seed}", user=None, shuffled_seed=seed)
        return [
            (row["ranking_id"], row["chosen"][0]["content"], row["rejected"][0]["content"], row["margin"])
            for row in rows_of(dataset)["train"]
        ]

    turned = {(ranking, worse, better, margin) for ranking, better, worse, margin in told(6)}
    assert turned == set(told(7))
    assert turned != set(told(9))  # another lot


def test_a_prompt_that_is_held_out_by_hand_is_never_trained_on(ada):
    campaign = a_campaign(raters=[ada], num_prompts=0, overlap=1)
    rows = [{"prompt": f"By hand {i}?", "held_out": True} for i in range(20)]
    add_prompts(campaign, rows=rows, user=None)
    assert set(campaign.prompts.values_list("split", flat=True)) == {"test"}
    with pytest.raises(BadPrompt, match="true or false"):
        add_prompts(campaign, rows=[{"prompt": "What?", "held_out": "yes"}], user=None)
    natural = [{"prompt": f"By content {i}?", "held_out": False} for i in range(60)]
    add_prompts(campaign, rows=natural, user=None)
    content = campaign.prompts.filter(messages__0__content__startswith="By content")
    assert set(content.values_list("split", flat=True)) == {"train", "test"}  # "false" takes nothing out of the test


def test_of_a_correction_only_the_newer_ranking_is_frozen(campaign, ada):
    first = submit_ranking(lease_next(campaign, rater=ada), rater=ada, submission=a_submission("a>b>c"))
    second = correct_ranking(first, rater=ada, submission=a_submission("c>b>a"))
    rows = rows_of(freeze_snapshot(campaign, name="first", user=None))
    assert {row["ranking_id"] for split in rows.values() for row in split} == {str(second.pk)}


def test_gold_tasks_never_enter_a_dataset(campaign, ada):
    ranking = submit_ranking(lease_next(campaign, rater=ada), rater=ada, submission=a_submission())
    RankingTask.objects.filter(pk=ranking.task_id).update(kind=TaskKind.GOLD)
    with pytest.raises(NoRankings):
        freeze_snapshot(campaign, name="first", user=None)


def test_two_texts_that_are_the_same_give_no_comparison(ada):
    campaign = a_campaign(raters=[ada], num_prompts=1, k=3, overlap=1)
    task = RankingTask.objects.get()
    twins = [Completion.objects.create(prompt=task.prompt, text=text) for text in ("twin", "twin", "other")]
    task.slots.all().delete()
    save_tasks(campaign, [(task.prompt_id, twins)])
    submit_ranking(lease_next(campaign, rater=ada), rater=ada, submission=a_submission("a>b>c"))
    rows = [row for split in rows_of(freeze_snapshot(campaign, name="first", user=None)).values() for row in split]
    assert len(rows) == 2
    assert all(row["chosen"] != row["rejected"] for row in rows)


def test_a_campaign_without_rankings_and_a_taken_name_are_told(ranked):
    with pytest.raises(NoRankings):
        freeze_snapshot(create_campaign("Empty", k=2, overlap=1, guideline="", user=None), name="empty", user=None)
    freeze_snapshot(ranked, name="first", user=None)
    with pytest.raises(NameTaken):
        freeze_snapshot(ranked, name="first", user=None)
