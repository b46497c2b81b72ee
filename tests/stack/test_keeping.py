"""The keeper's budget, and what it does with processes that end:
real ones, of a stack that was never a stack.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from margin_platform.stack import components, processes, state, supervisor
from margin_platform.stack.components import Component
from margin_platform.stack.keeping import budget, keeper, record
from margin_platform.stack.keeping.keeper import Keeper
from margin_platform.stack.status import summary

NOW = 1_790_000_000.0


def test_each_restart_waits_twice_as_long_and_the_budget_ends() -> None:
    restarts: list[float] = []
    waits = []
    while not budget.is_spent(restarts, NOW):
        at = budget.due_at(restarts, restarts[-1] if restarts else NOW)
        waits.append(at - (restarts[-1] if restarts else NOW))
        restarts.append(at)
    assert waits == [0.0, 1.0, 2.0, 4.0, 8.0]


def test_restarts_of_long_ago_do_not_count() -> None:
    spent = [NOW - budget.WITHIN_S - 1] * budget.MOST_STARTS
    assert budget.is_spent([NOW] * budget.MOST_STARTS, NOW)
    assert not budget.is_spent(spent, NOW)
    assert budget.due_at(spent, NOW) == NOW


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A stack of one component `part`, which runs the file part.py of its folder;
    no wait between restarts.
    """
    part = Component("part", lambda place: [sys.executable, str(place.data / "part.py")], lambda *_: True)
    monkeypatch.setitem(components.BY_NAME, "part", part)
    monkeypatch.setattr(budget, "due_at", lambda _, now: now)
    (tmp_path / "part.py").write_text(
        "import time; print('serving', flush=True); time.sleep(600)", encoding="utf-8"
    )
    dead = state.Running("part", 2**22 + 1, 1.0, None, None, str(tmp_path / "logs" / "part.log"))
    state.StackState(str(tmp_path), {processes.STACK: str(tmp_path)}, {"part": dead}).save()
    yield tmp_path
    supervisor.down(tmp_path)


def part_of(stack: Path) -> state.Running:
    return state.load(stack).components["part"]


def look_until_given_up(watching: Keeper, stack: Path) -> str:
    """Rounds of the keeper, each after the process of the one before has ended."""
    while (reason := record.load(stack).components["part"].given_up) is None:
        psutil.wait_procs([psutil.Process(part_of(stack).pid)] if part_of(stack).alive else [], timeout=20)
        watching.look()
    return reason


def test_what_was_killed_is_started_again(stack: Path) -> None:
    watching = Keeper(stack)
    watching.look()
    first = part_of(stack)
    assert first.alive
    os.kill(first.pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(first.pid)], timeout=20)
    watching.look()
    assert part_of(stack).alive
    assert part_of(stack).pid != first.pid
    (row,) = summary.status(stack)["components"]
    assert (row["alive"], row["restarts"], row["given_up"]) == (True, 2, None)


def test_what_ends_each_time_is_given_up_with_its_logs_end_and_status_fails(
    stack: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (stack / "part.py").write_text("raise SystemExit('no space left')", encoding="utf-8")
    watching = Keeper(stack)
    watching.look()
    reason = look_until_given_up(watching, stack)
    assert f"part was started again {budget.MOST_STARTS} times within 10 minutes" in reason
    assert reason.endswith("no space left")
    assert reason in caplog.text
    ended = part_of(stack).pid
    watching.look()
    assert part_of(stack).pid == ended
    figures = summary.status(stack)
    assert (figures["up"], figures["components"][0]["given_up"]) == (False, reason)


def test_a_new_keeper_knows_what_the_one_before_gave_up(stack: Path) -> None:
    (stack / "part.py").write_text("raise SystemExit(1)", encoding="utf-8")
    watching = Keeper(stack)
    watching.look()
    look_until_given_up(watching, stack)
    ended = part_of(stack).pid
    Keeper(stack).look()
    assert part_of(stack).pid == ended


def test_what_a_person_brought_back_has_its_whole_budget_again(stack: Path) -> None:
    (stack / "part.py").write_text("raise SystemExit(1)", encoding="utf-8")
    watching = Keeper(stack)
    watching.look()
    look_until_given_up(watching, stack)
    (stack / "part.py").write_text("import time; time.sleep(600)", encoding="utf-8")
    known = state.load(stack)
    # as `margin up` does
    keeper.launching.launch(components.BY_NAME["part"], keeper.launching.place_of(known), known)
    watching.look()
    assert record.load(stack).components == {}


def test_the_keeper_leaves_a_stack_alone_while_somebody_starts_or_stops_it(stack: Path) -> None:
    watching = Keeper(stack)
    with state.locked(stack):
        watching.look()
    assert not part_of(stack).alive
