"""How far decisions are behind, which a replay waits for: on a real broker and a real store."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from margin_platform.contracts.messages import MARGIN_STATUS
from margin_platform.contracts.offsets import Span
from margin_platform.demo.pace import DecisionLag
from margin_platform.demo.run import _Look
from margin_platform.kafka.bus import Bus
from margin_platform.store import progress
from margin_platform.store.progress import Consumer
from margin_platform.store.store import Store


class _Monitor:
    def read(self) -> None:
        pass

    def snapshot(self) -> dict[str, object]:
        return {}


def test_a_replay_waits_above_600_undecided_events_and_says_so() -> None:
    now, undecided = [10.0], [601]
    shown: list[dict[str, object]] = []
    timer = SimpleNamespace(now=lambda: now[0])
    lag = SimpleNamespace(undecided=lambda: undecided[0])
    look = _Look(cast("Any", _Monitor()), cast("Any", lag), cast("Any", timer), shown.append)
    assert not look.waits
    look.take(0.25)
    assert look.waits
    undecided[0] = 600
    look.take(0.25)  # within the same second: nothing new is asked
    assert look.waits
    now[0] += 1.0
    look.take(0.5)
    assert not look.waits
    assert shown == [{"done": 0.25, "waiting_for_decisions": 601}, {"done": 0.5}]


@pytest.mark.kafka
def test_what_enforcement_has_not_decided_is_counted_before_there_is_a_store_and_after(
    bus: Bus, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    for _ in range(5):
        bus.produce_raw(MARGIN_STATUS, b"{}", "A")
    bus.flush()
    with DecisionLag(bus, url) as lag:
        assert lag.undecided() == 5
        assert not (tmp_path / "store.db").exists()
        with Store(url) as store:
            for consumer, end in ((Consumer.LIQUIDATION, 5), (Consumer.ENFORCEMENT, 3)):
                with store.write() as connection:
                    progress.advance(connection, consumer, Span(MARGIN_STATUS, 0, 0, end))
        assert lag.undecided() == 2
