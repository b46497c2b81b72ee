"""Many rows of one table in one statement, and a query's worth of values at a time.

SQLite gets the rows as its driver takes them: SQLAlchemy handles each value of each row by itself, which was
a tenth of a storm. Postgres gets them from SQLAlchemy, which writes a thousand rows into one statement; its
driver would send each alone.
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
    """A statement, its text for a driver, and by parameter in the text's order what makes its value."""

    statement: Insert | Update
    text: str
    makers: Mapping[str, Callable[[object], object] | None]


def insert_many(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert rows, each with the columns of the first."""
    if rows and connection.dialect.name != "sqlite":
        connection.execute(insert(table), list(rows))
    elif rows:
        _execute(connection, _inserting(table, tuple(rows[0]), connection.dialect), rows)


def update_many(connection: Connection, table: Table, key: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Change rows by their key, with one statement for those that change the same columns."""
    by_columns: dict[tuple[str, ...], list[Mapping[str, object]]] = defaultdict(list)
    for row in rows:
        by_columns[tuple(sorted(row))].append(row)
    for columns, some in by_columns.items():
        prepared = _updating(table, key, columns, connection.dialect)
        if connection.dialect.name == "sqlite":
            _execute(connection, prepared, some)
        else:
            named = [{_PREFIX + name: value for name, value in row.items()} for row in some]
            connection.execute(prepared.statement, named)


def groups(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the values a query's worth at a time."""
    for start in range(0, len(values), _IN_ONE_QUERY):
        yield values[start : start + _IN_ONE_QUERY]


def _execute(connection: Connection, prepared: _Prepared, rows: Sequence[Mapping[str, object]]) -> None:
    made = []
    for parameter, maker in prepared.makers.items():
        given = [row[parameter.removeprefix(_PREFIX)] for row in rows]
        made.append(given if maker is None else list(map(maker, given)))
    connection.exec_driver_sql(prepared.text, list(zip(*made, strict=True)))


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
    types = {
        name: table.c[name.removeprefix(_PREFIX)].type.dialect_impl(dialect)
        for name in compiled.positiontup or ()
    }
    makers = {name: kind.bind_processor(dialect) for name, kind in types.items()}
    return _Prepared(statement, str(compiled), makers)
