"""The reward-hacking alarm: rewards of evaluations beside rankings of real rows, and what it does to a promotion."""

from __future__ import annotations

import random

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Role, User
from annotation.models import Campaign, CampaignState, Completion, Ranking, TaskKind
from annotation.services.assign import lease_next
from annotation.services.campaigns import create_campaign, set_state
from annotation.services.completions import make_tasks
from annotation.services.prompts import add_prompts
from annotation.services.rank import submit_ranking
from audit.models import AuditEvent
from registry.models import Alias, ModelVersion
from registry.services.models import move_alias
from rlhf.models import Round, RoundState
from rlhf.services.alarm import FEWEST, RewardHacking, Standing, compared, reference_of, watch
from rlhf.services.rounds import promote
from runs.models import Run
from tests.accounts.people import client_of, person
from tests.annotation.arrange import a_submission
from tests.rlhf.conftest import finish, run_of

pytestmark = pytest.mark.django_db

ENOUGH = FEWEST + 6


def ranked(policy: ModelVersion, reference: ModelVersion, *, num: int, won: float, by: User | None = None) -> Campaign:
    """A campaign in which a rater compared one text of each on `num` prompts; the policy's wins on a share of `won`."""
    rater = by or person(Role.RATER)
    campaign = create_campaign(f"Fresh {num} {won}", k=2, overlap=1, guideline="Be fair.", user=None, raters=(rater,))
    add_prompts(campaign, rows=[{"prompt": f"Question {p}?"} for p in range(num)], user=None)
    for prompt in campaign.prompts.all():
        for model in (policy, reference):
            Completion.objects.create(prompt=prompt, model=model, text=f"{model.name} answers {prompt.pk}.")
    make_tasks(campaign)
    set_state(campaign, to=CampaignState.OPEN, user=None)
    wins = [True] * round(num * won) + [False] * (num - round(num * won))
    random.Random(0).shuffle(wins)
    for wins_now in wins:
        lease = lease_next(campaign, rater=rater)
        assert lease is not None
        ids = {letter: Completion.objects.get(pk=name).model for letter, name in lease.letters().items()}
        best = next(letter for letter, model in ids.items() if (model == policy) == wins_now)
        (other,) = ids.keys() - {best}
        submit_ranking(lease, rater=rater, submission=a_submission(f"{best}>{other}"))
    return campaign


@pytest.fixture
def turn(start) -> Round:
    """All its runs are done; both policies have gained 1.25 of reward (0.75 to 1.75)."""
    return start()


@pytest.fixture
def policy(turn) -> ModelVersion:
    return finish(turn)["ppo"]


def standing(policy: ModelVersion, turn: Round) -> Standing:
    return watch(policy, reference=turn.model).standing


def test_reward_up_and_votes_down_is_the_alarm(turn, policy):
    ranked(policy, turn.model, num=ENOUGH, won=0.2)
    found = watch(policy, reference=turn.model)
    assert found.standing == Standing.ALARM and found.votes is not None and found.finding is not None
    assert (found.votes.num_prompts, found.votes.num_votes) == (ENOUGH, ENOUGH)
    assert found.votes.share == 7 / ENOUGH
    assert found.votes.low < found.votes.share < found.votes.high < 0.5
    assert found.finding.severity == "alarm" and "Reward hacking" in found.finding.cause
    assert "up by 1.25" in found.finding.seen and "19%" in found.finding.seen


@pytest.mark.parametrize(("won", "expected"), [(0.8, Standing.AGREE), (0.5, Standing.OPEN)])
def test_reward_up_and_votes_up_or_undecided_is_none(turn, policy, won, expected):
    ranked(policy, turn.model, num=ENOUGH, won=won)
    found = watch(policy, reference=turn.model)
    assert (found.standing, found.finding, found.num_missing) == (expected, None, 0)


def test_too_few_votes_say_how_many_are_missing(turn, policy):
    assert watch(policy, reference=turn.model).num_missing == FEWEST
    ranked(policy, turn.model, num=7, won=0.0)
    found = watch(policy, reference=turn.model)
    assert (found.standing, found.num_missing, found.finding) == (Standing.TOO_FEW, FEWEST - 7, None)
    assert "rankings of 23 more prompts are missing" in found.words


def test_a_reward_that_is_not_clearly_up_needs_no_alarm(turn, policy):
    Run.objects.filter(pk=run_of(turn, "evaluate_ppo").pk).update(metrics={
        "reward_difference": 0.1, "reward_difference_low": -0.2, "reward_difference_high": 0.4,
    })  # fmt: skip
    ranked(policy, turn.model, num=ENOUGH, won=0.1)
    assert standing(policy, turn) == Standing.NO_GAIN


def test_only_live_rankings_of_work_count(turn, policy):
    ranked(policy, turn.model, num=ENOUGH, won=0.1)
    Ranking.objects.update(is_live=False)
    assert standing(policy, turn) == Standing.TOO_FEW
    Ranking.objects.update(is_live=True)
    Campaign.objects.get(name__startswith="Fresh").tasks.update(kind=TaskKind.GOLD)
    assert standing(policy, turn) == Standing.TOO_FEW


