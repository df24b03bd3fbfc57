"""Gold: tasks whose right order is known, mixed into raters' streams, and not to be told from work."""

from __future__ import annotations

import io
import json
import re

import pytest
from django.core.management import call_command
from django.urls import reverse

from annotation.importing.complaints import BadLines
from annotation.models import GoldAnswer, Ranking, RankingTask, Slot, TaskKind
from annotation.services.assign import lease_next
from annotation.services.completions import unanswered
from annotation.services.desk import desks_of
from annotation.services.gold import BadGold, GoldTwice, import_gold, make_gold, retire_gold
from annotation.services.leases import expire_leases
from annotation.services.progress import campaign_progress
from annotation.services.quality_plan import BadPlan, set_plan
from annotation.services.rank import submit_ranking
from annotation.services.snapshot import freeze_snapshot
from audit.models import AuditEvent
from registry.services.datasets import read_rows
from tests.accounts.people import client_of
from tests.annotation.arrange import a_campaign, a_file, a_person, a_submission, run_out
from tests.annotation.checks import a_plan, gold_of, in_order, kinds_given, rank_next, right_order

LINE = {
    "prompt": "Which is shorter?",
    "completions": [{"id": "x", "text": "One two three."}, {"id": "y", "text": "One."}, {"id": "z", "text": "Two."}],
    "gold": "b = c > a",
    "explanation": "Count the words.",
}


def all_gold(campaign) -> None:
    a_plan(campaign, gold_share=0.5)


def test_a_task_becomes_gold_as_a_copy_and_its_rankings_stay_work(campaign, ada):
    rank_next(campaign, ada)
    before = campaign_progress(campaign)
    (gold,) = gold_of(campaign, 1)
    assert gold.task.kind == TaskKind.GOLD
    assert gold.task.prompt == gold.source.prompt
    assert set(gold.task.completions.all()) == set(gold.source.completions.all())
    assert campaign_progress(campaign) == before
    assert gold.source.rankings.count() + RankingTask.objects.exclude(pk=gold.source_id).filter(
        rankings__isnull=False
    ).count() == 1  # fmt: skip


def test_a_right_order_holds_every_text_and_orders_two(campaign):
    task = campaign.tasks.first()
    names = [name for tier in right_order(task) for name in tier]
    for tiers in ([names[:1], names[1:2]], [names], [[names[0]], [names[1]], ["else"]]):
        with pytest.raises(BadGold):
            make_gold(task, tiers=tiers, explanation="", kind=TaskKind.GOLD, user=None)
    assert not GoldAnswer.objects.exists()


def test_a_task_is_gold_once(campaign):
    (gold,) = gold_of(campaign, 1)
    with pytest.raises(GoldTwice):
        make_gold(gold.source, tiers=gold.tiers, explanation="", kind=TaskKind.GOLD, user=None)
    assert retire_gold(gold, user=None)
    assert not retire_gold(gold, user=None)
    make_gold(gold.source, tiers=gold.tiers, explanation="", kind=TaskKind.GOLD, user=None)


def test_without_a_plan_nobody_gets_gold(campaign, ada):
    gold_of(campaign, 2)
    while rank_next(campaign, ada):
        pass
    assert set(kinds_given(campaign, ada)) == {"work"}


@pytest.mark.slow(seconds=3)
def test_gold_comes_at_the_stated_share_at_places_that_differ_between_raters(ada, bea):
    campaign = a_campaign(raters=[ada, bea], num_prompts=60, overlap=2)
    golden = a_campaign(num_prompts=60, name="Golden")
    golds = gold_of(golden, 60)
    RankingTask.objects.filter(pk__in=[gold.task_id for gold in golds]).update(campaign=campaign)
    a_plan(campaign, gold_share=0.4)
    for rater in (ada, bea):
        for _ in range(50):
            rank_next(campaign, rater)
    streams = [kinds_given(campaign, rater) for rater in (ada, bea)]
    found = sum(stream.count("gold") for stream in streams)
    assert 18 <= found <= 62  # 40 expected of 100, give or take 4.5 standard deviations
    assert streams[0] != streams[1]


def test_a_gold_is_given_to_each_rater_once(ada, bea):
    campaign = a_campaign(raters=[ada, bea], num_prompts=40, overlap=2)
    gold_of(campaign, 3)
    all_gold(campaign)
    for rater in (ada, bea):
        while rank_next(campaign, rater):
            pass
        given = list(Ranking.objects.filter(rater=rater, task__kind="gold").values_list("task", flat=True))
        assert len(given) == len(set(given)) > 0


