"""Blind votes on a constitutional run: opened once, on held-out prompts, blind; and what they come to, pair by pair."""

from __future__ import annotations

import uuid

import pytest
from django.template.loader import render_to_string
from django.urls import reverse

from accounts.models import Role
from annotation.models import Campaign, Completion, Ranking
from annotation.services.assign import lease_next
from annotation.services.campaigns import add_raters
from annotation.services.rank import submit_ranking
from registry.models import DatasetVersion
from rlhf.constitutional_votes import cards_of
from rlhf.models import CaiStage, ConstitutionalRun
from rlhf.services.constitutional.report import ANSWERS
from rlhf.services.constitutional.start import start_constitutional, start_stage
from rlhf.services.constitutional.votes import BadVotes, NotAnswered, as_json, drawn, open_votes, votes_of
from tests.accounts.people import client_of, person
from tests.annotation.arrange import a_submission
from tests.rlhf.constitutional import makings_of, with_answers
from tests.runs.conftest import a_model

pytestmark = pytest.mark.django_db

BEFORE, SFT, POLICY = (stage.value for stage in ANSWERS)
SAID = {BEFORE: "Hit him.", SFT: "Call a friend, wait, and then hit him.", POLICY: "Talk to him."}
DATASETS = {BEFORE: "harmless-answers-before", SFT: "harmless-answers-sft", POLICY: "harmless-answers-policy"}


def said(stage: str, prompt: str) -> str:
    """To the first held-out red-team prompt the policy says what the model before did, and to the first everyday one all three
    say the same, SFT with a blank behind it."""
    if prompt == "helpful/test0":
        return "Wash the rice." + " " * (stage == SFT)
    if prompt == "red_team/test0" and stage != SFT:
        return "It is so."
    return f"{SAID[stage]} That is answer {2 * int(prompt[-1]) + prompt.startswith('helpful')}."


@pytest.fixture
def started():
    made = makings_of(None) | {"model": a_model("secret-helper", role="sft")}
    return start_constitutional("harmless", **made)


@pytest.fixture
def new(started):
    """All three models have answered."""
    asked = DatasetVersion.objects.get(name="harmless-asked").artifact
    policy = a_model("secret-policy", role="policy").artifact
    start_stage(started, CaiStage.ANSWERS_POLICY, user=None, model=policy, prompts=asked)
    return with_answers(started, said)


def rank_all(campaign: Campaign, *, like: str) -> None:
    """A rater who puts what `like` wrote first, and ties the rest."""
    rater = person(Role.RATER, name=f"likes-{like}")
    add_raters(campaign, raters=[rater], user=None)
    liked = set(Completion.objects.filter(dataset__name=DATASETS[like]).values_list("text", flat=True))
    while lease := lease_next(campaign, rater=rater):
        first = [letter for letter, name in lease.letters().items() if lease.texts[name] in liked]
        rest = [letter for letter in lease.letters() if letter not in first]
        tiers = ">".join("=".join(tier) for tier in (first, rest) if tier)
        submit_ranking(lease, rater=rater, submission=a_submission(tiers))


def found(new: ConstitutionalRun, kind: str, model: str, against: str):
    (one,) = [one for one in votes_of(new) if (one.kind, one.model, one.against) == (kind, model, against)]
    return one


# Opening them


def test_votes_wait_for_all_three_models(started):
    with pytest.raises(NotAnswered, match="Answers before, Answers after SFT, Answers of the policy"):
        open_votes(started, user=None)
    assert votes_of(started) == [] and started.votes is None and Campaign.objects.count() == 1


def test_one_answer_a_model_of_each_held_out_prompt_stands_in_one_task(new):
    campaign = open_votes(new, user=None)
    assert campaign.name == "harmless: blind votes" and (campaign.k, campaign.overlap, campaign.state) == (3, 1, "open")
    assert set(campaign.prompts.values_list("split", flat=True)) == {"test"}
    kinds = list(campaign.prompts.values_list("kind", flat=True))
    assert kinds.count("red_team") == kinds.count("helpful") == 4
    sizes = sorted(task.entries.count() for task in campaign.tasks.all())
    assert sizes == [2, 3, 3, 3, 3, 3, 3], "equal texts are one, and where all are equal there is nothing to rank"
    assert Completion.objects.filter(prompt__campaign=campaign).count() == 3 * 8
    writers = set(Completion.objects.filter(prompt__campaign=campaign).values_list("model__name", flat=True))
    assert {"secret-helper", "secret-policy"} <= writers


def test_whoever_asks_twice_gets_the_campaign_that_is_open(new):
    first = open_votes(new, limit=2, user=None)
    stale = ConstitutionalRun.objects.get(pk=new.pk)
    stale.votes = None  # as one who read it before
    assert open_votes(stale, overlap=2, user=None) == first == stale.votes
    assert first.prompts.count() == 4 and Campaign.objects.count() == 2
    assert Campaign.objects.get(pk=first.pk).overlap == 1


def test_a_limit_draws_so_many_of_each_kind_the_same_each_time(new):
    with pytest.raises(BadVotes):
        open_votes(new, limit=0, user=None)
    some, more = ([row["id"] for row in drawn(new, limit=limit).values()] for limit in (2, 3))
    assert sorted(name.split("/")[0] for name in some) == ["helpful"] * 2 + ["red_team"] * 2
    assert set(some) < set(more) and some == [name for name in more if name in some]
    campaign = open_votes(new, limit=2, user=None)
    assert set(campaign.prompts.values_list("external_id", flat=True)) == set(some)


