"""A round queues five runs that feed each other, all or none; a person decides it once."""

from __future__ import annotations

import pytest
from django.utils.translation import override

from accounts.errors import Conflict, UserError
from audit.models import AuditEvent
from registry.models import Alias
from rlhf.models import Round, RoundState, Stage
from rlhf.services.rounds import BadRound, decline, promote
from rlhf.status import status_of
from runs.models import Run, RunState
from runs.services.claim import claim_next
from tests.rlhf.conftest import finish, run_of
from tests.runs.conftest import a_dataset, a_model

pytestmark = pytest.mark.django_db


def fed_by(run: Run) -> dict[str, str]:
    """What a run takes, by input: the stage whose output it is, or the name of a model or dataset."""
    return {
        given.name: given.after.stage.stage
        if given.after
        else (getattr(given.artifact, "model", None) or given.artifact.dataset).name
        for given in run.inputs.all()
    }


def test_a_round_queues_five_runs_each_after_what_it_needs(start):
    turn = start()
    assert [entry.stage for entry in turn.stages.all()] == ["reward", "dpo", "ppo", "evaluate_dpo", "evaluate_ppo"]
    assert fed_by(run_of(turn, "reward")) == {"model": "writer", "preferences": "rankings-1"}
    assert fed_by(run_of(turn, "dpo")) == {"model": "writer", "preferences": "rankings-1"}
    assert fed_by(run_of(turn, "ppo")) == {"model": "writer", "reward": "reward", "prompts": "questions"}
    for stage in ("dpo", "ppo"):
        takes = {"policy": stage, "reference": "writer", "prompts": "questions", "reward": "reward"}
        assert fed_by(run_of(turn, f"evaluate_{stage}")) == takes
    assert {run.state for run in Run.objects.all()} == {RunState.QUEUED}


def test_runs_of_a_round_are_called_alike_whatever_language_its_starter_reads(start):
    with override("de"):
        turn = start()
    assert run_of(turn, "reward").title == f"Reward model for {turn.campaign.name}, round 1"
    with override("de"):
        assert str(turn).endswith(", Runde 1") and status_of(turn).words == "5 Läufe warten auf einen Worker"


def test_only_what_waits_for_nothing_can_be_claimed(start):
    turn = start()
    claimed = {Run.objects.get(pk=claim.run_id).stage.stage for claim in iter(lambda: claim_next(worker="w"), None)}
    assert claimed == {Stage.REWARD, Stage.DPO}
    assert status_of(turn).is_running


def test_a_round_is_on_record_with_who_started_it(start, grace):
    turn = start()
    event = AuditEvent.objects.get(action="round.started")
    assert (event.actor, event.target_id, event.data["number"]) == (grace, str(turn.pk), 1)


def test_rounds_of_a_campaign_are_numbered_and_their_models_named_so(start):
    assert [start().number, start().number] == [1, 2]
    assert Run.objects.filter(output_name="everyday-r2-ppo").exists()


def test_a_round_whose_last_run_is_refused_queues_nothing(start, makings):
    a_model("everyday-r1-ppo", role="policy")  # the name that PPO's policy would have
    with pytest.raises(UserError, match="everyday-r1-ppo is taken"):
        start()
    assert not Round.objects.exists()
    assert not Run.objects.exists()
    assert not AuditEvent.objects.filter(action__in=["round.started", "run.start"]).exists()


def test_things_that_make_no_round_are_told_in_one_sentence(start, makings):
    reward = a_model("judge", role="reward")
    unsplit = a_dataset("all-train", kind="prompts", splits={"train": 6})
    for given, sentence in [
        ({"model": reward}, "judge is a Reward model; a round starts from an SFT model or a policy."),
        ({"preferences": makings.prompts}, "questions holds prompts, not preferences."),
        ({"prompts": unsplit}, "all-train has no held-out prompts to compare the policies on."),
        ({"preset": "huge"}, "There is no preset called huge; there are tiny, demo."),
    ]:
        with pytest.raises(BadRound) as refused:
            start(**given)
        assert refused.value.sentence == sentence
    assert not Run.objects.exists()


def test_a_promoted_policy_becomes_the_current_model(start, grace):
    turn = start()
    policies = finish(turn)
    alias = promote(turn, model=policies["dpo"], user=grace, expected=None)
    assert (alias.name, alias.model) == ("sft/current", policies["dpo"])
    turn.refresh_from_db()
    assert (turn.state, turn.promoted, turn.decided_by) == (RoundState.PROMOTED, policies["dpo"], grace)
    assert AuditEvent.objects.filter(action="round.promoted", data__model="everyday-r1-dpo").count() == 1


def test_a_round_is_decided_once(start, grace):
    turn = start()
    policies = finish(turn)
    promote(turn, model=policies["dpo"], user=grace, expected=None)
    with pytest.raises(Conflict, match="decided already"):
        promote(turn, model=policies["ppo"], user=grace, expected=policies["dpo"])
    with pytest.raises(Conflict, match="decided already"):
        decline(turn, user=grace)
    assert Alias.objects.get().model == policies["dpo"]


def test_a_policy_is_not_promoted_over_a_model_that_the_person_has_not_seen(start, grace):
    first, second = start(), start()
    newer = finish(first)["dpo"]
    late = finish(second)["dpo"]
    promote(first, model=newer, user=grace, expected=None)
    with pytest.raises(Conflict, match="moved meanwhile"):
        promote(second, model=late, user=grace, expected=None)
    second.refresh_from_db()
    assert second.state == RoundState.OPEN
    assert Alias.objects.get().model == newer


def test_only_a_policy_of_the_round_itself_can_be_promoted(start, grace, makings):
    turn, other = start(), start()
    finish(turn)
    stranger = finish(other)["dpo"]
    for model in (stranger, makings.model, a_model("elsewhere", role="policy")):
        with pytest.raises(BadRound, match="no policy of this round"):
            promote(turn, model=model, user=grace, expected=None)
    assert not Alias.objects.exists()


def test_a_declined_round_leaves_the_current_model(start, grace):
    turn = start()
    finish(turn)
    decline(turn, user=grace)
    turn.refresh_from_db()
    assert (turn.state, turn.decided_by, turn.promoted) == (RoundState.DECLINED, grace, None)
    assert not Alias.objects.exists()
    assert status_of(turn).words == "Declined: the current model stays"


def test_the_status_says_whose_turn_it_is(start):
    turn = start()
    assert (status_of(turn).words, status_of(turn).is_waiting) == ("5 runs wait for a worker", False)
    finish(turn)
    turn = Round.objects.get()
    status = status_of(turn)
    assert (status.words, status.is_waiting) == ("All runs are done: promote a policy, or decline", True)
    (figure,) = status.policies[0].figures
    assert (figure.difference, figure.low, figure.high, figure.is_clear) == (1.25, 0.75, 1.75, True)
    Run.objects.filter(stage__stage="ppo").update(state=RunState.FAILED, failure_code="oom")
    assert status_of(Round.objects.get()).words == "1 of 5 runs did not succeed: resume them, or decide without them"
