"""A campaign's completions from a real endpoint, by a real worker: its prompts go there, and tasks come of the answers."""

from __future__ import annotations

import pytest

from accounts.models import Role
from annotation.models import Completion, RankingTask
from annotation.services.campaigns import create_campaign
from annotation.services.completions import request_answers
from annotation.services.prompts import add_prompts
from runs.models import RunState
from tests.annotation.arrange import a_person
from tests.runs.conftest import work_once
from tests.training.endpoint import KEY, serving

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def test_answers_of_an_endpoint_become_tasks_and_its_key_stays_with_the_worker(monkeypatch):
    grace = a_person("grace", role=Role.ADMIN)
    monkeypatch.setenv("STEADYHAND_KEY_OURS", KEY)
    campaign = create_campaign("Every day", k=3, overlap=1, guideline="", user=grace)
    add_prompts(campaign, rows=[{"prompt": "Why?"}, {"prompt": "How?"}], user=grace)
    with serving(key=KEY) as server:
        recipe = {"url": server.url, "model": "small", "temperatures": [0.8], "key_variable": "STEADYHAND_KEY_OURS"}
        request_answers(campaign, user=grace, recipe=recipe)
        run = work_once()
    assert run.state == RunState.SUCCEEDED, run.failure
    assert sorted(one.words for one in server.asked) == ["How?", "Why?"]
    assert RankingTask.objects.count() == 2
    texts = set(Completion.objects.values_list("text", flat=True))
    assert len(texts) == 6 and all(text.startswith(("How? / ", "Why? / ")) for text in texts)
    told = [run.recipe, run.metrics, *run.events.values_list("payload", flat=True)]
    assert KEY not in str(told)
    assert not any(KEY.encode() in path.read_bytes() for path in run.folder.rglob("*") if path.is_file())