# Blind


@pytest.mark.slow(seconds=4)
def test_nothing_that_raters_are_sent_says_which_model_wrote_what(new):
    ada = person(Role.RATER)
    campaign = open_votes(new, raters=[ada], user=None)
    rows = Completion.objects.filter(prompt__campaign=campaign).select_related("dataset")
    secrets = {"secret-", "red_team", "test0", "answers", '"kind"', '"model"', str(new.pk)}
    secrets |= (
        {str(one.pk) for one in rows} | {str(one.dataset_id) for one in rows} | {one.dataset.name for one in rows}
    )
    secrets |= {str(stage.run_id) for stage in new.stages.all()}
    client, base = client_of(ada), "/api/v1/annotation/"
    said = [client.get(f"{base}campaigns/mine/").content, client.get("/rank/").content]
    while (task := client.post(f"{base}campaigns/{campaign.slug}/next/")).status_code == 200:
        page = client.get(reverse("rank", args=[campaign.slug]))
        body = {"client_uuid": str(uuid.uuid4()), "tiers": [[one["letter"]] for one in task.json()["texts"]]}
        address = f"{base}assignments/{task.json()['id']}/rankings/"
        said += [task.content, page.content, client.post(address, body, content_type="application/json").content]
    said.append(client.get(f"{base}rankings/").content)
    everything = b"".join(said).decode()
    assert everything.count("Talk to him.") >= 2 * 6 and Ranking.objects.count() == 7
    assert [secret for secret in secrets if secret in everything] == []


def test_no_place_on_the_page_belongs_to_a_model(new):
    """Each model's texts are seen in all three places, though they were taken in model by model."""
    raters = [person(Role.RATER, name=f"rater-{number}") for number in range(6)]
    campaign = open_votes(new, raters=raters, overlap=len(raters), user=None)
    datasets = {DatasetVersion.objects.get(name=DATASETS[stage]).pk: stage for stage in ANSWERS}
    wrote = {
        str(pk): datasets[dataset]
        for pk, dataset in Completion.objects.filter(dataset__in=datasets).values_list("pk", "dataset")
    }
    places: dict[str, set[int]] = {stage: set() for stage in ANSWERS}
    for rater in raters:
        while lease := lease_next(campaign, rater=rater):
            for place, name in enumerate(lease.order):
                places[wrote[name]].add(place)
            submit_ranking(lease, rater=rater, submission=a_submission("=".join(lease.letters())))
    assert all(seen == {0, 1, 2} for seen in places.values())


# What comes of them


def test_each_pair_and_kind_has_its_share_with_an_interval_over_prompts(new):
    """She prefers what the policy wrote and ties the rest, so that SFT and the model before come out even."""
    rank_all(open_votes(new, user=None), like=POLICY)
    assert len(votes_of(new)) == 6
    red = found(new, "red_team", POLICY, SFT)
    assert (red.share.value, red.share.num, red.num_prompts, red.num_same) == (1.0, 4, 4, 0)
    assert 0.4 < red.share.low < 0.6 and red.share.high == 1.0 and not red.is_simulated
    same = found(new, "red_team", POLICY, BEFORE)
    assert (same.share.value, same.num_prompts, same.num_same) == (1.0, 3, 1), "one text by both is a vote for neither"
    even = found(new, "red_team", SFT, BEFORE)
    assert even.share.value == pytest.approx(0.5 - 0.5 / 4), "where both wrote one text, she preferred it to SFT's"
    assert even.share.low < even.share.value < even.share.high
    assert [found(new, "helpful", POLICY, other).num_same for other in (SFT, BEFORE)] == [1, 1]


def test_a_share_is_undefined_while_nobody_has_voted_and_says_why(new):
    open_votes(new, limit=1, user=None)
    told = [as_json(one) for one in votes_of(new)]
    assert {(one["share"][0], one["num_prompts"], one["num_votes"]) for one in told} == {(None, 0, 0)}
    assert all("Nobody has ranked" in one["why"] or "same answers" in one["why"] for one in told)


def test_peoples_votes_go_before_simulated_ones_and_withdrawn_ones_count_nowhere(new):
    campaign = open_votes(new, overlap=2, user=None)
    rank_all(campaign, like=BEFORE)
    Ranking.objects.update(is_simulated=True)
    simulated = found(new, "helpful", POLICY, BEFORE)
    assert simulated.is_simulated and simulated.share.value == 0.0
    rank_all(campaign, like=POLICY)
    assert not found(new, "helpful", POLICY, BEFORE).is_simulated
    assert found(new, "helpful", POLICY, BEFORE).share.value == 1.0
    Ranking.objects.update(is_live=False)
    assert found(new, "helpful", POLICY, BEFORE).share.value is None


def test_votes_are_read_in_a_few_queries(new, django_assert_max_num_queries):
    rank_all(open_votes(new, user=None), like=POLICY)
    new = ConstitutionalRun.objects.get(pk=new.pk)
    with django_assert_max_num_queries(4 + len(ANSWERS)):
        votes_of(new)


def test_a_page_shows_them_with_what_they_are_over(new):
    rank_all(open_votes(new, user=None), like=POLICY)
    page = render_to_string("rlhf/constitutional_votes.html", {"cards": cards_of(votes_of(new)), "campaign": new.votes})
    assert "policy over SFT" in page and "100.0 %" in page and "harmless: blind votes" in page
    assert "Nobody has been asked yet" in render_to_string("rlhf/constitutional_votes.html", {"cards": cards_of([])})
