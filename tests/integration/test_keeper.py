"""The keeper on a running stack: what is killed comes back by itself, and `margin down` is the end of it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from margin_platform.contracts.messages import FILLS, LIQUIDATION_ORDERS, PRICES
from margin_platform.kafka.bus import Bus
from margin_platform.stack import processes, state, supervisor
from margin_platform.stack.status import summary
from tests.support.venue_orders import T, fills, order

pytestmark = pytest.mark.kafka
PARTS = ["kafka", "aws", "dashboard", "venue"]  # test_end_to_end.py kills the others


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "stack"
    supervisor.up(folder, only=PARTS)
    yield folder
    supervisor.down(folder)
    assert processes.owned_by(folder) == []


def ready_again(folder: Path, killed: dict[str, int], seconds: float = 90) -> dict[str, Any]:
    """The components once each of the killed ones serves as another process."""
    end = time.monotonic() + seconds
    while True:
        rows = {row["name"]: row for row in summary.status(folder)["components"]}
        if all(row["ready"] and row["pid"] != killed.get(name) for name, row in rows.items()):
            return rows
        assert time.monotonic() < end, {name: (row["ready"], row["given_up"]) for name, row in rows.items()}


def filled(folder: Path, order_id: str, price: float) -> list[str]:
    """The orders that the venue has filled, once it has filled one more."""
    with Bus(state.load(folder).environment["MARGIN_KAFKA"]) as bus:
        before = sum(bus.end_offsets(FILLS).values())
        bus.produce(PRICES, {"symbol": "AAPL", "price": price, "timestamp": T})
        bus.produce(LIQUIDATION_ORDERS, order(order_id, "AAPL"))
        bus.flush()
        return [fill["order_id"] for fill in fills(bus, before + 1)]


def kill(folder: Path, names: list[str]) -> dict[str, int]:
    killed = {name: state.load(folder).components[name].pid for name in names}
    for pid in killed.values():
        os.kill(pid, signal.SIGKILL)
    return killed


def test_what_is_killed_comes_back_and_works_on_until_the_stack_is_stopped(stack: Path) -> None:
    """First the broker alone: its clients outlive it.

    Then the others. `down` then finds nothing brought back.
    """
    clients = {name: state.load(stack).components[name].pid for name in ("dashboard", "venue")}
    ready_again(stack, kill(stack, ["kafka"]))
    assert filled(stack, "o1", 60.0) == ["o1"]
    living = state.load(stack).living()
    assert {name: living[name].pid for name in clients} == clients

    rows = ready_again(stack, kill(stack, ["aws", "dashboard", "venue"]))
    assert {name: row["restarts"] for name, row in rows.items()} == dict.fromkeys(PARTS, 1) | {"keeper": 0}
    said = (stack / "logs" / "keeper.log").read_text(encoding="utf-8")
    assert all(f"{name}: started again as pid {rows[name]['pid']}, 1 of 5" in said for name in PARTS), said
    assert sorted(filled(stack, "o2", 61.0)) == ["o1", "o2"]

    assert supervisor.down(stack) == ["keeper", *PARTS]
    assert processes.owned_by(stack) == []
