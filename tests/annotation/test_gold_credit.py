"""Credit on gold is one figure: on the quality page, on the raters' page, in the API and from the command."""

from __future__ import annotations

import io
import json
import re

import pytest
from django.core.management import call_command
from django.urls import reverse

from accounts.models import Role, User
from annotation.models import Campaign, GoldAnswer, Membership, Ranking, Slot, TaskKind
from annotation.quality.gold import credit_over_answers
from annotation.services.evidence import evidence_of
from annotation.services.figures import figures_of
from annotation.services.gold import retire_gold
from annotation.services.rank import correct_ranking
from annotation.services.stream import give
from tests.accounts.people import client_of
from tests.annotation.arrange import a_campaign, a_person, a_submission
from tests.annotation.checks import Rule, a_plan, gold_of, in_order, rank_next, reversed_order

NONE = "No gold task was answered here."


@pytest.fixture
def golden(ada: User, bea: User) -> Campaign:
    """Work that Ada and Bea have ranked; beside it gold of other tasks, which Ada alone was given: two right, one reversed."""
    campaign = a_campaign(raters=[ada, bea], num_prompts=4)
    golds = gold_of(campaign, 3)
    a_plan(campaign)
    for gold, rule in zip(golds, (in_order, in_order, reversed_order), strict=True):
        answer(campaign, ada, gold, rule=rule)
    for rater in (ada, bea):
        while rank_next(campaign, rater):
            pass
    return campaign


def answer(campaign: Campaign, rater: User, gold: GoldAnswer, *, rule: Rule) -> Ranking:
    member = Membership.objects.get(campaign=campaign, user=rater)
    Membership.objects.filter(pk=member.pk).update(planned_to=100)
    give(gold.task, member, place=1)
    made = rank_next(campaign, rater, rule=rule)
    assert made is not None
    assert made.task == gold.task
    return made


def expected(rater: User):
    """Counted anew from the rows."""
    first = Ranking.objects.filter(rater=rater, task__kind=TaskKind.GOLD, supersedes=None, task__gold__retired_at=None)
    return credit_over_answers((one.tiers, one.task.gold.tiers) for one in first)


def by_command(campaign: Campaign) -> dict[str, dict[str, object]]:
    out = io.StringIO()
    call_command("agreement", campaign.slug, json=True, resamples=20, stdout=out)
    return {one["rater"]: one["gold"] for one in json.loads(out.getvalue())["people"]["raters"]}


def by_api(campaign: Campaign, admin: User) -> dict[str, dict[str, object]]:
    told = client_of(admin).get(reverse("api_campaign_statistics", args=[campaign.slug])).json()
    return {one["rater"]: one["gold"] for one in told["report"]["people"]["raters"]}


def words_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_command_api_and_quality_page_tell_the_same_figure(golden, ada):
    grace = a_person("grace", role=Role.ADMIN)
    wanted = expected(ada)
    assert (wanted.value, wanted.num) == (pytest.approx(2 / 3), 9)
    on_page = evidence_of(Membership.objects.get(campaign=golden, user=ada), plan=golden.quality_plan).gold
    assert on_page == wanted
    told = {"value": wanted.value, "num": 9, "low": wanted.low, "high": wanted.high, "why": ""}
    none = {"value": None, "num": 0, "low": None, "high": None, "why": NONE}
    assert by_command(golden) == {"ada": told, "bea": none}
    assert by_api(golden, grace) == {"ada": told, "bea": none}


def test_the_raters_page_tells_it_with_its_interval_or_why_there_is_none(golden, ada):
    browser = client_of(a_person("grace", role=Role.ADMIN))
    page = browser.get(reverse("campaign_rater_figures", args=[golden.slug])).content.decode()
    rows = {row.split("</th>")[0].strip(): words_of(row) for row in page.split('<th scope="row">')[1:]}
    wanted = expected(ada)
    assert f"66.7 % {100 * wanted.low:.1f} % to {100 * wanted.high:.1f} %, n = 9" in rows["ada"]
    assert f"undefined {NONE}" in rows["bea"]


def test_in_words_the_command_tells_it_too(golden):
    out = io.StringIO()
    call_command("agreement", golden.slug, resamples=20, stdout=out)
    assert "credit on gold 0.667 (" in out.getvalue()
    assert f"credit on gold undefined: {NONE}" in out.getvalue()


def test_gold_that_is_answered_or_retired_makes_kept_figures_old(golden, ada, bea):
    assert figures_of(golden).is_current
    before = figures_of(golden).counted_at
    gold = GoldAnswer.objects.get(task__rankings__in=wrong_answers(ada))
    retire_gold(gold, user=None)
    after = figures_of(golden)
    assert after.counted_at > before
    assert {one["rater"]: one["gold"]["value"] for one in after.report["people"]["raters"]} == {"ada": 1.0, "bea": None}
    answer(golden, bea, GoldAnswer.objects.filter(retired_at=None).first(), rule=reversed_order)
    assert {one["rater"]: one["gold"]["value"] for one in figures_of(golden).report["people"]["raters"]} == {
        "ada": 1.0,
        "bea": 0.0,
    }


def wrong_answers(rater: User) -> list[Ranking]:
    gold = Ranking.objects.filter(rater=rater, task__kind=TaskKind.GOLD).select_related("task__gold")
    return [one for one in gold if one.tiers == one.task.gold.tiers[::-1]]


def test_a_correction_does_not_undo_a_first_answer(golden, ada):
    (wrong,) = wrong_answers(ada)
    letters = wrong.assignment.letters()
    right = ">".join(
        letter
        for _, letter in sorted((wrong.task.gold.tiers.index([name]), letter) for letter, name in letters.items())
    )
    correct_ranking(wrong, rater=ada, submission=a_submission(right))
    assert by_command(golden)["ada"]["value"] == pytest.approx(2 / 3)
    assert Slot.objects.filter(task=wrong.task).count() == 1
