"""AI feedback beside people's rankings: marked, hidden unless asked for, held to what people say, and sent to them."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from accounts.models import Role, User
from annotation.models import AIPreference, Completion, Ranking, RankingTask, Slot
from annotation.quality.ai_gate import Overlap, Rule, gate_of
from annotation.services.ai_gate import gate_for, send_to_people, sort_by
from annotation.services.ai_judgements import ai_rater
from annotation.services.assign import lease_next
from annotation.services.campaigns import create_campaign, set_state
from annotation.services.completions import make_tasks
from annotation.services.judge import Submission
from annotation.services.progress import campaign_progress
from annotation.services.prompts import add_prompts
from annotation.services.rank import submit_ranking
from annotation.services.snapshot import freeze_snapshot
from registry.services.datasets import read_rows
from tests.annotation.arrange import a_person, a_submission
from tests.annotation.feedback import judgements_of, take


def pairs_campaign(*, raters, num_prompts=40, people_share=100, texts=("good", "bad")):
    """Two texts a prompt, of which one holds "good" and one "bad"."""
    campaign = create_campaign("Pairs", k=len(texts), overlap=1, guideline="Be fair.", user=None, raters=raters)
    type(campaign).objects.filter(pk=campaign.pk).update(people_share=people_share)
    campaign.refresh_from_db()
    more_prompts(campaign, num=num_prompts, texts=texts)
    return set_state(campaign, to="open", user=None)


def more_prompts(campaign, *, num, texts=("good", "bad")):
    there = campaign.prompts.count()
    add_prompts(campaign, rows=[{"prompt": f"Question {there + p}?"} for p in range(num)], user=None)
    for prompt in campaign.prompts.filter(completions=None):
        for text in texts:
            Completion.objects.create(prompt=prompt, text=f"{text} {prompt.pk}")
    make_tasks(campaign)


def rank_all(campaign, rater, *, number=None):
    """She likes what is good, as often as there is work."""
    done = 0
    while (number is None or done < number) and (lease := lease_next(campaign, rater=rater)):
        texts = dict(sorted(lease.texts.items(), key=lambda pair: "good" not in pair[1]))
        letters = {completion: letter for letter, completion in lease.letters().items()}
        tiers = [[letters[name]] for name in texts]
        submit_ranking(lease, rater=rater, submission=Submission(a_submission().client_uuid, tiers))
        done += 1
    return done


def wise(first, second):
    return 0.9 if "good" in first else 0.1


def sabotaged(share):
    """Right in that share of pairs, told by a text's own name, so that it says the same whenever it is asked."""

    def judge(first, second):
        right = int(first[-2:], 16) / 256 < share
        return wise(first, second) if right else 1 - wise(first, second)

    return judge


def test_what_a_feedback_model_says_is_a_ranking_of_its_own_and_hidden_unless_asked_for(db, ada, tmp_path):
    campaign = pairs_campaign(raters=[ada], num_prompts=5)
    before = campaign_progress(campaign)
    run = take(campaign, judgements_of(campaign, wise), tmp_path)

    assert Ranking.objects.count() == 0 and campaign_progress(campaign) == before
    assert all(task.rankings.count() == 0 for task in RankingTask.objects.all())
    found = list(Ranking.with_ai.all())
    assert len(found) == 5 and all(one.is_ai and one.assignment is None for one in found)
    for one in found:
        best = Completion.objects.get(pk=one.tiers[0][0])
        assert "good" in best.text
        (said,) = one.preferences.all()
        assert (said.run, said.critic, said.principle) == (run, "rules", "harm") and len(said.prompt_sha256) == 64
    rater = User.objects.get(username="ai:rules")
    assert rater.is_ai and not rater.is_active and not rater.has_usable_password()
    assert rank_all(campaign, ada) == 5, "it takes no place of people's"


