"""What a body may not say is refused by name: nobody forges an owner, a score or a gold flag by adding a key."""

from __future__ import annotations

import pytest
from django.apps import apps

from accounts.models import ApiToken, Role
from tests.accounts.people import client_of, person
from tests.security.walk import addresses

OURS = {"accounts", "audit", "registry", "runs", "annotation", "rlhf"}
WRITABLE = [address for address in addresses() if address.is_api]
# Every field of every model of ours; the token API's own three are what its body may say.
FIELDS = sorted(
    {field.name for model in apps.get_models() if model._meta.app_label in OURS for field in model._meta.fields}
)


@pytest.mark.parametrize("address", WRITABLE, ids=lambda address: address.route)
@pytest.mark.parametrize("method", ["post", "put", "patch"])
def test_no_body_full_of_our_columns_is_taken(db, address, method):
    client = client_of(person(Role.ADMIN))
    body = dict.fromkeys(FIELDS, "1")
    answer = getattr(client, method)(address.path, body, content_type="application/json")
    assert answer.status_code in (400, 403, 404, 405, 415)


def test_a_token_takes_no_field_but_its_own(rex):
    client = client_of(rex)
    for field in FIELDS:
        if field in ("name", "can_write"):
            continue
        answer = client.post("/api/v1/tokens/", {"name": "nb", "days": 7, field: 1}, content_type="application/json")
        assert answer.status_code == 400, field
        assert answer.json()["error"]["message"] == f"{field}: There is no such field."
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize(
    "body", ["[]", '"x"', "null", "{", '{"name": {"$gt": ""}}', '{"name": "x", "days": 1e308}', '{"name": "\\u0000"}']
)
def test_a_body_that_is_none_is_told_and_not_a_crash(rex, body):
    answer = client_of(rex).post("/api/v1/tokens/", body, content_type="application/json")
    assert answer.status_code == 400
    assert set(answer.json()["error"]) >= {"code", "message"}


def test_forms_of_people_take_no_field_but_their_own(grace, ada):
    client_of(grace).post(
        "/people/", {"username": "mia", "role": "rater", "is_superuser": "on", "is_staff": "on", "is_simulated": "on"}
    )
    client_of(grace).post(f"/people/{ada.pk}/role/", {"role": "reviewer", "is_superuser": "on", "password": "x"})
    for user in type(ada).objects.filter(username__in=["ada", "mia"]):
        assert not (user.is_superuser or user.is_staff or user.is_simulated)


def test_a_person_changes_no_role_of_her_own(ada):
    client = client_of(ada)
    client.post(f"/people/{ada.pk}/role/", {"role": "admin"})
    client.post("/password/", {"role": "admin"})
    client.patch("/api/v1/me/", {"role": "admin"}, content_type="application/json")
    ada.refresh_from_db()
    assert ada.role == Role.RATER
