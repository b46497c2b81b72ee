"""After records were deleted: a batch is read again whole or not at all, and a start can restate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from margin_platform.contracts.messages import ACCOUNTS, MARGIN_STATUS, PRICES, encode
from margin_platform.durable_state import StateRefused
from margin_platform.policy.policy import current_policy
from margin_platform.simulator.world.agenda import Agenda
from margin_platform.simulator.world.processes import Processes
from margin_platform.simulator.world.topics import Connection, Topics
from spark.margin_snapshots import MarginSnapshots
from spark.stream import StreamSettings

AT = 1_582_299_000_000


@pytest.mark.parametrize("deleted", [0, 2])
def test_a_batch_is_applied_again_whole_or_not_at_all(tmp_path: Path, deleted: int) -> None:
    agenda = Agenda(AT)
    topics = Topics(agenda)
    for number in range(3):
        topics.send(PRICES, {"symbol": "KO", "price": 60.0 + number, "timestamp": AT + number})
    place = next(number for number, log in enumerate(topics.partitions(PRICES)) if log)
    topics.delete(PRICES, place, deleted)
    settings = StreamSettings("nowhere:1", tmp_path / "state", str(tmp_path / "tables"), current_policy())
    stream: Any = MarginSnapshots(settings)
    stream.bus = Connection(topics, Processes(agenda, print))
    for name, text in (("offsets", f"v1\n{{}}\n{json.dumps({PRICES: {place: 3}})}"), ("commits", "v1")):
        folder = stream.folder / "spark" / name
        folder.mkdir(parents=True)
        (folder / "0").write_text(text, encoding="utf-8")
    if deleted:
        with pytest.raises(StateRefused, match=rf"prices\.v1\[{place}\] 0-2: deleted .*--rebuild"):
            stream.recover()
    else:
        stream.recover()
    assert stream.engine.next_offset[PRICES].get(place, 0) == (0 if deleted else 3)


def test_a_stream_that_restates_says_with_its_next_batch_where_every_account_stands(tmp_path: Path) -> None:
    agenda = Agenda(AT)
    topics = Topics(agenda)
    settings = StreamSettings("nowhere:1", tmp_path / "state", str(tmp_path / "tables"), current_policy())
    stream: Any = MarginSnapshots(settings)
    stream.bus = Connection(topics, Processes(agenda, print))

    def take(number: int, topic: str, event: dict[str, Any]) -> int:
        topics.send(topic, event)
        record = next(log[-1] for log in topics.partitions(topic) if log and log[-1].value == encode(event))
        stream.take([record], number, publish=True)
        stream.bus.flush()
        return len(topics.partitions(MARGIN_STATUS)[0])

    before = take(0, ACCOUNTS, {"account_id": "A1", "margin_type": "REG_T", "timestamp": AT})
    assert take(1, PRICES, {"symbol": "KO", "price": 60.0, "timestamp": AT}) == before
    stream.restate()
    assert take(2, PRICES, {"symbol": "KO", "price": 60.1, "timestamp": AT + 1}) == before + 1
