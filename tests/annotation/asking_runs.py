"""Runs that ask people, for tests: with sheets of questions written as training writes them."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from django.utils import timezone

from accounts.models import User
from annotation.models import Assignment, Campaign, CampaignState, Ranking
from annotation.services.assign import lease_next
from annotation.services.campaigns import create_campaign, set_state
from annotation.services.rank import submit_ranking
from runs.models import Run
from runs.services.start import start_run
from tests.annotation.arrange import a_submission
from tests.runs.conftest import a_dataset, a_model
from training import questions
from training.questions import AskedText, Question, Sheet

VOTES = {"votes": {"deadline_minutes": 10}, "batch_size": 8, "minibatch_size": 4, "k": 4}


def an_empty_campaign(*raters: User, overlap: int = 1, name: str = "Votes") -> Campaign:
    campaign = create_campaign(name, k=4, overlap=overlap, guideline="Be fair.", user=None, raters=raters)
    return set_state(campaign, to=CampaignState.OPEN, user=None)


def an_asking_run(campaign: Campaign, *, recipe: dict[str, object] | None = None) -> Run:
    name = uuid.uuid4().hex[:8]
    inputs = {
        "model": a_model(f"writer-{name}", role="sft").artifact,
        "prompts": a_dataset(f"prompts-{name}", kind="prompts").artifact,
    }
    run = start_run(
        "rloo", recipe=VOTES | (recipe or {}), inputs=inputs, user=None, title="Secret title",
        context={"voters": campaign.slug},
    )  # fmt: skip
    run.folder.mkdir(parents=True)
    return run


def a_sheet(run: Run, *texts: list[str], number: int = 0, deadline: datetime | None = None) -> Sheet:
    """One question for each list of texts, written into the run's folder."""
    now = timezone.now()
    asked = [
        Question(
            str(uuid.uuid4()),
            [{"role": "user", "content": f"Question {p}?"}],
            [AskedText(str(uuid.uuid4()), text, [1, 2], ended=True) for text in group],
        )
        for p, group in enumerate(texts)
    ]
    deadline = deadline or now + timedelta(minutes=10)
    sheet = Sheet(number, asked_at=now.isoformat(), deadline_at=deadline.isoformat(), questions=asked)
    questions.write(questions.sheet_path(run.folder, number), sheet)
    return sheet


def rank(campaign: Campaign, rater: User, *, by: str = "") -> Ranking:
    """Her next task: the texts in the order of `by`, a word of letters that they begin with; alphabetically without."""
    assignment = lease_next(campaign, rater=rater)
    assert assignment is not None, "nothing waits for her"
    return submit_ranking(assignment, rater=rater, submission=a_submission(order_of(assignment, by=by)))


def order_of(assignment: Assignment, *, by: str = "") -> str:
    """Letters, the best first, as the page has them."""
    texts = {
        entry.completion_id: entry.completion.text for entry in assignment.task.entries.select_related("completion")
    }
    letters = {letter: texts[uuid.UUID(str(name))] for letter, name in assignment.letters().items()}
    return ">".join(sorted(letters, key=lambda letter: by.find(letters[letter][0]) if by else letters[letter]))
