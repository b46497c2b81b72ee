"""A real PostgreSQL server of this test run's own, in a temporary folder;
skipped where no server binary is installed.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from margin_platform.stack import ports


def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


def _account() -> dict[str, int]:
    """PostgreSQL refuses to run as root; the package's own user exists wherever the package does."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid}


@dataclass(frozen=True)
class Server:
    """A running server: its base URL (postgresql+psycopg2://...:port), without a database name, and its
    restart.
    """

    url: str
    restart: Callable[[], None]


@pytest.fixture(scope="session")
def postgres(postgres_server: Server) -> str:
    return postgres_server.url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    binaries = _binaries()
    if binaries is None:
        pytest.fail("no PostgreSQL server here; `make test` installs Debian's, or apt-get install postgresql")
    who = _account()
    # pytest's own folders are closed to other users
    folder = Path(tempfile.mkdtemp(prefix="margin-postgres-"))
    if who:
        os.chown(folder, who["user"], who["group"])
    data, port = folder / "data", ports.any_free()

    def run(*command: str) -> None:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, **who)  # type: ignore[call-overload]
        assert done.returncode == 0, done.stderr + done.stdout

    run(str(binaries / "initdb"), "-D", str(data), "-U", "margin", "-A", "trust", "-E", "UTF8", "--no-sync")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"

    def control(*words: str) -> None:
        run(str(binaries / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log"), *words)

    control("-o", options, "start")
    try:
        yield Server(
            f"postgresql+psycopg2://margin@127.0.0.1:{port}",
            lambda: control("-o", options, "-m", "fast", "restart"),
        )
    finally:
        control("-m", "immediate", "stop")
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store: SQLite, and a fresh database of the real PostgreSQL server."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    import sqlalchemy as sa

    base, name = request.getfixturevalue("postgres"), f"t{abs(hash(tmp_path))}"
    engine = sa.create_engine(f"{base}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f'CREATE DATABASE "{name}"'))
    engine.dispose()
    return f"{base}/{name}"
