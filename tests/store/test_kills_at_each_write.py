"""Killed with SIGKILL before each write, one after the other: anchors, acts, the archive, trimming,
reservations, a person's lift and a policy's activation. Repeated, each ends as if nothing had happened.

The act runs in a forked child, which dies at its Nth statement, commit, S3 request or message. N grows until
the child lives to the end.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import event, func, insert, select

from margin_platform.audit import signing
from margin_platform.enforcement import reservations
from margin_platform.enforcement.enforcer import Enforcer
from margin_platform.ladder.lifting import LiftRefused
from margin_platform.policy.policy import current_policy
from margin_platform.recordkeeping import anchoring, archive, policies, retention, trimming
from margin_platform.store import audit_chain
from margin_platform.store import tables as t
from margin_platform.store.outbox import publish
from margin_platform.store.store import Store
from tests.store.crashing import FileBus, die
from tests.support import audit_story as story

KEY = signing.Ed25519PrivateKey.from_private_bytes(bytes(32))
DAY, NOW, YEARS = dt.date(2026, 11, 27), 1_795_000_000_000, 6
OLD = NOW - 20 * 365 * 86_400_000


class Bucket:
    """A bucket in a folder: what was put is there after a crash. Only what the archive uses of S3."""

    def __init__(self, folder: Path, before_write: Callable[..., None]) -> None:
        self.folder, self._before_write = folder, before_write

    def put_object(self, **request: Any) -> None:
        self._before_write()
        (self.folder / request["Key"].replace("/", "_")).write_bytes(request["Body"])
        self._before_write()

    def get_paginator(self, _: str) -> Bucket:
        return self

    def paginate(self, **_: Any) -> Iterator[dict[str, Any]]:
        names = sorted(path.name.replace("_", "/", 1) for path in self.folder.iterdir())
        yield {"Contents": [{"Key": name, "ETag": "of a KMS key"} for name in names]}

    def get_object(self, **request: Any) -> dict[str, Any]:
        return {"Body": (self.folder / request["Key"].replace("/", "_")).open("rb")}


class Log(FileBus):
    """The topics in a file; a kill may come before and after what is flushed."""

    def __init__(self, path: Path, before_write: Callable[..., None]) -> None:
        super().__init__(path, die_after_flush=False)
        self._before_write = before_write

    def flush(self) -> None:
        self._before_write()
        super().flush()
        self._before_write()


def _lift(store: Store, _: Bucket) -> None:
    with contextlib.suppress(LiftRefused):
        Enforcer(store, current_policy()).lift("A3", who="alice@desk", why="matter 7")


def _hold(store: Store, _: Bucket) -> None:
    with contextlib.suppress(retention.NoSuchHold):
        retention.hold(store, "A1", who="alice@desk", why="matter 7")


def _activate(store: Store, _: Bucket) -> None:
    with contextlib.suppress(policies.AlreadyActivated):
        policies.activate(store, current_policy(), who="alice@desk", why="board")


def _release(store: Store, _: Bucket) -> None:
    with store.write() as connection:
        reservations.release(connection, "A1", "r1")


def _anchor(store: Store, _: Bucket) -> None:
    anchoring.anchor(store, KEY, day=DAY, at_ms=NOW, by=anchoring.SCHEDULE)


ACTS: dict[str, Callable[[Store, Bucket], object]] = {
    "anchor": _anchor,
    "hold": _hold,
    "archive": lambda store, bucket: archive.put_missing(store, bucket, "b", YEARS),
    "trim": lambda store, _: trimming.trim(store, NOW, YEARS),
    "release": _release,
    "lift": _lift,
    "activate": _activate,
}


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with something to do for each act, and nothing left to publish."""
    folder = tmp_path_factory.mktemp("before")
    (folder / "bucket").mkdir()
    with Store(f"sqlite:///{folder / 'store.db'}") as store:
        story.tell(store)
        for day in (25, 26):
            anchoring.anchor(store, KEY, day=DAY.replace(day=day), at_ms=NOW, by=anchoring.SCHEDULE)
        with store.write() as connection:
            look = reservations.Look("A1", "X", 10.0, 0.0, NOW)
            connection.execute(
                insert(t.reservations).values(
                    reservations.Reservation("r1", "A1", "X", None, -5.0, -5.0, 10.0, 0.0, NOW, NOW)._asdict()
                )
            )
            assert len(reservations.current(connection, look._replace(now=NOW - 1))) == 1
            connection.execute(insert(t.notifications), [_notice(n) for n in range(3)])
        publish(store, FileBus(folder / "topics.log", die_after_flush=False))
    return folder


