"""Trying a principle: by whom, in which words, with which model; what its page and the API show as parts of it come."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Role
from registry.models import Alias, DatasetVersion, ModelVersion
from rlhf.services.constitutions.drafts import save_draft
from rlhf.services.constitutions.trying import MOST_UNDER_WAY, Asked, try_principle
from rlhf.services.constitutions.wording import wordings_in
from runs.models import EventKind, Priority, Run, RunState
from tests.accounts.people import client_of, person
from tests.rlhf.principles import EXAMPLE, a_draft, published, wording
from tests.rlhf.test_constitution_pages import card, form_of
from tests.runs.conftest import a_model
from tests.runs.test_pages import say, under_way

pytestmark = pytest.mark.django_db
HERE = ("manners", 1, "calm")
HOSTILE = "<script>alert(1)</script>"
ANSWER = {
    "part": "answer",
    "prompt": "Why?",
    "text": f"Hit {HOSTILE} him.",
    "ended": True,
    "harmfulness": 0.5,
    "step": 0,
}
CRITIQUE = {"part": "critique", "prompt": "Why?", "text": "It hits.", "ended": False, "is_too_long": False, "step": 1}
REVISION = {
    "part": "revision", "prompt": "Why?", "text": f"Greet {HOSTILE} him.", "kept": True, "why": "", "ended": True,
    "harmfulness": 0.0, "step": 2,
}  # fmt: skip
JUDGED = {
    "part": "comparison",
    "text": "x",
    "ab": 0.9,
    "ba": 0.4,
    "p": 0.71,
    "flipped": True,
    "abstained": False,
    "step": 3,
}


@pytest.fixture
def admin(grace) -> Client:
    return client_of(grace)


@pytest.fixture
def model(grace) -> ModelVersion:
    return a_model("writer", role="sft")


@pytest.fixture
def version(grace):
    return published(grace)


def start(version, model, user, **other: object) -> Run:
    given = {"beside": wordings_in(version), "prompt": "Why?", "asked": Asked(model.artifact), **other}
    return try_principle(version, wordings_in(version)[0], user=user, **given)


def sample(**payload: object) -> tuple[str, dict[str, object]]:
    return EventKind.SAMPLE, payload


def shown(client: Client, run: Run, **headers: str) -> str:
    answer = client.get(reverse("principle_trial", args=[*HERE, run.pk]), headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_principle_of_a_version_is_tried_by_the_model_that_is_current(admin, model, version):
    a_model("newer", role="policy")
    Alias.objects.create(name="sft/current", model=model)
    num = DatasetVersion.objects.count()
    answer = admin.post(reverse("principle_try", args=HERE), {"prompt": " Why?\r\nReally? "})
    run = Run.objects.get()
    assert answer.headers["Location"] == reverse("principle_trial", args=[*HERE, run.pk]) + "#trial"
    assert run.inputs.get().artifact == model.artifact and run.priority == Priority.PEOPLE_WAIT
    assert run.recipe["prompt"] == "Why?\nReally?" and run.recipe["critique"] == "Where is it not calm?"
    assert DatasetVersion.objects.count() == num
    assert "selected>writer" in admin.get(reverse("principle_try", args=HERE)).content.decode()


def test_a_trial_takes_over_what_the_last_one_was_made_with(admin, model, version):
    other = a_model("other", role="base")
    chosen = {
        "prompt": "Why?",
        "model": str(other.pk),
        "critic": "rules",
        "max_new_tokens": "40",
        "temperature": "0.2",
        "seed": "7",
    }
    assert admin.post(reverse("principle_try", args=HERE), chosen).status_code == 302
    assert admin.post(reverse("principle_try", args=HERE), {"prompt": "And why not?"}).status_code == 302
    last = Run.objects.order_by("-created_at").first()
    assert last.inputs.get().artifact == other.artifact
    assert [last.recipe[name] for name in ("critic", "max_new_tokens", "seed")] == ["rules", 40, 7]
    assert last.recipe["temperature"] == last.recipe["critic_temperature"] == 0.2


def test_another_model_or_an_endpoint_critiques_and_is_remembered(admin, model, version):
    other, here = a_model("other", role="policy"), reverse("principle_try", args=HERE)
    lacking = admin.post(here, {"prompt": "Why?", "critic": "feedback"})
    assert lacking.status_code == 400 and "Choose the model that criticises and judges." in lacking.content.decode()
    admin.post(here, {"prompt": "Why?", "model": str(model.pk), "critic": "feedback", "feedback": str(other.pk)})
    run = Run.objects.get()
    assert run.recipe["critic"] == "model"
    assert {one.name: one.artifact for one in run.inputs.all()} == {"model": model.artifact, "feedback": other.artifact}
    page = shown(admin, run)
    assert 'value="feedback" selected' in page and f">{other.name}</a>" in page
    admin.post(here, {"prompt": "And why not?"})
    assert Run.objects.count() == 2 and set(Run.objects.values_list("inputs__artifact", flat=True)) == {
        model.artifact_id,
        other.artifact_id,
    }
    told = {"url": "http://127.0.0.1:9/v1", "served": "big", "key_variable": "STEADYHAND_KEY_BIG"}
    assert "An endpoint needs an address" in admin.post(here, {"prompt": "x", "critic": "endpoint"}).content.decode()
    admin.post(here, {"prompt": "Why?", "critic": "endpoint", **told})
    admin.post(here, {"prompt": "And now?"})
    for run in Run.objects.order_by("-created_at")[:2]:
        assert run.inputs.count() == 1 and run.recipe["critic"] == "endpoint"
        assert (
            run.recipe["endpoint"]["model"] == "big" and run.recipe["endpoint"]["key_variable"] == "STEADYHAND_KEY_BIG"
        )
    assert "<bdi>big</bdi>" in shown(admin, run)


def test_a_card_of_a_draft_is_tried_in_the_words_that_stand_in_the_form(admin, grace, model):
    draft = a_draft(grace)
    cards = (card("calm"), card("loud", critique=f"Typed {HOSTILE}", **{"try": "Why?"}))
    form = form_of(draft, *cards, **{"try": "2"})
    part = admin.post(reverse("draft_try", args=["manners"]), form, headers={"HX-Request": "true"}).content.decode()
    run = Run.objects.get()
    assert run.recipe["principle"] == "loud" and run.recipe["critique"] == f"Typed {HOSTILE}"
    assert f"run:{run.pk}" in part and "<html" not in part
    draft.refresh_from_db()
    assert wordings_in(draft) == (wording("calm"), wording("kind"))  # nothing was saved
    here = reverse("principle_trial", args=["manners", 1, "loud", run.pk])
    assert admin.post(reverse("draft_try", args=["manners"]), form).headers["Location"].startswith(here[:50])
    page = admin.get(here).content.decode()
    assert "which are not saved" in page and "Typed &lt;script&gt;" in page and HOSTILE not in page
    bad = form_of(draft, card("calm", critique="", **{"try": "Why?"}), **{"try": "1"})
    refused = admin.post(reverse("draft_try", args=["manners"]), bad, headers={"HX-Request": "true"})
    assert refused.status_code == 400 and "Its critique has 1 to 2,000 characters." in refused.content.decode()


def test_each_part_is_shown_as_soon_as_it_is_there_and_stays_after_a_reload(admin, model, version, grace):
    run = start(version, model, grace)
    assert "0 before it in the queue" in shown(admin, run)
    under_way(run)
    say(run, sample(**ANSWER))
    for headers in ({}, {"HX-Request": "true"}):
        page = shown(admin, run, **headers)
        assert "Hit &lt;script&gt;" in page and "The critique is written" in page and HOSTILE not in page
    assert "<html" not in page and f"run:{run.pk}" in shown(admin, run)
    say(run, sample(**CRITIQUE), sample(**REVISION), sample(**JUDGED))
    Run.objects.filter(pk=run.pk).update(state=RunState.SUCCEEDED)
    page = shown(admin, run)
    assert "<del>Hit </del><ins>Greet </ins>" in page and "Cut before it had ended." in page
    assert "The revision, with 71 %." in page and "the orders contradict each other" in page
    assert "data-hint-topic" not in page  # nothing more will come
    assert "harmfulness" in page and reverse("principle_trial", args=[*HERE, run.pk]) in page


def test_a_revision_that_was_not_kept_says_why_and_a_failure_what_to_do(admin, model, version, grace):
    run = start(version, model, grace)
    say(run, sample(**ANSWER), sample(**CRITIQUE), sample(**{**REVISION, "kept": False, "why": "echo"}))
    Run.objects.filter(pk=run.pk).update(
        state=RunState.FAILED, failure_code="out_of_memory", failure="Memory ran out.", advice="Take a smaller model."
    )
    page = shown(admin, run)
    assert "It repeats the request. The answer stays as it is." in page and "<ins>" not in page
    assert "Memory ran out." in page and "Take a smaller model." in page


def test_words_that_changed_since_a_trial_are_told(admin, model, grace):
    draft = a_draft(grace)
    run = start(draft, model, grace)
    save_draft(
        draft, wordings=[wording("calm", critique="Other?"), wording("kind")], seen=draft.edits, user=grace, note=""
    )
    page = shown(admin, run)
    assert "in other words than it has now" in page and "Where is it not calm?" in page and "Other?" in page


def test_examples_come_as_in_a_constitutional_run(grace, model):
    draft = a_draft(grace)
    told = [wording("calm", examples=(EXAMPLE,)), wording("kind", examples=(EXAMPLE, EXAMPLE))]
    draft = save_draft(draft, wordings=told, seen=draft.edits, user=grace, note="")
    examples = start(draft, model, grace).recipe["examples"]
    assert [one["critique_request"] for one in examples] == ["", "Where is it not kind?"]


@pytest.mark.parametrize(
    ("changes", "code", "status"),
    [
        ({"prompt": "  "}, "invalid", 400),
        ({"prompt": "x" * 8001}, "invalid", 400),
        ({"prompt": "half \ud800"}, "invalid", 400),
        ({"prompt": "a\x00b"}, "invalid", 400),
        ({"model": "nobody"}, "no_input", 404),
        ({"model": "scores"}, "bad_input", 400),
        ({"critic": "somebody"}, "invalid", 400),
        ({"critic": "endpoint"}, "bad_input", 400),
        ({"critic": "endpoint", "endpoint": {"url": "file:///etc/passwd", "model": "x"}}, "bad_recipe", 400),
        ({"critic": "endpoint", "endpoint": {"model": "x", "key_variable": "DATABASE_URL"}}, "bad_recipe", 400),
        ({"feedback": "scores"}, "bad_input", 400),
        ({"seed": -1}, "invalid", 400),
        ({"max_new_tokens": 10**9}, "invalid", 400),
        ({"temperature": 0}, "invalid", 400),
        ({"critique": "mine"}, "invalid", 400),
    ],
)
def test_bad_input_is_refused_with_a_code_and_a_sentence(admin, model, version, changes, code, status):
    a_model("scores", role="reward")
    answer = admin.post(reverse("api_principle_trials", args=HERE), {"prompt": "Why?", **changes}, "application/json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code) and answer.json()["error"]["message"]
    assert not Run.objects.exists()


def test_without_a_model_or_with_too_many_under_way_one_is_told(admin, version, grace):
    answer = admin.post(reverse("api_principle_trials", args=HERE), {"prompt": "Why?"}, "application/json")
    assert answer.json()["error"]["code"] == "no_model"
    model = a_model("writer", role="sft")
    for _ in range(MOST_UNDER_WAY):
        start(version, model, grace)
    page = admin.post(reverse("principle_try", args=HERE), {"prompt": "Why?"})
    assert page.status_code == 409 and "4 trials of yours are under way." in page.content.decode()


def test_researchers_read_trials_and_admins_alone_start_them(model, version, grace):
    run, rex = start(version, model, grace), client_of(person(Role.RESEARCHER))
    assert "Try it" not in shown(rex, run) and "Try it" not in rex.get("/constitutions/manners/").content.decode()
    for name in ("principle_try", "api_principle_trials"):
        assert rex.post(reverse(name, args=HERE), {"prompt": "Why?"}).status_code == 403
    assert client_of(person(Role.RATER)).get(reverse("principle_trial", args=[*HERE, run.pk])).status_code == 403
    other = reverse("principle_trial", args=["manners", 1, "kind", run.pk])
    assert rex.get(other).status_code == 404  # it was no trial of that one


def test_trials_of_the_visitor_are_listed_at_a_fixed_cost(admin, model, version, grace, django_assert_num_queries):
    address = reverse("principle_try", args=HERE)
    admin.get(address)
    with django_assert_num_queries(40, exact=False) as before:
        admin.get(address)
    for number in range(3):
        start(version, model, grace, prompt=f"Why {number}?")
    start(version, model, person(Role.ADMIN, name="gus"), prompt="Of another")
    with django_assert_num_queries(40, exact=False) as after:
        page = admin.get(address).content.decode()
    assert "Why 0?" in page and "Of another" not in page and len(after) <= len(before) + 2


def test_the_api_tells_a_trial_part_by_part(admin, model, version):
    made = admin.post(
        reverse("api_principle_trials", args=HERE), {"prompt": "Why?", "model": "writer"}, "application/json"
    )
    told = made.json()
    assert made.status_code == 201 and told["state"] == "queued" and told["answer"] is told["comparison"] is None
    run = Run.objects.get(pk=told["id"])
    say(run, sample(**ANSWER), sample(**CRITIQUE), sample(**REVISION), sample(**JUDGED))
    found = admin.get(reverse("api_principle_trial", args=[*HERE, told["id"]])).json()
    assert found["answer"] == {"text": ANSWER["text"], "has_ended": True, "harmfulness": 0.5}
    assert found["critique"] == {"text": "It hits.", "has_ended": False} and found["revision"]["is_kept"]
    assert (found["comparison"]["first"], found["comparison"]["both"], found["model"]) == (0.9, 0.71, "writer")
    assert [one["id"] for one in admin.get(reverse("api_principle_trials", args=HERE)).json()] == [told["id"]]
    by_another = {"prompt": "Why?", "feedback": a_model("other", role="policy").name}
    critic = admin.post(reverse("api_principle_trials", args=HERE), by_another, "application/json").json()
    assert (critic["model"], critic["feedback"]) == ("writer", "other")
    alone = admin.post(reverse("api_principle_trials", args=HERE), {**by_another, "feedback": None}, "application/json")
    assert (alone.json()["model"], alone.json()["feedback"]) == ("writer", None)
    page = admin.get(reverse("run", args=[run.pk])).content.decode()
    assert "It hits." in page and HOSTILE not in page
