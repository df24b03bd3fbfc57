"""The pages and the API of constitutions, as an admin, a researcher, a rater and a program meet them."""

from __future__ import annotations

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from accounts.models import Role
from rlhf.models import Constitution
from rlhf.services.constitutions.documents import LARGEST
from rlhf.services.constitutions.drafts import begin_draft, save_draft
from rlhf.services.constitutions.wording import wordings_in
from tests.accounts.people import client_of, person
from tests.rlhf.principles import EXAMPLE, a_draft, document, file_of, published, wording

pytestmark = pytest.mark.django_db
HERE = ("manners",)


@pytest.fixture
def admin(grace) -> Client:
    return client_of(grace)


@pytest.fixture
def rex() -> Client:
    return client_of(person(Role.RESEARCHER))


def page(client: Client, name: str, *args: object, query: str = "") -> str:
    answer = client.get(reverse(name, args=args) + query)
    assert answer.status_code == 200, answer.content[:2000]
    return answer.content.decode()


def form_of(draft, *cards: dict[str, str], **other: str) -> dict[str, str]:
    """What the browser sends: each card with all of its fields."""
    told = {"version": str(draft.pk), "edits": str(draft.edits), "cards": str(len(cards)), "deed": "save", "note": "n"}
    empty = {"weight": "1", "tags": "", "examples": "0"}
    for number, card in enumerate(cards, start=1):
        told |= {f"p-{number}-{name}": value for name, value in {**empty, **card}.items()}
    return {**told, "purpose": "For a waiter.", **other}


def card(name: str = "calm", **other: str) -> dict[str, str]:
    return {"id": name, "critique": "Why not?", "revision": "Mend it.", "comparison": "Which?", **other}


def post(client: Client, name: str, form: dict[str, str], **headers: str):
    return client.post(reverse(name, args=HERE), form, headers=headers)


def test_an_admin_makes_a_constitution_writes_it_and_publishes_it(admin):
    made = admin.post(reverse("constitution_new"), {"name": "Manners", "purpose": "For a waiter."})
    assert made.headers["Location"] == reverse("constitution_edit", args=HERE)
    shown = page(admin, "constitution_edit", *HERE)
    assert 'name="p-1-id"' in shown and "All of it is saved." in shown
    draft = Constitution.objects.get().versions.get()
    assert post(admin, "constitution_edit", form_of(draft, card("calm"), card("kind", weight="0,5"))).status_code == 302
    draft.refresh_from_db()
    assert [(one.id, one.weight) for one in wordings_in(draft)] == [("calm", 1.0), ("kind", 0.5)]
    assert "drawn 67 % of the time" in page(admin, "constitution", *HERE)
    form = {"version": str(draft.pk), "edits": str(draft.edits), "dataset": "manners-v1"}
    assert post(admin, "constitution_publish", form).status_code == 302
    shown = page(admin, "constitution", *HERE)
    assert "Published by grace" in shown and "manners-v1" in shown and "Begin a new version" in shown


def test_cards_are_moved_added_and_removed_without_being_saved(admin, grace):
    draft = a_draft(grace)
    cards = (card("calm"), card("kind", critique="Typed <b>just</b> now"))
    moved = post(admin, "constitution_edit", form_of(draft, *cards, deed="up:2")).content.decode()
    assert moved.index('value="kind"') < moved.index('value="calm"') and "Not saved yet." in moved
    assert "Typed &lt;b&gt;just&lt;/b&gt; now" in moved
    part = post(admin, "constitution_edit", form_of(draft, *cards, deed="add"), HX_Request="true").content.decode()
    assert 'name="p-3-id"' in part and "<html" not in part
    fewer = post(admin, "constitution_edit", form_of(draft, *cards, deed="remove:1")).content.decode()
    assert 'value="calm"' not in fewer and 'name="p-2-id"' not in fewer
    more = post(admin, "constitution_edit", form_of(draft, *cards, deed="example:1")).content.decode()
    assert 'name="p-1-example-1-response"' in more
    for junk in ("up:1", "down:2", "up:0", "up:99", "remove:x", "example:", "nonsense"):
        answer = post(admin, "constitution_edit", form_of(draft, *cards, deed=junk))
        assert answer.status_code == 200 and 'name="p-2-id"' in answer.content.decode(), junk
    draft.refresh_from_db()
    assert wordings_in(draft) == (wording("calm"), wording("kind"))


