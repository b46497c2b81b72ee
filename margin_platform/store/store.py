"""The decision store: one schema on SQLite (embedded) and Postgres (production), one writer at a time.

A store is created and migrated once, where a stack starts (`margin up`, `make dev`, `margin migrate`). Runs
only look at the schema's version. A reader never creates, migrates or changes a store.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

import orjson
from filelock import FileLock
from sqlalchemy import Connection, create_engine, event, inspect, make_url, text
from sqlalchemy.engine import URL, Engine

MIGRATIONS = Path(__file__).parent / "migrations"
SCHEMA = "0009"  # the newest migration: a store that has it is opened without Alembic
# Alembic's usual name is Dagster's, too, whose history may be kept in the same database
VERSIONS = "margin_schema_version"
_VERSIONS_OF_BEFORE = "alembic_version"
# a turn lasted 35 s where the machine had no processor to spare; who is killed in one leaves no lock
_BUSY_SECONDS = 120
_JSON: dict[str, object] = {
    "json_serializer": lambda value: orjson.dumps(value).decode(),
    "json_deserializer": orjson.loads,
}
# Postgres advisory locks, of the one writer and of the one publisher; 4210 is FINRA's rule
_WRITER_LOCK = 4_210
_PUBLISHER_LOCK = 4_211


class StoreMissing(FileNotFoundError):
    """There is no store to read: it is not created, for an empty one would look as if nothing had ever
    been decided.
    """


class StoreOutdated(RuntimeError):
    """The store's schema is older than this program, or newer."""


class Store:
    """An opened store.

    `write` is a transaction that sees all others finished; `read` is one that changes nothing and sees one
    moment.
    """

    def __init__(self, url: str, *, read_only: bool = False, migrate: bool = True) -> None:
        """Open a SQLAlchemy URL (postgresql+psycopg2://... in production),
        and create or migrate its schema where that is due.

        migrate: False for what works beside others. read_only: change nothing at all. Either raises
        StoreMissing where there is no store, StoreOutdated where its schema is another.
        """
        self.url = url
        self._file, self._inode = _file_of(make_url(url)), 0  # 0 while it is being opened
        as_it_is = read_only or not migrate
        if as_it_is:
            check_exists(make_url(url))
        self.engine = _engine(url, read_only=read_only)
        self._readers = _engine(url, writes=False, read_only=read_only)
        with self.read() as connection:
            found, versions = _schema(connection)
        if found != SCHEMA and as_it_is:
            self.close()
            raise StoreOutdated(
                f"the store's schema is {found or 'missing'}, this program's {SCHEMA}: `margin migrate` "
                f"mends that, value {make_url(url).render_as_string()!r}"
            )
        if not as_it_is and (found != SCHEMA or versions != VERSIONS):
            self._migrate()
        self._inode = _inode(self._file)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open one transaction, alone among writers: committed at the end, rolled back on any error.

        StoreMissing where its file has been removed since: it is not created again.
        """
        self._keep_to_the_file()
        with self.engine.begin() as connection:
            if self.engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITER_LOCK})
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Read what was committed at the first question, without waiting for writers. StoreMissing as for
        `write`.
        """
        self._keep_to_the_file()
        with self._readers.connect() as connection:
            yield connection

    def publishing(self) -> AbstractContextManager[object]:
        """Take a turn as this store's only publisher, among all processes; the turn of a process that is
        killed ends with it.
        """
        if self.engine.dialect.name == "postgresql":
            return self._advisory_lock(_PUBLISHER_LOCK)
        file = self.engine.url.database
        return FileLock(f"{file}.publishing") if file and file != ":memory:" else nullcontext()

    @contextmanager
    def _advisory_lock(self, key: int) -> Iterator[None]:
        """Hold an advisory lock by a connection of its own: no transaction stays open while Kafka is waited
        for."""
        with self._readers.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key})
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key})

    def _keep_to_the_file(self) -> None:
        """Let go of a file that was replaced, as by a backup: who reads on in the old one misses every
        restriction since.
        """
        now = _inode(self._file) if self._inode else 0
        if self._inode and not now:
            raise StoreMissing(f"store: its file was removed, value {str(self._file)!r}")
        if now != self._inode:
            self.close()
            self._inode = now

    def _migrate(self) -> None:
        from alembic import command  # costs a fifth of a second, and is needed once in a store's life
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with self.write() as connection:
            config.attributes["connection"] = connection
            found, versions = _schema(connection)
            if versions != VERSIONS:
                command.stamp(config, found or "base")
                connection.execute(text(f"DROP TABLE {versions}"))
            command.upgrade(config, "head")

    def close(self) -> None:
        self.engine.dispose()
        self._readers.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _schema(connection: Connection) -> tuple[str | None, str]:
    """Return the newest migration that was applied, None in a database without a store, and the table that
    says so.
    """
    tables = inspect(connection)
    for table in (VERSIONS, _VERSIONS_OF_BEFORE):
        if tables.has_table(table):
            version = connection.execute(text(f"SELECT version_num FROM {table}")).scalar()
            if re.fullmatch(r"\d{4}", str(version)):  # Dagster's are longer
                return str(version), table
    return None, VERSIONS


