"""Clones of campaigns that check their raters: the plan always, gold and tests with what they are made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from accounts.models import Role
from annotation.models import Campaign, CampaignState, Completion, GoldAnswer, Standing, TaskKind, plan_of
from annotation.models.quality import as_facts
from annotation.services.campaigns import add_raters, set_state
from annotation.services.cloning import clone_campaign
from annotation.services.completions import make_tasks, unanswered
from annotation.services.gold import import_gold, retire_gold
from annotation.services.progress import campaign_progress
from annotation.services.quality_plan import set_plan
from audit.models import AuditEvent
from tests.annotation.arrange import a_campaign, a_file, a_person
from tests.annotation.checks import a_plan, gold_of, rank_next, reversed_order, standing_of

pytestmark = pytest.mark.django_db


def line(prompt: str, *, use: str = "gold", order: str = "b > a") -> dict[str, object]:
    texts = [{"id": name, "text": f"{name} to {prompt}"} for name in "xy"]
    return {"prompt": prompt, "completions": texts, "gold": order, "explanation": f"Of {prompt}", "use": use}


@pytest.fixture
def checked(ada, tmp_path: Path) -> Campaign:
    """Gold of two tasks of work; of a file, four tests, gold to a prompt of its own and gold to a prompt of the work."""
    campaign = a_campaign(raters=[ada], num_prompts=5)
    gold_of(campaign, 2, user=a_person("rex", role=Role.REVIEWER))
    own, shared = line("Its own?"), line("Question 0?", order="a > b")
    tests = [line(f"Test {n}?", use="test") for n in range(4)]
    import_gold(campaign, path=a_file(tmp_path / "gold.jsonl", own, shared, *tests), user=None)
    a_plan(campaign, gold_share=0.3, repeat_share=0.1, num_tests=4, pass_mark=0.8, shows_agreement=True)
    return campaign


def orders_of(campaign: Campaign) -> list[tuple[str, str, str, list[list[str]]]]:
    """What its gold says, in texts."""
    texts = {
        str(pk): text for pk, text in Completion.objects.filter(prompt__campaign=campaign).values_list("pk", "text")
    }
    golds = GoldAnswer.objects.filter(task__campaign=campaign, retired_at=None).select_related("task__prompt")
    return sorted(
        (
            str(gold.task.kind), gold.task.prompt.messages[-1]["content"], gold.explanation,
            [sorted(texts[name] for name in tier) for tier in gold.tiers],
        )
        for gold in golds
    )  # fmt: skip


def facts(campaign: Campaign) -> dict[str, object]:
    plan = plan_of(campaign)
    assert plan is not None
    return as_facts(plan)


def test_the_plan_comes_along_and_asks_for_no_test_that_is_not_there(checked):
    made = clone_campaign(checked, name="Again", user=None)
    assert facts(made) == facts(checked) | {"num_tests": 0}
    assert not GoldAnswer.objects.filter(task__campaign=made).exists()
    set_plan(made, user=None, gold_share=0.0)
    assert facts(checked)["gold_share"] == 0.3


def test_a_campaign_that_checks_nobody_has_clones_that_check_nobody(campaign):
    assert plan_of(clone_campaign(campaign, name="Again", user=None, with_completions=True)) is None


def test_with_prompts_comes_the_gold_that_came_with_its_own_texts(checked):
    made = clone_campaign(checked, name="Again", user=None, with_prompts=True)
    assert facts(made) == facts(checked)
    brought = [one for one in orders_of(checked) if one[2] != "The lower number is better."]
    assert len(brought) == 6
    assert orders_of(made) == brought
    assert unanswered(made, model=None).count() == 4  # one prompt has texts, which are those of its gold
    assert campaign_progress(made).prompts == 5
    assert make_tasks(made) == 0


def test_with_completions_comes_all_gold_in_the_same_order(checked):
    made = clone_campaign(checked, name="Again", user=None, with_completions=True)
    assert orders_of(made) == orders_of(checked)
    assert make_tasks(made) == 0
    of_work = GoldAnswer.objects.filter(task__campaign=made, source__isnull=False)
    assert of_work.count() == 2
    for gold in of_work:
        assert gold.source.campaign == made
        assert set(gold.task.completions.all()) == set(gold.source.completions.all())
        assert gold.made_by.username == "rex"
    before, after = campaign_progress(checked), campaign_progress(made)
    assert (after.prompts, after.tasks, after.slots) == (before.prompts, before.tasks, before.slots)
    assert AuditEvent.objects.get(action="campaign.cloned").data["num_gold"] == 8


def test_gold_that_was_retired_stays_behind_with_its_texts(checked):
    shared = GoldAnswer.objects.get(explanation="Of Question 0?")
    retire_gold(shared, user=None)
    retire_gold(GoldAnswer.objects.get(explanation="Of Test 0?"), user=None)
    made = clone_campaign(checked, name="Again", user=None, with_completions=True)
    assert orders_of(made) == orders_of(checked)
    assert not Completion.objects.filter(prompt__campaign=made, text__endswith="to Question 0?").exists()
    assert not made.prompts.filter(messages__0__content="Test 0?").exists()
    assert facts(made)["num_tests"] == 0  # three are no test
    assert make_tasks(made) == 0


def test_whoever_joins_the_clone_takes_its_test(checked):
    made = clone_campaign(checked, name="Again", user=None, with_completions=True)
    cleo = a_person("cleo")
    add_raters(made, raters=[cleo], user=None)
    set_state(made, to=CampaignState.OPEN, user=None)
    assert standing_of(made, cleo) == Standing.TESTED
    for _ in range(4):
        ranking = rank_next(made, cleo, rule=reversed_order)  # y before x, as the file says
        assert ranking.task.kind == TaskKind.TEST
    assert standing_of(made, cleo) == Standing.TRUSTED