def test_examples_are_written_and_left_out_where_they_are_empty(admin, grace):
    draft = a_draft(grace)
    texts = {"prompt": "Why?", "response": "Shut up.", "critique": "That is rude.", "revision": "Because it rains."}
    filled = {f"example-1-{name}": text for name, text in texts.items()}
    empty = {f"example-2-{name}": " " for name in texts}
    post(admin, "constitution_edit", form_of(draft, card("calm", examples="2", **filled, **empty)))
    draft.refresh_from_db()
    assert wordings_in(draft)[0].examples == (EXAMPLE,)
    shown = page(admin, "constitution_edit", *HERE)
    assert "Because it rains." in shown and 'name="p-1-example-2-prompt"' not in shown


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"id": "Not This"}, "Its id has small letters"),
        ({"weight": "heavy"}, "Its weight is a number above 0"),
        ({"weight": "inf"}, "Its weight is a number above 0"),
        ({"tags": "one word too, many words"}, "Its tags are at most 8 words"),
        ({"critique": ""}, "Its critique has 1 to 2,000 characters"),
        ({"id": "kind"}, "Another principle is called kind."),
    ],
)
def test_a_principle_that_is_wrong_is_told_and_what_was_typed_stays(admin, grace, wrong, told):
    draft = a_draft(grace)
    cards = (card("kind", revision="Typed and not to be lost."), {**card("brief"), **wrong})
    answer = post(admin, "constitution_edit", form_of(draft, *cards))
    shown = answer.content.decode()
    assert answer.status_code == 400 and f"Principle 2: {told}" in shown
    assert "Typed and not to be lost." in shown and shown.count('aria-invalid="true"') == 1
    draft.refresh_from_db()
    assert wordings_in(draft) == (wording("calm"), wording("kind"))


def test_who_opened_the_draft_before_another_saved_it_is_told_and_keeps_what_she_typed(admin, grace):
    draft = a_draft(grace)
    form = form_of(draft, card("mine", critique="Typed and not to be lost."))
    save_draft(draft, wordings=[wording("hers")], seen=draft.edits, user=person(Role.ADMIN, name="bea"))
    for _ in range(2):  # a second click saves it no more than the first
        answer = post(admin, "constitution_edit", form)
        shown = answer.content.decode()
        assert answer.status_code == 409 and "bea saved this draft after you opened it" in shown
        assert "Typed and not to be lost." in shown and f'name="edits" value="{form["edits"]}"' in shown
    publish = {"version": form["version"], "edits": form["edits"], "dataset": "manners-v1"}
    assert post(admin, "constitution_publish", publish).status_code == 409
    draft.refresh_from_db()
    assert wordings_in(draft) == (wording("hers"),) and draft.is_draft


def test_a_form_of_a_version_that_is_published_by_now_overwrites_no_later_draft(admin, grace):
    first = published(grace)
    draft = begin_draft(first.constitution, user=grace)
    stale = {**form_of(first, card("stale")), "edits": str(draft.edits)}
    answer = post(admin, "constitution_edit", stale)
    assert answer.status_code == 409 and "Version 1 is published and stays as it is" in answer.content.decode()
    assert wordings_in(draft) == (wording("calm"), wording("kind"))
    for junk in ("", "x", "00000000-0000-0000-0000-000000000000"):
        assert post(admin, "constitution_edit", {**stale, "version": junk}).status_code in (404, 409)
    assert post(admin, "constitution_edit", {**form_of(draft, card("x")), "edits": "junk"}).status_code == 409