def without_password(url: str) -> str:
    """Return a store's URL as it may be shown, also where it is none."""
    return re.sub(r"(//[^:/@\s]*):[^@]*@", r"\1:***@", url)


def _file_of(url: URL) -> Path | None:
    """Return the file of an SQLite store; None for another one, or one in memory."""
    named = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
    return Path(str(url.database)).absolute() if named else None


def _inode(file: Path | None) -> int:
    """Return what tells a file from another of its name; 0 where there is none."""
    try:
        return os.stat(file).st_ino if file else 0
    except FileNotFoundError:
        return 0


def check_exists(url: URL) -> None:
    """Raise StoreMissing where a file is named and is not there."""
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise StoreMissing(f"store: nothing was recorded there, value {url.render_as_string()!r}")


def _engine(url: str, *, writes: bool = True, read_only: bool = False) -> Engine:
    parsed = make_url(url)
    if parsed.drivername == "postgresql":  # SQLAlchemy takes it for a driver that is not installed here
        parsed = parsed.set(drivername="postgresql+psycopg2")
    if parsed.get_backend_name() != "sqlite":
        options: dict[str, object] = {} if writes else {"isolation_level": "REPEATABLE READ"}
        if read_only:
            options["connect_args"] = {"options": "-c default_transaction_read_only=on"}
        return create_engine(parsed, pool_pre_ping=True, **options, **_JSON)
    if read_only:
        parsed = _sqlite_for_reading(parsed)
    elif parsed.database and parsed.database != ":memory:":
        _make_private(Path(parsed.database))
    engine = create_engine(parsed, connect_args={"timeout": _BUSY_SECONDS}, **_JSON)
    event.listen(engine, "connect", _read_sqlite if read_only else _prepare_sqlite)
    event.listen(engine, "begin", _begin_immediate if writes and not read_only else _begin)
    return engine


def _make_private(file: Path) -> None:
    """Make the file of a store where there is none, for its owner only, as what SQLite keeps beside it will
    be: it holds customers.
    """
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with suppress(OSError):  # SQLite names what is wrong
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))


def _sqlite_for_reading(url: URL) -> URL:
    """Return the URL of the file opened read-only; as one that cannot change where its folder forbids the
    files that SQLite keeps beside it.
    """
    file = Path(url.database or "").resolve()
    changing = os.access(file.parent, os.W_OK) or file.with_name(file.name + "-wal").exists()
    return url.set(
        database=file.as_uri(), query={"uri": "true", "mode": "ro"} | ({} if changing else {"immutable": "1"})
    )


def _prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    # this module sends BEGIN itself: the driver's own would take the write lock too late
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        # of a new file: a status event fits a page, where SQLite's own 4,096 bytes took two
        "page_size=16384",
        "journal_mode=WAL",
        "synchronous=FULL",
        f"busy_timeout={_BUSY_SECONDS * 1000}",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _read_sqlite(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={_BUSY_SECONDS * 1000}")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin(connection: Connection) -> None:
    """Begin without SQLAlchemy's own work for a statement: this one touches no file and cannot fail."""
    driver = connection.connection.driver_connection
    assert driver is not None
    driver.execute("BEGIN")