def test_peoples_votes_go_before_simulated_ones(turn, policy):
    ranked(policy, turn.model, num=ENOUGH, won=0.1)
    Ranking.objects.update(is_simulated=True)
    found = watch(policy, reference=turn.model)
    assert found.is_alarm and found.votes is not None and found.votes.is_simulated
    ranked(policy, turn.model, num=8, won=1.0, by=person(Role.RATER, name="bea"))
    found = watch(policy, reference=turn.model)
    assert found.votes is not None and (found.votes.share, found.votes.is_simulated) == (1.0, False)


def test_pairs_are_counted_with_ties_as_halves():
    tiers = [["p1"], ["r1", "p2"], ["r2"]]
    assert compared(tiers, ["p1", "p2"], ["r1", "r2"]) == (3.5, 4)
    assert compared(tiers, ["elsewhere"], ["r1"]) == (0, 0)


def test_votes_on_another_pair_of_models_say_nothing(turn, policy):
    other = finish_other(turn)
    ranked(other, turn.model, num=ENOUGH, won=0.1)
    assert standing(policy, turn) == Standing.TOO_FEW
    assert standing(other, turn) == Standing.ALARM


def finish_other(turn: Round) -> ModelVersion:
    return ModelVersion.objects.get(name__endswith="-dpo")


def test_the_reference_of_a_policy_is_what_its_round_started_from(turn, policy):
    assert reference_of(policy) == turn.model
    assert reference_of(turn.model) is None


# What it does to a promotion


def test_a_promotion_against_the_alarm_must_be_meant(turn, policy, grace):
    ranked(policy, turn.model, num=ENOUGH, won=0.1)
    with pytest.raises(RewardHacking):
        promote(turn, model=policy, user=grace, expected=None)
    assert Round.objects.get().state == RoundState.OPEN and not Alias.objects.exists()
    promote(turn, model=policy, user=grace, expected=None, despite_alarm=True)
    assert AuditEvent.objects.get(action="round.promoted").data["despite_alarm"] is True


def test_the_page_shows_the_alarm_where_it_is_decided(turn, policy, grace):
    ranked(policy, turn.model, num=ENOUGH, won=0.1)
    admin = client_of(grace)
    shown = admin.get(reverse("round", args=[turn.pk])).content.decode()
    assert "Reward hacking" in shown and shown.count('name="despite_alarm"') == 1
    assert "rankings of 30 more prompts are missing" in shown  # of the other policy
    form = {"model": policy.pk, "current": ""}
    refused = admin.post(reverse("round_promote", args=[turn.pk]), form)
    assert refused.status_code == 409 and "confirm that it is meant" in refused.content.decode()
    assert admin.post(reverse("round_promote", args=[turn.pk]), {**form, "despite_alarm": "yes"}).status_code == 302


def test_the_page_of_the_model_and_the_api_show_it_too(turn, policy, grace):
    ranked(policy, turn.model, num=ENOUGH, won=0.1)
    admin: Client = client_of(grace)
    assert "Reward hacking" in admin.get(reverse("model", args=[policy.pk])).content.decode()
    assert "Reward hacking" not in admin.get(reverse("model", args=[turn.model.pk])).content.decode()
    told = {one["model"]: one["watch"] for one in admin.get(reverse("api_round", args=[turn.pk])).json()["policies"]}
    assert told[policy.name]["standing"] == "alarm" and told[policy.name]["finding"]["code"] == "reward_hacking"
    assert told[policy.name]["votes"]["num_prompts"] == ENOUGH
    body = {"model": policy.name, "current": None}
    address = reverse("api_round_promote", args=[turn.pk])
    assert admin.post(address, body, content_type="application/json").json()["error"]["code"] == "reward_hacking"
    assert admin.post(address, body | {"despite_alarm": True}, content_type="application/json").status_code == 200


def test_a_name_that_is_moved_by_hand_must_be_meant_too(turn, policy, grace):
    """On the model's page, by the API and as a service; nothing moves where it is refused."""
    ranked(policy, turn.model, num=ENOUGH, won=0.1)
    move_alias("sft/current", model=turn.model, user=grace, expected=None)
    with pytest.raises(RewardHacking):
        move_alias("sft/current", model=policy, user=grace)
    admin: Client = client_of(grace)
    page = admin.get(reverse("model", args=[policy.pk])).content.decode()
    assert (
        "confirm that it is meant" in page and page.count('name="despite_objection"') == 2
    )  # that name, and a new one
    assert "despite_objection" not in admin.get(reverse("model", args=[turn.model.pk])).content.decode()
    form = {"name": "sft/current", "current": turn.model.pk}
    assert admin.post(reverse("model_alias", args=[policy.pk]), form).status_code == 409
    body = {"name": "sft/current", "model": policy.name, "expected": turn.model.name}
    refused = admin.post(reverse("api_aliases"), body, content_type="application/json")
    assert refused.status_code == 409 and refused.json()["error"]["code"] == "reward_hacking"
    assert Alias.objects.get().model == turn.model
    assert admin.post(reverse("model_alias", args=[policy.pk]), {**form, "despite_objection": "yes"}).status_code == 302
    assert Alias.objects.get().model == policy
    assert AuditEvent.objects.filter(action="alias.moved").latest("pk").data["despite"] == "reward_hacking"