def _notice(number: int) -> dict[str, Any]:
    text = {"subject": "s", "body": "b", "status": "DELIVERED", "channel": "EMAIL", "rung": "r"}
    times = {"attempts": 1, "recorded_wall": OLD, "created_at": OLD}
    return {"notification_id": f"n{number}", "account_id": "A9", "episode": f"e{number}", **text, **times}


def _run(act: str, folder: Path, before_write: Callable[..., None] = lambda *_: None) -> None:
    def before_statement(_: object, __: object, statement: str, *___: object) -> None:
        if not statement.startswith(("SELECT", "BEGIN", "PRAGMA")):
            before_write()

    with Store(f"sqlite:///{folder / 'store.db'}") as store:
        event.listen(store.engine, "before_cursor_execute", before_statement)
        event.listen(store.engine, "commit", before_write)
        ACTS[act](store, Bucket(folder / "bucket", before_write))
        publish(store, Log(folder / "topics.log", before_write))


def _is_killed(act: str, folder: Path, number: int) -> bool:
    """Whether the act was killed at its write of this number; False where it has fewer."""
    writes = itertools.count(1)

    def before_write(*_: object) -> None:
        if next(writes) == number:
            die()

    child = os.fork()
    if child == 0:
        code = 1
        try:
            _run(act, folder, before_write)
            code = 0
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def _facts(folder: Path) -> dict[str, Any]:
    """What is there after an act: decisions and acts, rows, messages sent, objects."""
    with Store(f"sqlite:///{folder / 'store.db'}", read_only=True) as store, store.read() as connection:
        assert audit_chain.verify(store)[1] == []
        tables = (t.audit, t.outbox, t.audit_anchors, t.legal_holds, t.reservations, t.notifications)
        counts = {table.name: connection.scalar(select(func.count()).select_from(table)) for table in tables}
        entries = connection.execute(select(t.audit.c.account_id, t.audit.c.entry)).all()
        archived = connection.scalars(select(t.audit_anchors.c.archived)).all()
        unsent = connection.scalar(select(func.count()).where(t.outbox.c.sent.is_(False)))
        states = dict(
            connection.execute(select(t.ladder_states.c.account_id, t.ladder_states.c.restricted)).all()
        )
    messages = {
        orjson.loads(line)[1]["event_id"] for line in (folder / "topics.log").read_bytes().splitlines()
    }
    return {
        "decisions": Counter((account, entry["decision"]) for account, entry in entries),
        "objects": sorted(path.name for path in (folder / "bucket").iterdir()),
        "messages": len(messages),
        "rows": counts,
        "archived": archived,
        "unsent": unsent,
        "restricted": states,
    }


@pytest.mark.parametrize("act", ACTS)
def test_an_act_killed_at_any_write_and_repeated_is_done_once(
    act: str, before: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trimming, "SENT_KEPT", 20)
    monkeypatch.setattr(trimming, "_AT_ONCE", 8)
    whole = shutil.copytree(before, tmp_path / "whole")
    untouched = _facts(whole)
    _run(act, whole)
    expected = _facts(whole)
    assert expected != untouched
    for number in itertools.count(1):
        folder = shutil.copytree(before, tmp_path / str(number))
        if not _is_killed(act, folder, number):
            break
        _run(act, folder)
        assert _facts(folder) == expected, number
    assert number > 2