def test_a_run_that_is_taken_in_twice_adds_nothing_and_a_newer_one_supersedes(db, ada, tmp_path):
    campaign = pairs_campaign(raters=[ada], num_prompts=3)
    rows = judgements_of(campaign, wise)
    run = take(campaign, rows, tmp_path)
    take(campaign, rows, tmp_path, run=run)
    assert (Ranking.with_ai.count(), AIPreference.objects.count()) == (3, 3)

    take(campaign, judgements_of(campaign, lambda one, two: 1 - wise(one, two)), tmp_path)
    assert Ranking.with_ai.count() == 6
    live = Ranking.with_ai.filter(is_live=True)
    assert live.count() == 3 and all(one.supersedes is not None and not one.supersedes.is_live for one in live)


def test_of_more_than_two_texts_it_ranks_by_their_chances_and_ties_what_it_abstains_from(db, ada, tmp_path):
    campaign = pairs_campaign(raters=[ada], num_prompts=1, texts=("good", "bad", "worse"))
    place = {"good": 0, "bad": 1, "worse": 2}

    def judge(first, second):
        return 0.5 + 0.2 * (place[second.split()[0]] - place[first.split()[0]])

    take(campaign, judgements_of(campaign, judge), tmp_path)
    (one,) = Ranking.with_ai.all()
    assert [Completion.objects.get(pk=tier[0]).text.split()[0] for tier in one.tiers] == ["good", "bad", "worse"]

    take(campaign, judgements_of(campaign, lambda first, second: 0.51), tmp_path)
    (one,) = Ranking.with_ai.filter(is_live=True)
    assert len(one.tiers) == 1 and len(one.tiers[0]) == 3


def test_rows_can_not_mix_people_and_feedback_models(db, ada, tmp_path):
    campaign = pairs_campaign(raters=[ada], num_prompts=1)
    task = RankingTask.objects.get()
    texts = [str(entry.completion_id) for entry in task.entries.all()]
    rater = ai_rater("rules", model=None, recipe={})
    lease = lease_next(campaign, rater=ada)
    tiers = [[texts[0]], [texts[1]]]
    for wrong in (
        {"is_ai": False, "assignment": None, "rater": ada},
        {"is_ai": True, "assignment": lease, "rater": rater},
        {"is_ai": True, "assignment": None, "rater": rater, "is_simulated": True},
    ):
        with pytest.raises(IntegrityError, match="people_rank_by_assignment"), transaction.atomic():
            Ranking.with_ai.create(client_uuid=a_submission().client_uuid, task=task, tiers=tiers, **wrong)
    with pytest.raises(IntegrityError, match="never_sign_in"), transaction.atomic():
        User.objects.filter(pk=rater.pk).update(is_active=True)
    with pytest.raises(IntegrityError, match="never_sign_in"), transaction.atomic():
        User.objects.create(username="boss", role=Role.ADMIN, is_ai=True, is_active=False)


# The gate


@pytest.fixture
def judged_by(db, ada, tmp_path):
    """A campaign that Ada has ranked whole, judged by some judge, and the gate of that."""

    def arrange(judge, **more):
        campaign = pairs_campaign(raters=[ada], num_prompts=80)
        take(campaign, judgements_of(campaign, judge, **more), tmp_path)
        rank_all(campaign, ada)
        rater = User.objects.get(username="ai:rules")
        return campaign, rater, gate_for(campaign, rater=rater)

    return arrange


def test_a_judge_that_agrees_with_people_comes_through(judged_by):
    campaign, rater, gate = judged_by(wise)
    assert gate.overall.passes and gate.overall.accuracy.value == 1.0 and gate.overall.num == 80
    assert gate.by_principle["harm"].passes
    told = sort_by(gate, campaign, rater=rater)
    assert len(told.counted) == 80 and told.for_people == []


