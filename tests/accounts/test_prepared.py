"""Statements put together once say what the ORM would say each time, whatever their values are."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Sequence
from uuid import UUID

import pytest
from django.db import DEFAULT_DB_ALIAS, connection, transaction
from django.db.models import QuerySet
from django.db.models.sql import UpdateQuery

import config.urls  # noqa: F401 - every module that prepares statements
from accounts.models import Role, User
from accounts.prepared import EVERY, Changes, Prepared, PreparedUpdate, prepared, prepared_update
from tests.accounts.people import person

VALUES = {
    "BigIntegerField": (7, 8, 9),
    "FloatField": (0.25, 0.5, 1.0),
    "TextField": ("it's 100 % \N{SNOWMAN}", "", "%s"),
    "UUIDField": tuple(UUID(int=number) for number in (1, 2**64, 2**128 - 1)),
    "DateTimeField": tuple(
        datetime.datetime(2026, 1, 2, 3, 4, 5, part, tzinfo=datetime.UTC) for part in (0, 1, 999_999)
    ),
}


@prepared
def users_called(names: list[str]) -> QuerySet[User]:
    return User.objects.filter(username__in=names).order_by("username")


@prepared
def held_user(pk: int) -> QuerySet[User]:
    return User.objects.filter(pk=pk).select_for_update().order_by()


@prepared_update
def renamed(pk: int, first_name: str) -> Changes:
    return User.objects.filter(pk=pk), {"first_name": first_name}


def test_there_are_statements_to_look_at():
    assert len(EVERY) > 15


@pytest.mark.parametrize("one", EVERY, ids=lambda one: f"{one.plain.__module__}.{one.__name__}")
@pytest.mark.parametrize("num", [1, 3])
def test_a_prepared_statement_is_what_the_orm_writes(db, one: Prepared, num: int):
    values = [
        list(VALUES[field.__name__][:num]) if is_list else VALUES[field.__name__][num - 1]
        for field, is_list in one.kinds
    ]
    parts = [part for value in values for part in (value if isinstance(value, list) else [value])]
    assert readable(*one.statement(values).filled(parts)) == readable(*written_by_the_orm(one, values))


def readable(sql: str, params: Sequence[object]) -> str:
    """With its values in it; what stands in it already, and what comes beside it, look alike."""
    quoted = ["'" + str(one).replace("'", "''") + "'" if isinstance(one, str) else str(one) for one in params]
    return sql.replace("(%s)", "%s") % tuple(quoted)


def written_by_the_orm(one: Prepared, values: list) -> tuple[str, tuple]:
    made = one.plain(*values)
    if isinstance(one, PreparedUpdate):
        rows, changes = made
        query = rows.query.chain(UpdateQuery)
        query.add_update_values(changes)
        query.clear_ordering(force=True)
    else:
        query = made.query
    return query.get_compiler(DEFAULT_DB_ALIAS).as_sql()


def test_each_call_has_its_own_values(db):
    ada, bea = person(Role.RATER, name="ada"), person(Role.RATER, name="bea")
    assert users_called(["ada"]) == [ada]
    assert users_called(["bea", "ada"]) == [ada, bea]
    assert users_called(names=["nobody"]) == []
    assert users_called.first(["bea", "nobody"]) == bea
    assert users_called.first(["nobody"]) is None


def test_an_update_says_how_many_rows_it_found(db):
    ada = person(Role.RATER, name="ada")
    assert renamed(ada.pk, "Ada") == 1
    assert renamed(pk=ada.pk, first_name="A'da %s") == 1
    assert renamed(ada.pk + 1000, "Nobody") == 0
    ada.refresh_from_db()
    assert ada.first_name == "A'da %s"


def test_its_sql_is_written_once(db, django_assert_num_queries):
    written = []
    plain = users_called.plain

    def counting(names):
        written.append(len(names))
        return plain(names)

    counted = Prepared.__new__(type(users_called))
    counted.__init__(counting)
    EVERY.remove(counted)
    counted.plain.__annotations__ = {"names": list[str]}
    with django_assert_num_queries(4):
        for names in (["a"], ["b"], ["a", "b"], ["c"]):
            counted(names)
    assert written == [1, 2]  # once for each length of the list


def test_threads_do_not_meet(transactional_db):
    people = [person(Role.RATER, name=f"rater-{number}") for number in range(4)]
    told: dict[str, set[str]] = {}

    def look(name: str) -> None:
        told[name] = {user.username for _ in range(50) for user in users_called([name])}
        connection.close()

    threads = [threading.Thread(target=look, args=[one.username]) for one in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == {one.username: {one.username} for one in people}


def test_rows_are_locked_within_a_transaction_alone(transactional_db):
    """As the ORM says it on a database that locks rows."""
    held_user.statement([1]).locks = True
    with pytest.raises(transaction.TransactionManagementError):
        held_user(1)
    with transaction.atomic():
        assert held_user(1) == []