def test_a_form_that_did_not_arrive_whole_takes_no_principle_away(admin, grace):
    draft = a_draft(grace)
    whole = form_of(draft, card("calm"), card("kind"))
    for missing in ("cards", "p-2-id"):
        torn = {name: value for name, value in whole.items() if name != missing}
        answer = post(admin, "constitution_edit", torn)
        assert answer.status_code == 400 and "did not arrive whole" in answer.content.decode()
    draft.refresh_from_db()
    assert wordings_in(draft) == (wording("calm"), wording("kind"))


def test_what_is_published_has_no_form_and_a_new_version_does(admin, grace):
    published(grace)
    answer = admin.get(reverse("constitution_edit", args=HERE))
    assert answer.status_code == 409 and "has no draft" in answer.content.decode()
    assert post(admin, "constitution_begin", {}).status_code == 302
    assert "Draft of version 2" in page(admin, "constitution_edit", *HERE)
    draft = Constitution.objects.get().versions.get(number=2)
    form = {"version": str(draft.pk), "edits": str(draft.edits)}
    assert post(admin, "constitution_drop", form).status_code == 302
    assert not Constitution.objects.get().versions.filter(number=2).exists()


def test_versions_stand_side_by_side_with_their_differences(rex, grace):
    draft = begin_draft(published(grace).constitution, user=grace)
    words = [wording("kind", critique="Where is it unkind?"), wording("brief")]
    save_draft(draft, wordings=words, seen=draft.edits, user=grace)
    shown = page(rex, "constitution_compare", *HERE)
    assert "From version 1 to 2" in shown
    assert "Principles added: 1, removed: 1, changed: 1, moved alone: 0, the same: 0." in shown
    assert "<ins>unkind</ins>" in shown and "<del>not kind</del>" in shown
    assert "are the same" in page(rex, "constitution_compare", *HERE, query="?from=1&to=1")
    assert "From version 2 to 1" in page(rex, "constitution_compare", *HERE, query="?from=2&to=1")
    assert "From version 1 to 2" in page(rex, "constitution_compare", *HERE, query="?from=x&to=99")


def test_a_file_comes_in_by_the_page_and_a_bad_or_large_one_does_not(admin):
    def bring(content: bytes):
        return admin.post(reverse("constitution_import"), {"file": SimpleUploadedFile("c.json", content)})

    refused = bring(b"{}")
    assert refused.status_code == 400 and "This is no constitution" in refused.content.decode()
    assert bring(b" " * (LARGEST + 1)).status_code == 413
    assert bring(b"").status_code == 400 and not Constitution.objects.exists()
    taken = bring(file_of(document()))
    assert taken.headers["Location"] == reverse("constitution_version", args=("manners", 1))
    assert "calm" in page(admin, "constitution", *HERE)


def test_a_researcher_reads_and_takes_away_and_writes_nothing(rex, grace):
    made = published(grace)
    for name, args in (("constitutions", ()), ("constitution", HERE), ("constitution_version", ("manners", 1))):
        shown = page(rex, name, *args)
        assert "Manners" in shown and not any(word in shown for word in ("New constitution", "Begin a new", ">Edit"))
    answer = rex.get(reverse("constitution_export", args=("manners", 1)))
    assert answer.headers["Content-Disposition"] == 'attachment; filename="manners-v1.json"'
    assert [one["id"] for one in json.loads(answer.content)["principles"]] == ["calm", "kind"]
    assert "Where is it not calm?" in page(rex, "dataset", made.dataset.pk)
    for name in ("constitution_edit", "constitution_begin", "constitution_publish", "constitution_drop"):
        assert post(rex, name, {}).status_code == 403
    for name in ("constitution_new", "constitution_import"):
        assert rex.get(reverse(name)).status_code == 403


def test_a_rater_finds_nothing_of_it(grace):
    published(grace)
    ada = client_of(person(Role.RATER))
    for name, args in (
        ("constitutions", ()), ("constitution", HERE), ("constitution_export", ("manners", 1)),
        ("constitution_compare", HERE), ("api_constitutions", ()), ("api_constitution", HERE),
        ("api_constitution_version", ("manners", 1)),
    ):  # fmt: skip
        assert ada.get(reverse(name, args=args)).status_code == 403, name
    assert "Constitutions" not in ada.get(reverse("home")).content.decode()


