"""Many rows of one table in one statement, and a query's worth of values at a time.

Rows go to the driver as it takes them. SQLAlchemy's own way handles each value of each row by itself: in a
storm that took a tenth of the time.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import BindParameter, Connection, Dialect, Insert, Table, Update, bindparam, insert, update

_IN_ONE_QUERY = 500  # values of an IN list; SQLite and Postgres both take more


_PREFIX = "to_"


class _Prepared(NamedTuple):
    """A statement for a driver: its text, and by parameter in the text's order what makes its value."""

    text: str
    makers: Mapping[str, Callable[[object], object] | None]
    is_positional: bool


def insert_many(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert rows, each with the columns of the first."""
    if rows:
        _execute(connection, _inserting(table, tuple(rows[0]), connection.dialect), rows)


def update_many(connection: Connection, table: Table, key: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Change rows by their key, with one statement for those that change the same columns."""
    by_columns: dict[tuple[str, ...], list[Mapping[str, object]]] = defaultdict(list)
    for row in rows:
        by_columns[tuple(sorted(row))].append(row)
    for columns, some in by_columns.items():
        _execute(connection, _updating(table, key, columns, connection.dialect), some)


def groups(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the values a query's worth at a time."""
    for start in range(0, len(values), _IN_ONE_QUERY):
        yield values[start : start + _IN_ONE_QUERY]


def _execute(connection: Connection, prepared: _Prepared, rows: Sequence[Mapping[str, object]]) -> None:
    made = []
    for parameter, maker in prepared.makers.items():
        given = [row[parameter.removeprefix(_PREFIX)] for row in rows]
        made.append(given if maker is None else list(map(maker, given)))
    values = list(zip(*made, strict=True))
    if prepared.is_positional:
        connection.exec_driver_sql(prepared.text, values)
    else:
        named = [dict(zip(prepared.makers, value, strict=True)) for value in values]
        connection.exec_driver_sql(prepared.text, named)


@functools.lru_cache(maxsize=64)
def _inserting(table: Table, names: tuple[str, ...], dialect: Dialect) -> _Prepared:
    return _prepared(insert(table).values(_placed(names)), table, dialect)


@functools.lru_cache(maxsize=64)
def _updating(table: Table, key: str, columns: tuple[str, ...], dialect: Dialect) -> _Prepared:
    sets = _placed([name for name in columns if name != key])
    found = update(table).where(table.c[key] == _placed([key])[key])
    return _prepared(found.values(sets), table, dialect)


def _placed(names: Sequence[str]) -> dict[str, BindParameter[object]]:
    """Return a parameter for each column; one of the column's own name would be SQLAlchemy's."""
    return {name: bindparam(_PREFIX + name) for name in names}


def _prepared(statement: Insert | Update, table: Table, dialect: Dialect) -> _Prepared:
    compiled = statement.compile(dialect=dialect)
    placed = compiled.positiontup if compiled.positional else list(compiled.params)
    assert placed is not None
    types = {name: table.c[name.removeprefix(_PREFIX)].type.dialect_impl(dialect) for name in placed}
    makers = {name: kind.bind_processor(dialect) for name, kind in types.items()}
    return _Prepared(str(compiled), makers, compiled.positional)
