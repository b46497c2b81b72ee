"""The decision store: one schema on SQLite (embedded) and Postgres (production), one writer at a time, migrated when opened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import orjson
from alembic import command
from alembic.config import Config
from filelock import FileLock
from sqlalchemy import Connection, create_engine, event, make_url, text
from sqlalchemy.engine import Engine

MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_SECONDS = 30
_JSON: dict[str, Any] = {"json_serializer": lambda value: orjson.dumps(value).decode(), "json_deserializer": orjson.loads}
_WRITER_LOCK = 4_210      # Postgres advisory locks, of the one writer and of the one publisher; 4210 is FINRA's rule
_PUBLISHER_LOCK = 4_211


class Store:
    """An opened store. `write` is a transaction that sees all others finished; `read` is one that changes nothing and sees one moment."""

    def __init__(self, url: str) -> None:
        """Opens a SQLAlchemy URL (postgresql+psycopg2://... in production) and brings its schema up to date."""
        self.url = url
        self.engine = _engine(url)
        self._readers = _engine(url, writes=False)
        self._migrate()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction, alone among writers: committed at the end, rolled back on any error."""
        with self.engine.begin() as connection:
            if self.engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITER_LOCK})
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """What was committed at the first question asked of it, also to the later ones; waits for nobody."""
        with self._readers.connect() as connection:
            yield connection

    def publishing(self) -> AbstractContextManager[Any]:
        """A turn as this store's only publisher, among all processes; the turn of a process that is killed ends with it."""
        if self.engine.dialect.name == "postgresql":
            return self._advisory_lock(_PUBLISHER_LOCK)
        file = self.engine.url.database
        return FileLock(f"{file}.publishing") if file and file != ":memory:" else nullcontext()

    @contextmanager
    def _advisory_lock(self, key: int) -> Iterator[None]:
        """Held by a connection of its own: no transaction stays open while Kafka is waited for."""
        with self._readers.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key})
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key})

    def _migrate(self) -> None:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with self.write() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def close(self) -> None:
        self.engine.dispose()
        self._readers.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _engine(url: str, *, writes: bool = True) -> Engine:
    parsed = make_url(url)
    if parsed.drivername == "postgresql":   # SQLAlchemy takes it for a driver that is not installed here
        parsed = parsed.set(drivername="postgresql+psycopg2")
    if parsed.get_backend_name() != "sqlite":
        moment = {} if writes else {"isolation_level": "REPEATABLE READ"}
        return create_engine(parsed, pool_pre_ping=True, **moment, **_JSON)
    if parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, connect_args={"timeout": _BUSY_SECONDS}, **_JSON)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_immediate if writes else _begin)
    return engine


def _prepare_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None   # this module says BEGIN itself: the driver's own would take the write lock too late
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={_BUSY_SECONDS * 1000}", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")