def test_what_is_not_there_is_told(rex, grace):
    published(grace)
    for name, args in (
        ("constitution", ("other",)), ("constitution_version", ("manners", 2)), ("constitution_compare", ("other",)),
        ("constitution_export", ("manners", 9)), ("api_constitution", ("other",)),
        ("api_constitution_version", ("manners", 9)),
    ):  # fmt: skip
        assert rex.get(reverse(name, args=args)).status_code == 404, name


def test_what_principles_say_is_shown_and_never_run(rex, grace):
    hostile = wording("calm", critique="<script>alert(1)</script>", examples=(EXAMPLE,))
    draft = a_draft(grace)
    save_draft(draft, wordings=[hostile], seen=draft.edits, user=grace, note="<img src=x onerror=alert(1)>\nmore")
    shown = page(rex, "constitution", *HERE)
    assert "<script>alert(1)" not in shown and "<img src=x" not in shown and "&lt;script&gt;alert(1)" in shown


def test_lists_cost_the_same_however_many_there_are(rex, grace, django_assert_max_num_queries):
    def cost(address: str) -> int:
        with django_assert_max_num_queries(40) as seen:
            assert rex.get(address).status_code == 200
        return len(seen)

    published(grace, name="First")
    addresses = [reverse("constitutions"), reverse("api_constitutions"), reverse("constitution", args=("first",))]
    before = [cost(address) for address in addresses]
    for number in range(3):
        begin_draft(published(grace, "calm", "kind", "brief", name=f"Other {number}").constitution, user=grace)
    begin_draft(Constitution.objects.get(slug="first"), user=grace)
    addresses[2] = reverse("constitution_version", args=("first", 1))
    assert [cost(address) for address in addresses] == before


def send(client: Client, name: str, body: object, *args: object):
    return client.post(reverse(name, args=args), body, content_type="application/json")


def test_a_program_brings_reads_and_publishes_a_constitution(admin):
    brought = send(admin, "api_constitutions", document())
    assert brought.status_code == 201, brought.json()
    [version] = brought.json()["versions"]
    assert (version["state"], version["num_principles"], version["dataset"]) == ("draft", 2, None)
    refused = send(admin, "api_constitution_publish", {"edits": version["edits"] + 1}, "manners")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "edited_meanwhile")
    done = send(admin, "api_constitution_publish", {"edits": version["edits"]}, "manners").json()
    assert (done["versions"][0]["dataset"], done["versions"][0]["published_by"]) == ("manners-v1", "grace")
    told = admin.get(reverse("api_constitution_version", args=("manners", 1))).json()
    assert told == document()
    again = send(admin, "api_constitutions", told)
    assert again.status_code == 200 and len(again.json()["versions"]) == 1
    assert [one["slug"] for one in admin.get(reverse("api_constitutions")).json()["results"]] == ["manners"]


@pytest.mark.parametrize(
    ("body", "code"),
    [([], "bad_format"), ({"name": "x"}, "bad_format"), (document(principles=[{}]), "bad_principle")],
)
def test_a_program_is_told_what_is_wrong_with_its_document(admin, body, code):
    answer = send(admin, "api_constitutions", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    assert not Constitution.objects.exists()


def test_a_program_of_a_researchers_reads_alone(rex, grace):
    draft = a_draft(grace)
    assert send(rex, "api_constitutions", document()).status_code == 403
    assert send(rex, "api_constitution_publish", {"edits": draft.edits}, "manners").status_code == 403
    assert rex.get(reverse("api_constitution", args=HERE)).json()["versions"][0]["edits"] == draft.edits


@pytest.mark.parametrize(
    "body", ["[" * 200_000, '{"a":' * 100_000, "NaN", '{"format": 1e999}', "\x00", '"half \\ud800"']
)
def test_a_hostile_body_is_no_crash(admin, body):
    answer = admin.post(reverse("api_constitutions"), body, content_type="application/json")
    assert answer.status_code == 400 and answer.json()["error"]["code"]
    assert not Constitution.objects.exists()
