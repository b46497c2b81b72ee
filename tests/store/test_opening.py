"""Who may create and migrate a store, and who waits for nobody when it opens one."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from margin_platform.cli import app
from margin_platform.store.store import SCHEMA, Store, StoreMissing, StoreOutdated
from resources.decisions import DecisionsResource


def test_a_run_creates_and_migrates_nothing(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    decisions = DecisionsResource(store_url=f"sqlite:///{file}")
    with pytest.raises(StoreMissing), decisions.store():
        pass
    assert not file.exists()
    file.touch()
    outdated = pytest.raises(StoreOutdated, match=f"missing, this program's {SCHEMA}: `margin migrate`")
    with outdated, decisions.store():
        pass
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


def test_what_opens_a_store_waits_for_no_writer(tmp_path: Path) -> None:
    """A run's store and a sensor's are opened and read while another process writes."""
    decisions = DecisionsResource(store_url=f"sqlite:///{tmp_path / 'store.db'}")
    Store(decisions.url).close()
    with sqlite3.connect(tmp_path / "store.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("PRAGMA busy_timeout=0")
        for opened in (decisions.store, decisions.reader):
            with opened() as store, store.read() as connection:
                assert connection.exec_driver_sql("SELECT count(*) FROM calls").scalar_one() == 0
        other.rollback()


def test_margin_migrate_creates_a_store_and_changes_nothing_the_second_time(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    for _ in range(2):
        done = CliRunner().invoke(app, ["migrate", "--store", url, "--json"])
        assert json.loads(done.stdout) == {"store": url, "schema": SCHEMA}
    wrong = CliRunner().invoke(app, ["migrate", "--store", "nonsense"])
    assert wrong.exit_code == 2
    assert "value 'nonsense'" in wrong.output


def test_a_store_is_its_owners_whatever_the_umask(tmp_path: Path) -> None:
    """Also one that a command makes in a folder of its own."""
    folder = tmp_path / "own"
    url = f"sqlite:///{folder / 'store.db'}"
    command = [sys.executable, "-m", "margin_platform.cli", "migrate", "--store", url]
    subprocess.run(command, check=True, umask=0, stdout=subprocess.DEVNULL)
    with Store(url) as store, store.write() as connection:
        connection.exec_driver_sql("DELETE FROM calls")
        found = {path.name: path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())}
    assert found.pop("own") == 0o700
    assert {"store.db", "store.db-wal"} <= found.keys()
    assert set(found.values()) == {0o600}
