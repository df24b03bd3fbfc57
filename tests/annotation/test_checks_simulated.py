"""Simulated raters over the real services: who does not read is paused soon, who does is not."""

from __future__ import annotations

import random
import statistics
import uuid
from collections.abc import Callable

import pytest
from django.apps import apps
from django.db.models import UUIDField

from accounts.models import User
from annotation.models import (
    Campaign,
    CampaignState,
    Completion,
    GoldAnswer,
    Membership,
    QualityPlan,
    RankingTask,
    Standing,
    TaskKind,
)
from annotation.services import assign, stream
from annotation.services.assign import lease_next
from annotation.services.campaigns import create_campaign, set_state
from annotation.services.completions import make_tasks
from annotation.services.evidence import evidence_of
from annotation.services.gold import make_gold
from annotation.services.judge import Submission
from annotation.services.prompts import add_prompts
from annotation.services.rank import submit_ranking
from annotation.simulation import Taste
from tests.annotation.arrange import a_person
from tests.annotation.checks import a_plan, standing_of

ALARM = 0.01
SPAMMERS, HONEST = 40, 8
TASKS = 80  # as many as forty gold ones last: by chance one guesser of forty may still be at work after sixty
SEED = 1  # of all lots: who is given which task at which place
Judge = Callable[[dict[str, str]], list[list[str]]]


@pytest.fixture
def lots(monkeypatch: pytest.MonkeyPatch) -> None:
    """The product draws lots that nobody can foresee, and shuffles by random ids; here the trial is the same each time."""
    lot = random.Random(SEED)
    for module in (assign, stream):
        monkeypatch.setattr(module, "lot", random.Random(lot.random()))
    for model in apps.get_app_config("annotation").get_models():
        if isinstance(model._meta.pk, UUIDField):
            monkeypatch.setattr(model._meta.pk, "_get_default", lambda: uuid.UUID(int=lot.getrandbits(128), version=4))


@pytest.fixture
def crowd(db, lots) -> Campaign:
    """Eighty questions with four answers of different worth; the first forty are gold, ordered without noise."""
    campaign = create_campaign("Crowd", k=4, overlap=25, guideline="", user=None)
    add_prompts(campaign, rows=[{"prompt": f"Question {n}?"} for n in range(TASKS)], user=None)
    lot = random.Random(7)
    for prompt in campaign.prompts.order_by("created_at", "pk"):
        for words in lot.sample((3, 6, 12, 25, 50, 90), 4):
            text = " ".join(f"w{lot.randrange(1000)}" for _ in range(words)) + lot.choice([".", ""])
            Completion.objects.create(prompt=prompt, text=text)
    make_tasks(campaign)
    for task in RankingTask.objects.filter(campaign=campaign).order_by("prompt__created_at", "prompt")[:40]:
        texts = {str(one.pk): one.text for one in task.completions.all()}
        tiers, _ = Taste(0, 0, 0.0).order(texts)
        make_gold(task, tiers=tiers, explanation="", kind=TaskKind.GOLD, user=None)
    a_plan(campaign, gold_share=0.5, repeat_share=0.0, repeat_after=5, floor=0.8, false_alarm=ALARM)
    return set_state(campaign, to=CampaignState.OPEN, user=None)


def join(campaign: Campaign, name: str) -> User:
    rater = a_person(name, is_simulated=True)
    Membership.objects.create(campaign=campaign, user=rater)
    return rater


def work(campaign: Campaign, rater: User, judge: Judge, *, limit: int, seconds: float | None = None) -> int:
    """How many tasks she ranked until she was paused, or `limit`."""
    for number in range(limit):
        if standing_of(campaign, rater) == Standing.PAUSED:
            return number
        assignment = lease_next(campaign, rater=rater)
        assert assignment is not None
        names = assignment.letters()
        found = {str(one.pk): one.text for one in Completion.objects.filter(pk__in=assignment.order)}
        tiers = judge({letter: found[name] for letter, name in names.items()})
        submission = Submission(client_uuid=uuid.uuid4(), tiers=tiers, seconds=seconds)
        submit_ranking(assignment, rater=rater, submission=submission)
    return limit


def guessing(seed: int) -> Judge:
    lot = random.Random(seed)
    return lambda texts: [[letter] for letter in lot.sample(sorted(texts), len(texts))]


def as_shown(texts: dict[str, str]) -> list[list[str]]:
    return [[letter] for letter in sorted(texts)]


@pytest.mark.slow
def test_a_spammer_is_paused_within_twenty_tasks_on_median(crowd):
    patient = [work(crowd, join(crowd, f"guesser-{n}"), guessing(n), limit=TASKS) for n in range(SPAMMERS)]
    clicking = [work(crowd, join(crowd, f"clicker-{n}"), as_shown, limit=TASKS) for n in range(2)]
    hasty = [work(crowd, join(crowd, f"hasty-{n}"), guessing(n), limit=TASKS, seconds=0.01) for n in range(2)]
    assert max(hasty) <= 5
    assert max(clicking) <= 20
    assert statistics.median(patient) <= 20, patient
    assert Membership.objects.filter(standing=Standing.PAUSED).count() == SPAMMERS + 4


@pytest.mark.slow
def test_honest_raters_are_paused_no_more_often_than_stated(crowd):
    """Of eight raters at a rate of 1 %, one or more is paused by chance in one of twelve trials, two in one of 370."""
    raters = [join(crowd, f"honest-{n}") for n in range(HONEST)]
    for n, rater in enumerate(raters):
        taste = Taste(seed=1, rater=n, noise=0.5)
        work(crowd, rater, lambda texts, taste=taste: taste.order(texts)[0], limit=40)
    plan = QualityPlan.objects.get()
    credits = [evidence_of(member, plan=plan).gold.value for member in Membership.objects.filter(user__in=raters)]
    assert 0.8 < statistics.mean(credits) < 0.95  # honest as the plan has it, and far from faultless
    assert Membership.objects.filter(standing=Standing.PAUSED).count() <= 1
    assert GoldAnswer.objects.filter(task__rankings__isnull=False).exists()