def test_a_judge_that_is_right_in_35_percent_is_blocked_and_its_pairs_go_to_people(judged_by):
    campaign, rater, gate = judged_by(sabotaged(0.35))
    assert 0.2 < gate.overall.accuracy.value < 0.5
    assert gate.overall.accuracy.low < gate.overall.accuracy.value < gate.overall.accuracy.high
    assert gate.overall.kappa.value < 0
    assert not gate.overall.passes
    told = sort_by(gate, campaign, rater=rater)
    assert told.counted == [] and len(told.for_people) == 80


def test_a_small_overlap_opens_no_gate_however_well_it_agrees(db, ada, tmp_path):
    campaign = pairs_campaign(raters=[ada], num_prompts=80)
    take(campaign, judgements_of(campaign, wise), tmp_path)
    rank_all(campaign, ada, number=12)
    gate = gate_for(campaign, rater=User.objects.get(username="ai:rules"))
    assert gate.overall.num == 12 and gate.overall.accuracy.value == 1.0 and not gate.overall.passes


def test_what_it_abstains_from_goes_to_people_and_is_not_held_against_it(judged_by):
    def unsure(first, second):
        return 0.5 if int(first[-1], 16) < 8 else wise(first, second)

    campaign, rater, gate = judged_by(unsure)
    assert gate.overall.accuracy.value == 1.0 and gate.overall.num < 80
    told = sort_by(gate, campaign, rater=rater)
    assert len(told.counted) == gate.overall.num and len(told.for_people) == 80 - gate.overall.num


def overlaps(principle, kind, *, right, num):
    return [
        Overlap(f"{principle}{kind}{i}", kind, principle, ai_first=i % 2 == 0, person_first=(i % 2 == 0) == (i < right))
        for i in range(num)
    ]


def test_a_principle_that_fails_is_blocked_alone_and_one_with_few_judgements_goes_by_all():
    gate = gate_of(
        [
            *overlaps("honest", "advice", right=58, num=60),
            *overlaps("kind", "advice", right=25, num=60),
            *overlaps("rare", "advice", right=5, num=5),
            *overlaps("honest", "law", right=20, num=60),
        ],
        rule=Rule(),
    )
    assert gate.by_principle["honest"].passes is False, "its judgements on law pull it down"
    gate = gate_of(
        [
            *overlaps("honest", "advice", right=97, num=100),
            *overlaps("kind", "advice", right=14, num=40),
            *overlaps("rare", "code", right=0, num=5),
        ],
        rule=Rule(),
    )
    assert gate.overall.passes
    assert gate.counts(principle="honest", kind="advice")
    assert not gate.counts(principle="kind", kind="advice")
    assert gate.counts(principle="rare", kind="code"), "five judgements say nothing, so all together do"
    assert gate.counts(principle="never-judged", kind="advice")


def test_one_side_alone_has_no_kappa_and_does_not_pass():
    one_sided = [Overlap(f"{i}", "", "harm", ai_first=True, person_first=True) for i in range(100)]
    gate = gate_of(one_sided, rule=Rule())
    assert gate.overall.accuracy.value == 1.0 and gate.overall.kappa.value is None and gate.overall.kappa.why
    assert not gate.overall.passes


# To people


def test_of_a_share_people_are_given_work_from_the_start_and_the_rest_when_it_is_sent_to_them(db, ada, tmp_path):
    campaign = pairs_campaign(raters=[ada], num_prompts=100, people_share=20)
    first = Slot.objects.count()
    held_out = RankingTask.objects.filter(prompt__split="test").count()
    assert held_out < first < 50
    assert Slot.objects.filter(task__prompt__split="test").count() == held_out, "what is held out is people's alone"
    assert rank_all(campaign, ada) == first

    waiting = list(RankingTask.objects.filter(slots__isnull=True).values_list("pk", flat=True))
    assert send_to_people(campaign, waiting[:30], user=ada) == 30
    assert send_to_people(campaign, waiting[:30], user=ada) == 0, "once"
    assert rank_all(campaign, ada) == 30
    assert a_person("zoe") and campaign_progress(campaign).slots_done == first + 30


