"""Campaigns: their bounds, their prompts, the completions that become tasks, and what is written down of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Role
from annotation.importing.bringing import bring
from annotation.importing.complaints import BadLines
from annotation.models import Campaign, CampaignState, CampaignTally, Completion, RankingTask, Slot
from annotation.publishing import take_in
from annotation.services import progress
from annotation.services.assign import lease_next
from annotation.services.campaigns import BadCampaign, NameTaken, NoSuchMove, add_raters, create_campaign, set_state
from annotation.services.completions import NoModel, NoPrompts, UnderWay, make_tasks, request_completions
from annotation.services.progress import campaign_progress, rater_counts
from annotation.services.prompts import BadPrompt, add_prompts
from audit.models import AuditEvent
from registry.services.datasets import freeze_dataset, read_rows
from registry.services.schemas import conversation_sha256, split_of
from rlhf.publishing import judge_pairs
from runs.publishing import HOOKS
from tests.annotation.arrange import a_campaign, a_file, a_person, answers
from tests.runs.conftest import a_model

pytestmark = pytest.mark.django_db


@pytest.fixture
def grace(db):
    return a_person("grace", role=Role.ADMIN)


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"k": 1}, "k"), ({"k": 10}, "k"), ({"overlap": 0}, "overlap"), ({"overlap": 26}, "overlap"),
     ({"lease_minutes": 0}, "lease_minutes"), ({"name": "   "}, "name"), ({"name": "?!"}, "name"), ({"name": "Mine"}, "name")],
)  # fmt: skip
def test_a_campaign_out_of_bounds_is_refused_before_the_database_sees_it(grace, fields, field):
    with pytest.raises(BadCampaign) as told:
        create_campaign(**{"name": "Everyday", "k": 4, "overlap": 1, "guideline": "", "user": grace} | fields)
    assert told.value.data["field"] == field
    assert not Campaign.objects.exists()


def test_a_name_or_one_much_like_it_is_taken_once(grace):
    create_campaign("Every day", k=4, overlap=1, guideline="", user=grace)
    with pytest.raises(NameTaken):
        create_campaign("every-day", k=4, overlap=1, guideline="", user=grace)


def test_only_people_who_may_rank_become_raters(grace):
    campaign = create_campaign("Everyday", k=4, overlap=1, guideline="", user=grace)
    with pytest.raises(BadCampaign, match="grace may not rank"):
        add_raters(campaign, raters=[grace], user=grace)


def test_what_an_admin_does_is_written_down(grace, ada):
    campaign = create_campaign("Everyday", k=4, overlap=1, guideline="", user=grace, raters=[ada])
    add_prompts(campaign, rows=[{"prompt": "Why?"}], user=grace)
    set_state(campaign, to=CampaignState.OPEN, user=grace)
    done = set(AuditEvent.objects.filter(actor=grace, target_id=str(campaign.pk)).values_list("action", flat=True))
    assert done == {"campaign.created", "campaign.raters_added", "campaign.prompts_added", "campaign.state"}


def test_a_state_moves_only_along_the_table(grace):
    campaign = create_campaign("Everyday", k=4, overlap=1, guideline="", user=grace)
    with pytest.raises(NoSuchMove, match="draft can become closed, open"):
        set_state(campaign, to=CampaignState.PAUSED, user=grace)


def test_a_prompt_is_kept_once_and_its_split_follows_from_its_content(grace):
    campaign = create_campaign("Everyday", k=4, overlap=1, guideline="", user=grace)
    rows = [{"prompt": "Why?"}, {"messages": [{"role": "user", "content": "Why?"}]}, {"prompt": "How?"}]
    added = add_prompts(campaign, rows=rows, user=grace)
    assert (added.num_added, added.num_known) == (2, 1)
    for prompt in campaign.prompts.all():
        assert prompt.split == split_of(conversation_sha256(prompt.messages))
    assert add_prompts(campaign, rows=rows, user=grace).num_known == 3


def test_a_bad_prompt_among_rows_adds_none(grace):
    campaign = create_campaign("Everyday", k=4, overlap=1, guideline="", user=grace)
    with pytest.raises(BadPrompt, match="Prompt 2: A prompt ends with a user's turn"):
        rows = [{"prompt": "Why?"}, {"messages": [{"role": "assistant", "content": "So."}]}]
        add_prompts(campaign, rows=rows, user=grace)
    assert not campaign.prompts.exists()


def test_bad_lines_of_a_file_are_told_by_number_and_nothing_is_added(grace, tmp_path):
    campaign = create_campaign("Everyday", k=4, overlap=1, guideline="", user=grace)
    path = a_file(
        tmp_path / "prompts.jsonl", {"prompt": "Why?"}, "", "{half", {"prompt": " "}, {"prompt": "a\x00b"},
        {"prompt": "\ud800"}, {"text": "no prompt"},
    )  # fmt: skip
    with pytest.raises(BadLines) as told:
        bring(path, campaign=campaign, user=grace)
    assert [line["line"] for line in told.value.data["lines"]] == [3, 4, 5, 6, 7]
    assert not campaign.prompts.exists()


def test_a_text_file_has_one_prompt_a_line_whatever_its_first_bytes(grace, tmp_path):
    campaign = create_campaign("Everyday", k=4, overlap=1, guideline="", user=grace)
    (tmp_path / "prompts.txt").write_bytes("\ufeffWhy?\r\n\r\nHow?\n".encode())
    bring(tmp_path / "prompts.txt", campaign=campaign, user=grace)
    assert {prompt.messages[0]["content"] for prompt in campaign.prompts.all()} == {"Why?", "How?"}


def test_completions_become_tasks_of_k_and_the_rest_waits(grace):
    campaign = create_campaign("Everyday", k=3, overlap=2, guideline="", user=grace)
    add_prompts(campaign, rows=[{"prompt": "Why?"}], user=grace)
    prompt = campaign.prompts.get()
    answers(prompt, "one", "two", "three", "four")
    assert make_tasks(campaign) == 1
    assert make_tasks(campaign) == 0
    answers(prompt, "five", "six")
    assert make_tasks(campaign) == 1
    assert [task.completions.count() for task in RankingTask.objects.all()] == [3, 3]
    assert Slot.objects.count() == 4


def test_the_same_text_is_shown_once_and_never_comes_back(grace):
    campaign = create_campaign("Everyday", k=3, overlap=1, guideline="", user=grace)
    add_prompts(campaign, rows=[{"prompt": "Why?"}, {"prompt": "How?"}], user=grace)
    why, how = campaign.prompts.order_by("created_at", "pk")
    answers(why, "one", "one ", "two")
    answers(how, "same", "same", "same")
    assert make_tasks(campaign) == 1
    assert {completion.text for completion in RankingTask.objects.get().completions.all()} == {"one", "two"}
    answers(why, "three", "four", "five")
    make_tasks(campaign)
    shown = [c.text for task in RankingTask.objects.filter(prompt=why) for c in task.completions.all()]
    assert sorted(shown) == ["five", "four", "one", "three", "two"]


def test_a_request_sends_the_prompts_without_completions_of_this_model_once(grace):
    campaign = a_campaign(num_prompts=4, k=3)
    model = a_model("writer", role="sft")
    for prompt in list(campaign.prompts.all())[:2]:
        Completion.objects.create(prompt=prompt, text="known", model=model)
    run = request_completions(campaign, model=model, user=grace, recipe={"max_new_tokens": 8})
    assert (run.method, run.recipe["k"], run.recipe["max_new_tokens"]) == ("generate", 3, 8)
    assert run.context == {"campaign": str(campaign.pk)}
    dataset = run.inputs.get(name="prompts").artifact.dataset
    sent = {row["id"] for split in ("train", "test") for row in read_rows(dataset, split=split)}
    assert sent == {str(prompt.pk) for prompt in campaign.prompts.filter(completions__model=None)
                    if not prompt.completions.filter(model=model).exists()}  # fmt: skip
    with pytest.raises(UnderWay):
        request_completions(campaign, model=model, user=grace)


def test_a_request_without_prompts_or_of_a_reward_model_is_refused(grace):
    campaign = create_campaign("Everyday", k=3, overlap=1, guideline="", user=grace)
    with pytest.raises(NoPrompts):
        request_completions(campaign, model=a_model("writer", role="sft"), user=grace)
    with pytest.raises(NoModel, match="reward model"):
        request_completions(campaign, model=a_model("judge", role="reward"), user=grace)


def test_what_a_run_of_the_campaign_wrote_becomes_tasks_once(grace):
    campaign = create_campaign("Everyday", k=2, overlap=1, guideline="", user=grace)
    add_prompts(campaign, rows=[{"prompt": "Why?"}], user=grace)
    prompt, model = campaign.prompts.get(), a_model("writer", role="sft")
    run = request_completions(campaign, model=model, user=grace)
    rows = [
        {"id": f"00000000-0000-4000-8000-00000000000{i}", "prompt_id": str(prompt.pk), "index": i, "text": f"Because {i}.",
         "seed": i, "temperature": 1.0, "top_p": 1.0, "num_tokens": 3, "ended": True, "logprob": -1.0}
        for i in range(2)
    ]  # fmt: skip
    dataset = freeze_dataset("made", kind="completions", splits={"train": rows}, user=grace)
    assert HOOKS["generate"] == [take_in, judge_pairs], "tasks first, and then what is made of them"
    assert HOOKS["ask"] == [take_in]
    for _ in range(2):
        take_in(run, dataset.artifact, {})
    assert RankingTask.objects.count() == 1
    assert [(c.text, c.model, c.dataset, c.sampling["seed"]) for c in prompt.completions.order_by("pk")] == [
        ("Because 0.", model, dataset, 0),
        ("Because 1.", model, dataset, 1),
    ]


def test_progress_counts_what_there_is(campaign, ada):
    told = campaign_progress(campaign)
    assert (told.prompts, told.completions, told.tasks, told.slots, told.slots_free) == (3, 9, 3, 6, 6)
    assert [count.username for count in rater_counts(campaign)] == ["ada", "bea"]


def test_a_large_campaign_is_counted_once_a_minute_and_a_small_one_each_time(campaign, ada, monkeypatch):
    assert campaign_progress(campaign).counted_at is None
    monkeypatch.setattr(progress, "LARGE", 6)
    assert (campaign_progress(campaign).slots_free, CampaignTally.objects.count()) == (6, 1)
    lease_next(campaign, rater=ada)
    kept = campaign_progress(campaign)
    assert (kept.slots_free, kept.counted_at is not None) == (6, True)
    CampaignTally.objects.update(counted_at=timezone.now() - timedelta(seconds=61))
    anew = campaign_progress(campaign)
    assert (anew.slots_free, anew.counted_at) == (5, None)
    assert CampaignTally.objects.get().counts["slots_free"] == 5
