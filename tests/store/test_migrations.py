"""Stores of earlier schemas: migrated where they stand, and opened without alembic when new."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect
from sqlalchemy.exc import OperationalError

from margin_platform.enforcement.enforcer import Enforcer
from margin_platform.store import audit_chain, progress
from margin_platform.store import tables as t
from margin_platform.store.store import MIGRATIONS, SCHEMA, VERSIONS, Store, StoreMissing, StoreOutdated
from tests.support.enforced import POLICY, call_and_cure


@pytest.fixture
def url(store_url: str) -> str:
    return store_url


def migrate(connection: Connection, revision: str) -> None:
    """Take an up-to-date store back to an older schema."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.downgrade(config, revision)


def test_the_migrations_make_the_tables_the_code_uses(url: str) -> None:
    with Store(url) as store, store.engine.connect() as connection:
        made = MigrationContext.configure(connection, opts={"version_table": VERSIONS})
        assert compare_metadata(made, t.metadata) == []


def test_a_store_of_before_goes_on_where_it_stood(tmp_path: Path) -> None:
    """Up to 0003 every decided offset was a row."""
    url = f"sqlite:///{tmp_path / 'store.db'}"
    with Store(url) as store, store.write() as connection:
        migrate(connection, "0003")
        decided = [("enforcement", "margin.status.v1", 0, offset) for offset in (0, 1, 2)] + [
            ("contacts", "accounts.v1", 1, 41)
        ]
        for row in decided:
            connection.exec_driver_sql(
                'INSERT INTO processed (consumer, topic, partition, "offset") VALUES (?, ?, ?, ?)', row
            )
    with Store(url) as store, store.read() as connection:
        assert progress.everything(connection) == [
            ("contacts", "accounts.v1", 1, 42, None),
            ("enforcement", "margin.status.v1", 0, 3, None),
        ]


def of_before(connection: Connection) -> None:
    """Put the schema's version where it stood up to 0.2.0, under Alembic's own name."""
    connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    connection.exec_driver_sql(f"INSERT INTO alembic_version SELECT version_num FROM {VERSIONS}")
    connection.exec_driver_sql(f"DROP TABLE {VERSIONS}")


@pytest.mark.parametrize("version", ["0003", SCHEMA])
def test_the_version_moves_to_a_name_of_its_own_when_the_store_is_opened_for_writing(
    url: str, version: str
) -> None:
    with Store(url) as store, store.write() as connection:
        if version != SCHEMA:
            migrate(connection, version)
        of_before(connection)
    if version == SCHEMA:
        Store(url, read_only=True).close()
        Store(url, migrate=False).close()
    for _ in range(2):
        with Store(url) as store, store.read() as connection:
            tables = inspect(connection).get_table_names()
            assert VERSIONS in tables
            assert "alembic_version" not in tables
            assert connection.exec_driver_sql(f"SELECT version_num FROM {VERSIONS}").scalar() == SCHEMA


def test_the_version_of_a_neighbor_in_the_database_is_left_alone(url: str) -> None:
    """Dagster keeps the version of its history under Alembic's own name."""
    with Store(url) as store, store.write() as connection:
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('7e2f3204cf8e')")
        migrate(connection, "0003")
    with Store(url) as store, store.read() as connection:
        neighbors, ours = (
            connection.exec_driver_sql(f"SELECT version_num FROM {table}").scalar()
            for table in ("alembic_version", VERSIONS)
        )
        assert (neighbors, ours) == ("7e2f3204cf8e", SCHEMA)


def test_a_reader_changes_nothing_and_creates_no_store(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    with pytest.raises(StoreMissing, match="nothing was recorded there"):
        Store(url, read_only=True)
    assert list(tmp_path.iterdir()) == []
    with Store(url) as store:
        Enforcer(store, POLICY).handle_many(call_and_cure())
        with Store(url, read_only=True) as reader:
            assert audit_chain.verify(reader)[1] == []
            with pytest.raises(OperationalError, match="readonly"), reader.write() as connection:
                connection.execute(t.calls.delete())
        with store.write() as connection:
            migrate(connection, "0003")
    with pytest.raises(StoreOutdated, match=f"schema is 0003, this program's {SCHEMA}"):
        Store(url, read_only=True)


def test_the_newest_migration_is_the_schema_that_is_opened_without_alembic(tmp_path: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == SCHEMA
    url = f"sqlite:///{tmp_path / 'store.db'}"
    Store(url).close()
    seen = (
        f"import sys; from margin_platform.store.store import Store; Store({url!r}).close(); "
        "print('alembic' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True).stdout
        == "False\n"
    )