# What is learned


def frozen(campaign, name, **more):
    made = freeze_snapshot(campaign, name=name, user=None, **more)
    return made, {split: list(read_rows(made, split=split)) for split in made.splits}


def test_with_ai_feedback_a_dataset_has_other_rows_another_hash_and_says_so(db, ada, tmp_path):
    campaign = pairs_campaign(raters=[ada], num_prompts=150, people_share=50)
    take(campaign, judgements_of(campaign, wise), tmp_path)
    rank_all(campaign, ada)
    rater = User.objects.get(username="ai:rules")
    alone, people = frozen(campaign, "people-1")
    both, rows = frozen(campaign, "both-1", feedback=rater)

    assert alone.rows_sha256 != both.rows_sha256
    assert "AI feedback" in both.card and "ai:rules" in both.card and "AI feedback" not in alone.card
    assert both.query["ai"]["passes"] and "ai" not in alone.query
    assert (
        all("label" not in row for row in people["train"]) and rows["test"] and len(rows["test"]) == len(people["test"])
    )
    marked = [row for row in rows["train"] if row["rater"] == "ai:rules"]
    assert len(marked) == len(rows["train"]) - len(people["train"]) == both.query["ai"]["num_rankings"] > 20
    assert {row["label"] for row in marked} == {0.9}
    assert all(row["label"] is None for row in rows["train"] if row not in marked)
    assert all("good" in row["chosen"][0]["content"] for row in marked)
    assert not {row["group_id"] for row in marked} & {row["group_id"] for row in people["train"]}, (
        "people's word stands"
    )
    again, _ = frozen(campaign, "both-2", feedback=rater)
    assert len(again.rows_sha256) == 64 and again.query["ai"] == both.query["ai"]


def test_frozen_is_what_was_decided_by_whatever_people_say_meanwhile(db, ada, tmp_path):
    campaign = pairs_campaign(raters=[ada], num_prompts=150, people_share=50)
    take(campaign, judgements_of(campaign, wise), tmp_path)
    rater = User.objects.get(username="ai:rules")
    rank_all(campaign, ada, number=12)
    early = gate_for(campaign, rater=rater)
    rank_all(campaign, ada)
    then, _ = frozen(campaign, "then", feedback=rater, gate=early)
    now, _ = frozen(campaign, "now", feedback=rater)
    assert then.query["ai"]["num_overlap"] == early.overall.num and then.query["ai"]["num_rankings"] == 0
    assert now.query["ai"]["num_overlap"] > early.overall.num and now.query["ai"]["num_rankings"] > 0


def test_of_a_blocked_judge_nothing_is_frozen(db, ada, tmp_path):
    campaign = pairs_campaign(raters=[ada], num_prompts=150, people_share=50)
    take(campaign, judgements_of(campaign, sabotaged(0.35)), tmp_path)
    rank_all(campaign, ada)
    made, rows = frozen(campaign, "blocked", feedback=User.objects.get(username="ai:rules"))
    assert made.query["ai"]["num_rankings"] == 0 and made.query["ai"]["passes"] is False
    assert all("label" not in row for row in rows["train"])


def test_a_pair_that_it_abstained_from_is_in_no_dataset(db, ada, tmp_path):
    campaign = pairs_campaign(raters=[ada], num_prompts=150, people_share=50)

    def unsure(first, second):
        return 0.505 if int(first[-1], 16) < 8 else wise(first, second)

    take(campaign, judgements_of(campaign, unsure), tmp_path)
    rank_all(campaign, ada)
    _, rows = frozen(campaign, "some", feedback=User.objects.get(username="ai:rules"))
    marked = [row for row in rows["train"] if row["rater"] == "ai:rules"]
    assert marked and all(int(row["chosen"][0]["content"][-1], 16) >= 8 for row in marked)