def test_who_made_a_gold_or_ranked_its_source_is_not_given_it(ada, bea):
    campaign = a_campaign(raters=[ada, bea], num_prompts=30, overlap=2)
    for _ in range(10):
        rank_next(campaign, ada)
    seen = RankingTask.objects.filter(rankings__rater=ada)
    for task in seen:
        make_gold(task, tiers=right_order(task), explanation="", kind=TaskKind.GOLD, user=bea)
    all_gold(campaign)
    for rater in (ada, bea):
        while rank_next(campaign, rater):
            pass
        assert "gold" not in kinds_given(campaign, rater)


def gold_on_the_desk(campaign, rater):
    """Her next task, which is gold."""
    all_gold(campaign)
    while True:
        assignment = lease_next(campaign, rater=rater)
        if assignment.task.kind == TaskKind.GOLD:
            return assignment
        submit_ranking(assignment, rater=rater, submission=a_submission())


@pytest.fixture
def golden(ada, bea):
    campaign = a_campaign(raters=[ada, bea], num_prompts=60, overlap=2)
    gold_of(campaign, 30)
    return campaign


def told(browser, assignment) -> list[str]:
    """What pages and the API say of the task on a rater's desk, without the ids, numbers and texts that differ anyway."""
    addresses = [
        reverse("rank", args=[assignment.slot.campaign.slug]), reverse("api_assignment", args=[assignment.pk]),
        reverse("my_work"), reverse("api_my_rankings"),
    ]  # fmt: skip
    return [plain(browser.get(address).content.decode()) for address in addresses[:2]] + [
        words for address in addresses[2:] for words in [browser.get(address).content.decode()]
    ]


def plain(text: str) -> str:
    for pattern in (r"[0-9a-f]{8}-[0-9a-f-]{27}", r"[A-Za-z0-9]{64}", r"\d+"):
        text = re.sub(pattern, "#", text)
    return text


def test_nothing_that_a_rater_is_sent_tells_gold_from_work(golden, ada):
    rank_next(golden, ada)
    gold = gold_on_the_desk(golden, ada)
    browser = client_of(ada)
    page, answer, *_ = told(browser, gold)
    submit_ranking(gold, rater=ada, submission=a_submission())
    work = lease_next(golden, rater=ada)
    while work.task.kind != TaskKind.WORK:
        submit_ranking(work, rater=ada, submission=a_submission())
        work = lease_next(golden, rater=ada)
    same_page, same_answer, mine, rankings = told(browser, work)
    assert page == same_page
    assert answer == same_answer
    for words in (page, answer, mine, rankings):
        assert "gold" not in words.lower()
        assert str(gold.task_id) not in words


def test_what_waits_counts_down_by_one_a_task_whatever_its_kind(golden, ada):
    all_gold(golden)
    rank_next(golden, ada)
    counts = []
    for _ in range(8):  # within what is drawn at a time
        counts.append(desks_of(ada)[0].num_waiting)
        rank_next(golden, ada)
    assert len(set(kinds_given(golden, ada))) == 2
    assert counts == list(range(counts[0], counts[0] - 8, -1))


def test_what_a_desk_promises_is_given(ada):
    campaign = a_campaign(raters=[ada], num_prompts=25, overlap=1)
    gold_of(campaign, 20)
    all_gold(campaign)
    rank_next(campaign, ada)
    for _ in range(200):
        waiting = desks_of(ada)[0].num_waiting
        made = rank_next(campaign, ada)
        assert (made is not None) == (waiting > 0)
        if made is None:
            break


def test_gold_is_no_progress_and_in_no_snapshot(golden, ada, bea):
    gold = gold_on_the_desk(golden, ada)
    made = submit_ranking(gold, rater=ada, submission=a_submission())
    progress = campaign_progress(golden)
    ranked = Ranking.objects.filter(task__kind=TaskKind.WORK).count()
    assert (progress.tasks, progress.slots, progress.rankings) == (60, 120, ranked)
    while rank_next(golden, bea).task.kind != TaskKind.WORK:
        pass  # her lot may begin with gold too
    frozen = freeze_snapshot(golden, name="s", user=None)
    assert frozen.query["num_rankings"] == Ranking.objects.filter(task__kind=TaskKind.WORK).count()
    rows = [row["ranking_id"] for split in ("train", "test") for row in read_rows(frozen, split=split)]
    assert rows
    assert str(made.pk) not in rows


def test_a_late_answer_takes_no_slot_that_is_laid_out_for_another(golden, ada, bea):
    gold = gold_on_the_desk(golden, ada)
    Slot.objects.create(task=gold.task, campaign=golden, number=99, reserved_for=bea, order_key=1)
    run_out(gold)
    expire_leases()
    Slot.objects.filter(pk=gold.slot_id).update(is_free=False)  # as if it were taken
    submit_ranking(gold, rater=ada, submission=a_submission())
    assert Slot.objects.get(reserved_for=bea, number=99).is_free


