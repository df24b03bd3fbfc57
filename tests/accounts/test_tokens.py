"""API tokens: shown once, hashed at rest, for reading unless they say otherwise, expiring, revocable."""

from __future__ import annotations

import datetime
import json

from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts import services
from accounts.models import ApiToken
from audit.models import AuditEvent
from tests.accounts.people import client_of


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Token {secret}"}


def made_for(user, *, can_write: bool = False) -> tuple[ApiToken, str]:
    return services.create_token(user, name="nightly export", days=7, can_write=can_write)


def test_a_token_acts_as_its_owner(ada):
    _, secret = made_for(ada)
    answer = Client().get("/api/v1/me/", headers=bearer(secret)).json()
    assert answer == {
        "username": "ada", "role": "rater", "is_simulated": False, "languages": [], "skills": [],
        "capabilities": ["sign_in", "rank"],
    }  # fmt: skip


def test_the_database_never_holds_a_token(ada):
    _, secret = made_for(ada)
    with connection.cursor() as cursor:
        held = ""
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT * FROM "{table}"')
            held += repr(cursor.fetchall())
    assert secret not in held and secret[20:] not in held


def test_a_token_is_shown_once(ada):
    hers = client_of(ada)
    answer = hers.post("/tokens/", {"name": "notebook", "days": "30"})
    token = ApiToken.objects.get()
    assert answer.content.decode().count(token.token_key) >= 1
    assert "no-store" in answer["Cache-Control"]
    assert f"{token.token_key}" not in hers.get("/tokens/").content.decode().replace(f"/tokens/{token.token_key}/", "")


def test_a_token_for_reading_changes_nothing(ada):
    token, secret = made_for(ada)
    assert Client().delete(f"/api/v1/tokens/{token.token_key}/", headers=bearer(secret)).status_code == 403
    assert ApiToken.objects.exists()


def test_a_token_that_may_write_can_revoke_itself(ada):
    token, secret = made_for(ada, can_write=True)
    assert Client().delete(f"/api/v1/tokens/{token.token_key}/", headers=bearer(secret)).status_code == 204
    assert Client().get("/api/v1/me/", headers=bearer(secret)).status_code == 401


def test_a_token_makes_no_tokens(ada):
    _, secret = made_for(ada, can_write=True)
    answer = Client().post(
        "/api/v1/tokens/", {"name": "child"}, content_type="application/json", headers=bearer(secret)
    )
    assert (answer.status_code, ApiToken.objects.count()) == (403, 1)


def test_a_person_makes_a_token_over_the_api(ada):
    answer = client_of(ada).post("/api/v1/tokens/", {"name": "nb", "days": 7}, content_type="application/json")
    assert answer.status_code == 201
    assert Client().get("/api/v1/me/", headers=bearer(answer.json()["token"])).status_code == 200


def test_the_list_over_the_api_has_no_secret(ada):
    token, secret = made_for(ada)
    listed = client_of(ada).get("/api/v1/tokens/").json()["results"]
    assert [row["key"] for row in listed] == [token.token_key]
    assert secret not in json.dumps(listed) and token.digest not in json.dumps(listed)


def test_an_expired_token_is_refused(ada):
    token, secret = made_for(ada)
    ApiToken.objects.filter(pk=token.pk).update(expiry=timezone.now() - datetime.timedelta(seconds=1))
    assert Client().get("/api/v1/me/", headers=bearer(secret)).status_code == 401


def test_nobody_sees_or_revokes_the_token_of_another(ada, rex):
    token, _ = made_for(ada)
    his = client_of(rex)
    assert "nightly export" not in his.get("/tokens/").content.decode()
    assert his.post(f"/tokens/{token.token_key}/revoke/").status_code == 404
    assert his.delete(f"/api/v1/tokens/{token.token_key}/").status_code == 404
    assert ApiToken.objects.filter(pk=token.pk).exists()


def test_making_and_revoking_are_written_down(ada):
    token, _ = made_for(ada)
    client_of(ada).post(f"/tokens/{token.token_key}/revoke/")
    assert list(AuditEvent.objects.filter(action__startswith="token").values_list("action", flat=True)) == [
        "token.revoked",
        "token.created",
    ]
