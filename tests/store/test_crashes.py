"""Killed with SIGKILL at every point between event and topic, then run again: one call, one message id downstream."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import func, select

from margin_platform import audit
from margin_platform.events import MARGIN_CALLS
from margin_platform.store import Store
from margin_platform.store import tables as t

_HERE = Path(__file__).parent
_spec = importlib.util.spec_from_file_location("status_events", _HERE / "status_events.py")
assert _spec is not None
assert _spec.loader is not None
status_events = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(status_events)


def _process(url: str, events: Path, log: Path, point: str) -> int:
    command = [sys.executable, str(_HERE / "crashing.py"), url, str(events), str(log), point]
    return subprocess.run(command, timeout=120, cwd=_HERE.parents[1], capture_output=True, text=True, check=False).returncode


@pytest.mark.parametrize("point", ["before commit", "after commit, before publish", "after publish, before mark"])
def test_a_kill_at_any_point_loses_and_doubles_nothing(point: str, store_url: str, tmp_path: Path) -> None:
    desk = status_events.Desk()
    seen = desk.open("ACC-1", cash=-60_000, price=100.0, shares=1000)
    seen += desk.price(90.0, 2)
    events, log = tmp_path / "events.json", tmp_path / "topics.log"
    events.write_text(json.dumps(seen))
    with Store(store_url):
        pass
    assert _process(store_url, events, log, point) == -signal.SIGKILL
    assert _process(store_url, events, log, "never") == 0
    assert _process(store_url, events, log, "never") == 0

    messages = [json.loads(line) for line in log.read_text().splitlines()]
    calls = {m["event_id"] for topic, m in messages if topic == MARGIN_CALLS and m["action"] == "MARGIN_CALL"}
    assert len(calls) == 1
    assert len(messages) == (2 if point == "after publish, before mark" else 1) * len({m["event_id"] for _, m in messages})
    with Store(store_url) as store:
        with store.read() as connection:
            assert connection.execute(select(func.count()).select_from(t.calls)).scalar_one() == 1
            assert connection.execute(select(func.count()).where(t.outbox.c.sent.is_(False))).scalar_one() == 0
        assert audit.verify(store)[1] == []
