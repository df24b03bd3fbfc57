"""Statements put together once: the ORM writes their SQL at the first call, and each call only fills its values in.

    @prepared
    def live_of(rater: int) -> QuerySet[Assignment]:
        return Assignment.objects.filter(rater=rater, state="live")

    live_of(7)  # a list of assignments

The function is called with blanks in place of its values, once for each connection: it hands them to the ORM, and can't look
at them. `live_of.plain(7)` is the query set itself. This is for what raters wait for; elsewhere a query set does as well.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import cached_property
from inspect import signature
from itertools import count
from typing import Any, Generic, ParamSpec, TypeVar, get_args, get_origin, get_type_hints
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models import (
    BigIntegerField,
    DateTimeField,
    Expression,
    Field,
    FloatField,
    QuerySet,
    TextField,
    UUIDField,
)
from django.db.models.sql import UpdateQuery

Given = ParamSpec("Given")
Row = TypeVar("Row")
Made = TypeVar("Made")
Changes = tuple[QuerySet[Any], dict[str, Any]]  # which rows change, and how

FIELDS: dict[Any, type[Field[Any, Any]]] = {
    int: BigIntegerField, float: FloatField, str: TextField, UUID: UUIDField, datetime: DateTimeField,
}  # fmt: skip
EVERY: list[Prepared[..., Any]] = []


class Blank(Expression):
    """Where the value number `place` of a call goes."""

    def __init__(self, place: int, output_field: Field[Any, Any]) -> None:
        super().__init__(output_field=output_field)
        self.place = place

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", (self,)


class Statement:
    """The SQL that `compiler` writes, which is kept, and its values, which are filled in anew."""

    def __init__(self, compiler: Any) -> None:
        self.connection = compiler.connection
        self.locks = compiler.query.select_for_update and self.connection.features.has_select_for_update
        self.sql, self.params = written_in(*compiler.as_sql())

    def filled(self, values: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
        return self.sql, tuple(
            self.value(param, values) if isinstance(param, Blank) else param for param in self.params
        )

    def value(self, blank: Blank, values: Sequence[Any]) -> Any:
        return blank.output_field.get_db_prep_value(values[blank.place], self.connection)

    def cursor(self) -> Any:
        """One that lets the database plan the statement once, where it can (`config.postgresql`)."""
        return getattr(self.connection, "prepared_cursor", self.connection.cursor)()


def written_in(sql: str, params: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
    """The same with words and numbers that never change in the SQL: a plan that is kept can use a partial index then."""
    parts, rest = sql.split("%s"), []
    assert len(parts) == len(params) + 1
    for at, param in enumerate(params):
        if isinstance(param, str):
            parts[at] += "'" + str(param).replace("'", "''").replace("%", "%%") + "'"
        elif isinstance(param, int) and not isinstance(param, bool):
            parts[at] += str(int(param))
        else:
            parts[at] += "%s"
            rest.append(param)
    return "".join(parts), tuple(rest)


class Select(Statement):
    """Its rows are made by the query set, as ever: from a compiler that writes and asks nothing any more."""

    def __init__(self, rows: Any) -> None:
        compiler = rows.query.get_compiler(rows.db)
        super().__init__(compiler)
        converters = compiler.get_converters([column for column, *_ in compiler.select[: compiler.col_count]])
        compiler.get_converters = lambda _: converters
        compiler.execute_sql = lambda *_, **__: [self.found]
        rows.query.get_compiler = lambda *_, **__: compiler
        self.rows = rows
        self.found: Sequence[Any] = ()

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        if self.locks and self.connection.get_autocommit():
            raise transaction.TransactionManagementError("select_for_update cannot be used outside of a transaction.")
        with self.cursor() as cursor:
            cursor.execute(*self.filled(values))
            self.found = cursor.fetchall()
        return list(self.rows._iterable_class(self.rows))


class Update(Statement):
    def __init__(self, rows: QuerySet[Any], changes: dict[str, Any]) -> None:
        query: Any = rows.query.chain(UpdateQuery)
        query.add_update_values(changes)
        query.clear_ordering(force=True)
        super().__init__(query.get_compiler(rows.db))

    def __call__(self, values: Sequence[Any]) -> int:
        with transaction.mark_for_rollback_on_error(self.connection.alias), self.cursor() as cursor:
            cursor.execute(*self.filled(values))
            return int(cursor.rowcount)


class Prepared(ABC, Generic[Given, Made]):
    """A function that makes what the ORM writes SQL from; `plain` is the function itself."""

    def __init__(self, plain: Callable[Given, Any]) -> None:
        self.plain: Callable[..., Any] = plain
        self.__doc__, self.__name__ = plain.__doc__, plain.__name__
        self.names = list(signature(plain).parameters)
        EVERY.append(self)

    @cached_property
    def kinds(self) -> list[tuple[type[Field[Any, Any]], bool]]:
        """For each name the field that its values are prepared as, and whether they come as a list of such."""
        hints = get_type_hints(self.plain)
        types = [hints[name] for name in self.names]
        # Of `list[X]` and of `X | None` it is the X.
        return [(FIELDS[next(iter(get_args(one)), one)], get_origin(one) is list) for one in types]

    @cached_property
    def has_lists(self) -> bool:
        return any(is_list for _, is_list in self.kinds)

    def statement(self, values: Sequence[Any]) -> Any:
        """The one of this thread's connection; where values are lists, the one for lists of that length."""
        connection = connections[DEFAULT_DB_ALIAS]
        lengths = tuple(len(one) for one in values if isinstance(one, list)) if self.has_lists else ()
        kept = vars(connection).setdefault("prepared", {})
        if (found := kept.get((self, lengths))) is None:
            found = kept[self, lengths] = self.put_together(*self.blanks(lengths))
        return found

    @abstractmethod
    def put_together(self, *blanks: Any) -> Statement:
        """What is executed, made from blanks in place of values."""

    def blanks(self, lengths: Sequence[int]) -> Iterator[Blank | list[Blank]]:
        places, rest = count(), iter(lengths)
        for field, is_list in self.kinds:
            made = [Blank(next(places), field()) for _ in range(next(rest) if is_list else 1)]
            yield made if is_list else made[0]

    def given(self, args: Sequence[Any], named: dict[str, Any]) -> list[Any]:
        return [*args, *(named[name] for name in self.names[len(args) :])]

    def run(self, args: Sequence[Any], named: dict[str, Any]) -> Any:
        values = self.given(args, named)
        statement = self.statement(values)
        if self.has_lists:
            values = [one for value in values for one in (value if isinstance(value, list) else [value])]
        return statement(values)


class PreparedSelect(Prepared[Given, Row]):
    def put_together(self, *blanks: Any) -> Select:
        return Select(self.plain(*blanks))

    def __call__(self, *args: Given.args, **named: Given.kwargs) -> list[Row]:
        rows: list[Row] = self.run(args, named)
        return rows

    def first(self, *args: Given.args, **named: Given.kwargs) -> Row | None:
        """Of few rows, or of a query that is sliced to one."""
        return next(iter(self(*args, **named)), None)


class PreparedUpdate(Prepared[Given, int]):
    def put_together(self, *blanks: Any) -> Update:
        return Update(*self.plain(*blanks))

    def __call__(self, *args: Given.args, **named: Given.kwargs) -> int:
        """The number of rows that it found."""
        return int(self.run(args, named))


def prepared(rows: Callable[Given, QuerySet[Any, Row]]) -> PreparedSelect[Given, Row]:
    return PreparedSelect(rows)


def prepared_update(changes: Callable[Given, Changes]) -> PreparedUpdate[Given]:
    return PreparedUpdate(changes)
