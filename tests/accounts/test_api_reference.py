"""The API's reference and schema: whole, for those who are logged in, and true."""

from __future__ import annotations

import re

from tests.accounts.people import client_of
from tests.security.walk import addresses


def test_every_call_is_in_the_reference(ada):
    told = re.sub(r"{\w+}", "{}", client_of(ada).get("/api/").content.decode())
    for address in addresses():
        if address.route.startswith("/api/v1/"):
            assert re.sub(r"<\w+:\w+>", "{}", address.route) in told


def test_the_schema_says_what_a_token_is_made_of(ada):
    schema = client_of(ada).get("/api/schema/").json()
    reference = schema["paths"]["/api/v1/tokens/"]["post"]["requestBody"]["content"]["application/json"]["schema"][
        "$ref"
    ]
    assert set(schema["components"]["schemas"][reference.rsplit("/", 1)[1]]["properties"]) == {
        "name",
        "days",
        "can_write",
    }


def test_the_reference_names_the_fields_of_a_body(ada):
    page = client_of(ada).get("/api/").content.decode()
    assert "can_write" in page and "told this once" in page
