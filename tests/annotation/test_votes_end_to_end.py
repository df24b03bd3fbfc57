"""A run that learns from people as they rank: a real training process, a real supervisor, rankings by the service."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from annotation.models import RankingTask, RunQuestion
from annotation.services.assign import lease_next
from annotation.services.rank import submit_ranking
from registry.models import ModelVersion
from registry.services.artifacts import store_folder
from registry.services.datasets import freeze_dataset
from runs.models import Run, RunEvent, RunState
from runs.services.claim import claim_next
from runs.services.start import start_run
from runs.services.supervise import supervise
from tests.annotation.arrange import a_submission
from tests.annotation.asking_runs import an_empty_campaign
from tests.training import tiny
from tests.training.tiny_reward import write_reward_model
from tests.training.voters import capitals
from training import questions

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

RECIPE = {
    "lora": None,
    "episodes": 16,
    "batch_size": 8,
    "k": 4,
    "minibatch_size": 4,
    "max_new_tokens": 8,
    "bf16": False,
}


@pytest.fixture(autouse=True)
def small(settings):
    settings.RUN_TIMES = {"heartbeat_s": 0.5, "lease_s": 20.0, "cancel_grace_s": 20.0, "stall_s": 120.0}
    settings.TRAINING_THREADS = 1


@pytest.fixture
def campaign(ada):
    return an_empty_campaign(ada)


def start(folder, campaign, *, minutes: float, reward: bool, episodes: int = 16) -> Run:
    rows = [{"id": str(i), "messages": [tiny.user(f"{letter}?")]} for i, letter in enumerate("ab")]
    prompts = freeze_dataset("questions", kind="prompts", splits={"train": rows}, user=None)
    tiny.write_model(folder / "model")
    inputs = {"model": stored(folder / "model", "writer", role="sft"), "prompts": prompts.artifact}
    if reward:
        write_reward_model(folder / "reward")
        inputs["reward"] = stored(folder / "reward", "judge", role="reward")
    recipe = RECIPE | {"episodes": episodes, "votes": {"deadline_minutes": minutes}}
    return start_run("rloo", recipe=recipe, inputs=inputs, user=None, context={"voters": campaign.slug})


def stored(folder, name, *, role):
    return ModelVersion.objects.create(name=name, role=role, artifact=store_folder(folder, kind="model")).artifact


def work(*, meanwhile: Callable[[], bool] = lambda: False) -> Run:
    """One attempt; `meanwhile` is done again and again, and sends the worker away by saying so."""
    claim = claim_next(worker="here")
    assert claim is not None
    supervise(claim, must_leave=meanwhile)
    return Run.objects.get(pk=claim.run_id)


def figures(run: Run, name: str) -> list[float]:
    found = RunEvent.objects.filter(run=run, kind="metric").order_by("seq").values_list("payload", flat=True)
    return [payload["values"][name] for payload in found]


def rank_all(campaign, rater, *, rollout: int) -> None:
    """The one with the most capitals first, of every task of this rollout that waits."""
    waiting = RankingTask.objects.filter(asked_by__number=rollout, slots__is_free=True)
    while waiting.exists() and (assignment := lease_next(campaign, rater=rater)) is not None:
        worth = {
            letter: capitals(assignment.task.entries.get(completion_id=name).completion.text)
            for letter, name in assignment.letters().items()
        }
        order = ">".join(sorted(worth, key=lambda letter: (-worth[letter], letter)))
        submit_ranking(assignment, rater=rater, submission=a_submission(order))


def test_peoples_order_is_the_reward_and_what_they_leave_is_the_reward_models(tmp_path, campaign, ada):
    """The worker leaves while people are waited for, and the next one asks nobody twice; then nobody ranks the second."""
    run = start(tmp_path, campaign, minutes=0.15, reward=True)
    left = work(meanwhile=lambda: RankingTask.objects.exists())
    assert left.state == RunState.QUEUED
    asked = set(RunQuestion.objects.values_list("pk", flat=True))
    assert len(asked) == RankingTask.objects.count() == 2

    def people() -> bool:
        rank_all(campaign, ada, rollout=0)
        return False

    done = work(meanwhile=people)
    assert (done.pk, done.state) == (run.pk, RunState.SUCCEEDED), done.failure
    assert set(RunQuestion.objects.filter(number=0).values_list("pk", flat=True)) == asked
    assert RankingTask.objects.count() == 4
    assert figures(done, "voted") == [1.0, 0.0]
    assert figures(done, "masked") == [0.0, 0.0]

    # The very order of the first is in what the run took.
    taken = questions.read_answers(questions.taken_path(run.folder, 0))
    texts = {one.id: one.text for each in questions.read_sheet(run.folder, 0).questions for one in each.completions}
    for answer in taken.answers.values():
        (tiers,) = answer.rankings
        worths = [capitals(texts[name]) for tier in tiers for name in tier]
        assert worths == sorted(worths, reverse=True)
    told = list(RunEvent.objects.filter(run=run, kind="progress").values_list("payload", flat=True))
    assert {"waiting for votes"} <= {each["phase"] for each in told}


def test_where_nobody_answers_and_there_is_no_reward_model_nothing_is_learned(tmp_path, campaign):
    run = start(tmp_path, campaign, minutes=0.01, reward=False, episodes=8)
    done = work()
    assert (done.pk, done.state) == (run.pk, RunState.SUCCEEDED), done.failure
    assert figures(done, "masked") == [1.0]
    given = (tmp_path / "model" / "model.safetensors").read_bytes()
    assert (done.output.artifact.folder / "model.safetensors").read_bytes() == given
