"""A committed batch whose state was not saved is read again: whole, or not at all where retention deletes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from margin_platform.contracts.messages import PRICES
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