def test_gold_that_ran_out_comes_back_in_the_same_order(golden, ada):
    gold = gold_on_the_desk(golden, ada)
    run_out(gold)
    again = lease_next(golden, rater=ada)
    assert (again.task_id, again.order) == (gold.task_id, gold.order)


def test_retired_gold_is_given_to_nobody(golden, ada):
    gold = gold_on_the_desk(golden, ada)
    run_out(gold)
    expire_leases()
    for one in GoldAnswer.objects.all():
        retire_gold(one, user=None)
    while rank_next(golden, ada):
        pass
    assert kinds_given(golden, ada).count("gold") == Ranking.objects.filter(task__kind="gold").count() + 1


def test_right_orders_come_from_a_file_and_the_same_file_twice_is_as_once(campaign, tmp_path):
    test = {**LINE, "prompt": "And now?", "use": "test"}
    path = a_file(tmp_path / "gold.jsonl", LINE, test)
    made = import_gold(campaign, path=path, user=None)
    assert (made.num_gold, made.num_tests, made.num_known) == (1, 1, 0)
    gold = GoldAnswer.objects.get(task__kind=TaskKind.GOLD)
    texts = {str(one.pk): one.text for one in gold.task.completions.all()}
    assert [sorted(texts[name] for name in tier) for tier in gold.tiers] == [["One.", "Two."], ["One two three."]]
    assert gold.explanation == "Count the words."
    again = import_gold(campaign, path=path, user=None)
    assert (again.num_gold, again.num_tests, again.num_known) == (0, 0, 2)
    assert GoldAnswer.objects.count() == 2


def test_a_command_brings_right_orders_too(campaign, tmp_path):
    path = a_file(tmp_path / "gold.jsonl", LINE)
    out = io.StringIO()
    call_command("import_gold", str(path), campaign=campaign.slug, json=True, stdout=out)
    assert json.loads(out.getvalue()) == {"num_gold": 1, "num_tests": 0, "num_known": 0}


def test_prompts_that_came_with_their_order_are_no_work(campaign, tmp_path):
    before = campaign_progress(campaign)
    import_gold(campaign, path=a_file(tmp_path / "gold.jsonl", LINE), user=None)
    assert campaign_progress(campaign) == before
    assert not unanswered(campaign, model=None).filter(is_check=True).exists()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"gold": "a > b"}, "Not ranked yet: C"),
        ({"gold": "a = b = c"}, "two places at least"),
        ({"gold": "a > b > d"}, "There is no text D"),
        ({"use": "honeypot"}, '"use" is'),
        ({"gold": 3}, "are texts"),
        ({"completions": [{"id": "x", "text": "Same."}, {"id": "y", "text": " Same."}]}, "say the same"),
        ({"secret": 1}, "There is no field secret"),
        ({"prompt": " "}, "isn't blank"),
    ],
)
def test_a_file_with_a_bad_line_is_refused_whole(campaign, tmp_path, change, complaint):
    path = a_file(tmp_path / "gold.jsonl", LINE, {**LINE, **change})
    with pytest.raises(BadLines, match=r"Line 2: .*Nothing was imported") as refused:
        import_gold(campaign, path=path, user=None)
    assert complaint in str(refused.value)
    assert not GoldAnswer.objects.exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("gold_share", 0.6), ("gold_share", -0.1), ("repeat_share", 0.45), ("repeat_after", 0), ("pass_mark", 0.5),
        ("pass_mark", 1.1), ("floor", 0.5), ("floor", 0.99), ("false_alarm", 0.0), ("false_alarm", 0.3), ("num_tests", 3),
        ("num_tests", 5), ("num_tests", 101), ("gold_share", float("nan")),
    ],
)  # fmt: skip
def test_a_plan_that_makes_no_sense_is_refused_by_the_name_of_its_field(campaign, field, value):
    with pytest.raises(BadPlan) as refused:
        set_plan(campaign, user=None, **{"gold_share": 0.1, field: value})
    assert refused.value.data["field"] == field


def test_each_change_of_a_plan_is_audited_once(campaign):
    grace = a_person("grace", role="admin")
    for share in (0.2, 0.2, 0.3):
        set_plan(campaign, user=grace, gold_share=share)
    events = AuditEvent.objects.filter(action="campaign.quality_plan").order_by("pk")
    assert [event.data["after"]["gold_share"] for event in events] == [0.2, 0.3]
    assert events[1].data["before"]["gold_share"] == 0.2


def test_the_arranged_order_is_right(campaign, ada):
    (gold,) = gold_of(campaign, 1)
    texts = {str(one.pk): one.text for one in gold.task.completions.all()}
    assert [[texts[name] for name in tier] for tier in gold.tiers] == in_order({text: text for text in texts.values()})
