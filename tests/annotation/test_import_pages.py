"""Imports by page and API: looked at first, then done once, or let go; and nobody but an admin brings anything."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from accounts.models import Role
from annotation.models import Campaign, Import, ImportState, Prompt
from annotation.services.imports import sweep_imports
from audit.models import AuditEvent
from tests.accounts.people import client_of
from tests.annotation.arrange import a_person

pytestmark = pytest.mark.django_db


@pytest.fixture
def empty(db) -> Campaign:
    return Campaign.objects.create(name="Empty", slug="empty", k=3)


@pytest.fixture
def browser(db):
    return client_of(a_person("grace", role=Role.ADMIN))


def upload(*rows: object, name: str = "prompts.jsonl") -> SimpleUploadedFile:
    text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)
    return SimpleUploadedFile(name, text.encode())


def checked(browser, campaign: Campaign, *rows: object, **fields: object) -> str:
    """The address of the dry run."""
    answer = browser.post(reverse("campaign_imports", args=[campaign.slug]), {"file": upload(*rows, **fields)})
    assert answer.status_code == 302, answer.content.decode()
    return answer.headers["Location"]


def kept_files() -> list[Path]:
    folder = Path(settings.UPLOADS_DIR) / "imports"
    return sorted(folder.rglob("file*")) if folder.exists() else []


def test_nothing_is_kept_before_the_word_and_all_of_it_after(browser, empty):
    address = checked(browser, empty, {"prompt": "One?"}, {"messages": [{"role": "user", "content": "Two?"}]})
    page = browser.get(address).content.decode()
    assert "A dry run: nothing of this is kept yet." in page
    assert not Prompt.objects.exists()
    answer = browser.post(address)
    assert answer.headers["Location"] == reverse("campaign", args=["empty"])
    assert "prompts.jsonl is imported: 2 prompts." in browser.get(answer.headers["Location"]).content.decode()
    assert empty.prompts.count() == 2
    assert kept_files() == []
    assert AuditEvent.objects.get(action="campaign.imported").data["prompts"] == 2
    again = browser.post(address)
    assert (again.status_code, "was imported or let go before" in again.content.decode()) == (409, True)


def test_the_same_file_once_more_is_said_to_change_nothing(browser, empty):
    browser.post(checked(browser, empty, {"prompt": "One?"}))
    page = browser.get(checked(browser, empty, {"prompt": "One?"})).content.decode()
    assert "All of it is here already" in page
    assert ">Import</button>" not in page


def test_bad_lines_are_told_and_refuse_the_whole_unless_they_are_left_out(browser, empty):
    address = checked(
        browser, empty, {"prompt": "Good?"}, "{not json", {"prompt": ""}, {"prompt": "Better?", "topic": "x"}
    )
    page = browser.get(address).content.decode()
    assert "This is not JSON." in page
    assert "not_json" in page
    assert "Leave the 2 bad lines out" in page
    assert "Not read: topic." in page
    refused = browser.post(address)
    assert refused.status_code == 400
    assert "Line 2: This is not JSON. 1 more line is bad. Nothing was imported." in refused.content.decode()
    assert not empty.prompts.exists()
    assert browser.post(address, {"leave_bad_out": "on"}).status_code == 302
    assert empty.prompts.count() == 2


def test_a_file_that_is_let_go_leaves_nothing(browser, empty):
    address = checked(browser, empty, {"prompt": "One?"})
    browser.post(f"{address}drop/")
    assert kept_files() == []
    assert Import.objects.get().state == ImportState.DROPPED
    assert browser.post(address).status_code == 409
    assert not Prompt.objects.exists()


def test_a_file_without_a_word_is_let_go_after_a_day(browser, empty):
    checked(browser, empty, {"prompt": "One?"})
    assert sweep_imports() == 0
    Import.objects.update(created_at=timezone.now() - timedelta(days=1, minutes=1))
    assert sweep_imports() == 1
    assert kept_files() == []
    assert Import.objects.get().state == ImportState.DROPPED


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (None, "This field is required."),
        (upload(name="x.jsonl"), "empty"),
        (SimpleUploadedFile("x.dat", b"what is this"), "This is no file that is read here"),
        (SimpleUploadedFile("x.jsonl", b'{"score": 1}'), "No known format has rows of score."),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_told_beside_its_field(browser, empty, file, sentence):
    answer = browser.post(reverse("campaign_imports", args=["empty"]), {"file": file} if file else {})
    assert answer.status_code == 400
    assert sentence in answer.content.decode().split('id="id_file_error"')[1].split("</ul>")[0]
    assert not Import.objects.exists()
    assert kept_files() == []


@pytest.mark.parametrize("name", ["../../etc/passwd.jsonl", "x" * 300 + ".jsonl", "a\nb.jsonl", ".jsonl", "<b>.jsonl"])
def test_a_files_own_name_leads_nowhere(browser, empty, name):
    address = checked(browser, empty, {"prompt": "One?"}, name=name)
    [kept] = kept_files()
    assert kept.parent.parent == Path(settings.UPLOADS_DIR) / "imports"
    assert "<b>.jsonl" not in browser.get(address).content.decode()
    assert browser.post(address).status_code == 302


def test_the_api_checks_and_imports(browser, empty):
    address = "/api/v1/annotation/campaigns/empty/imports/"
    said = browser.post(address, {"file": upload({"prompt": "One?"}, "{")})
    assert (said.status_code, said.json()["num_bad"], said.json()["lines"][0]["code"]) == (200, 1, "not_json")
    assert not Prompt.objects.exists()
    refused = browser.post(address, {"file": upload({"prompt": "One?"}, "{"), "dry_run": "false"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "bad_lines")
    told = {"file": upload({"prompt": "One?"}, "{"), "dry_run": "false", "leave_bad_out": "true"}
    done = browser.post(address, told)
    assert (done.status_code, done.json()["counts"]["prompts"]) == (201, 1)
    assert browser.post(address, {"file": upload({"prompt": "x"}), "dry": "1"}).json()["error"]["code"] == "invalid"
    assert browser.post(address, {"file": upload({"prompt": "x"}), "format": "xml"}).status_code == 400
    assert kept_files() == []


@pytest.mark.parametrize("role", [Role.RATER, Role.REVIEWER, Role.RESEARCHER])
def test_nobody_else_brings_or_sees_files(browser, empty, role):
    address = checked(browser, empty, {"prompt": "One?"})
    other = client_of(a_person("someone", role=role))
    for path in (address, reverse("campaign_imports", args=["empty"])):
        assert other.get(path).status_code == 403
        assert other.post(path).status_code == 403
    assert (
        other.post("/api/v1/annotation/campaigns/empty/imports/", {"file": upload({"prompt": "x"})}).status_code == 403
    )
    assert browser.get(address.replace("empty", "other")).status_code == 404
    assert not Prompt.objects.exists()
